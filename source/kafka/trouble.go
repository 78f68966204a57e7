package kafka

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// The parts that can be in trouble, in the order in which Status tells it.
const (
	ofGroup = iota
	ofTopics
	ofFetch
	ofUnread
	ofIntake
	ofCommit
	parts
)

// brokerForgotten is after which time a broker that could not be reached is no
// trouble any more unless it was tried again: it may have left for good.
const brokerForgotten = time.Minute

// trouble is what is in the way, part by part, and which brokers answer. It is
// told by the client's hooks too. It is safe for concurrent use.
type trouble struct {
	log *slog.Logger

	mu      sync.Mutex // guards what follows
	now     [parts]string
	brokers map[int32]broker
}

// broker is how a broker fared last.
type broker struct {
	err error // nil: it answered
	at  time.Time
}

// note says what is in the way of a part, "" if nothing is any more. It reports
// whether that is news, which is worth a line in the log.
func (t *trouble) note(part int, what string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	news := t.now[part] != what
	t.now[part] = what
	return news
}

func (t *trouble) tell() (connected bool, what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []string
	for id, b := range t.brokers {
		switch {
		case b.err == nil:
			// The addresses that are configured have negative ids. They answer
			// before the brokers behind them are known, and are not asked after.
			connected = connected || id >= 0
		case time.Since(b.at) < brokerForgotten && len(all) == 0:
			what := "connect: " + b.err.Error()
			if errors.Is(b.err, io.EOF) {
				what += " (the broker hung up, as it does if the password is wrong, or only one side speaks TLS)"
			}
			all = append(all, what)
		}
	}
	for _, s := range t.now {
		if s != "" {
			all = append(all, s)
		}
	}
	return connected, strings.Join(all, "; ")
}

// rest forgets all: nobody is connected and nothing is wrong.
func (t *trouble) rest() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.now, t.brokers = [parts]string{}, nil
}

// broker notes whether a broker answers.
func (t *trouble) broker(b kgo.BrokerMetadata, err error) {
	id := b.NodeID
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.brokers == nil {
		t.brokers = map[int32]broker{}
	}
	switch before := t.brokers[id].err; {
	case err != nil && before == nil:
		t.log.Warn("a broker of Kafka cannot be reached; it is tried again", "broker", address(b), "error", err)
	case err == nil && before != nil:
		t.log.Info("a broker of Kafka is there again", "broker", address(b))
	}
	t.brokers[id] = broker{err, time.Now()}
}

func address(b kgo.BrokerMetadata) string {
	return net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))
}

// OnBrokerConnect is called by the client when it has tried to connect.
func (t *trouble) OnBrokerConnect(b kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	t.broker(b, err)
}

// OnBrokerRead is called by the client when it has, or has not, got an answer.
// A connection that broke is tried again first.
func (t *trouble) OnBrokerRead(b kgo.BrokerMetadata, _ int16, _ int, _, _ time.Duration, err error) {
	if err == nil {
		t.broker(b, nil)
	}
}

// OnGroupManageError is called by the client when it lost its place in the
// group.
func (t *trouble) OnGroupManageError(err error) { t.note(ofGroup, "group: "+err.Error()) }
