package mqtt

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/source"
)

// StatusMeasurement has a point for each time that a device came or went: tags
// client and user, fields online (a bool) and reason (a string).
const StatusMeasurement = "device_status"

// Device is a client by its id and the user that it is.
type Device struct{ Client, User string }

// presence writes down who comes and goes. Changes of a device that follow each
// other within statusEvery become one, and while the intake is busy only the
// last of each device is kept, so that what waits is bounded by the devices.
type presence struct {
	intake source.Intake // nil: nothing is written
	stats  *counters
	log    *slog.Logger
	work   chan struct{}

	mu      sync.Mutex // guards what is below
	pending map[Device]change
	seen    map[Device]struct{} // those set since the start; nil once it is known who was left online
	taking  bool
}

// change is what became of a device.
type change struct {
	online bool
	reason string
	at     int64 // nanoseconds since 1970
}

const (
	// statusEvery is how long changes gather, so that a fleet that comes back
	// after a cut is some commits and not one each.
	statusEvery = 100 * time.Millisecond
	// maxPending bounds what waits while nothing can be stored.
	maxPending = 200_000
	maxBatch   = 5000
)

func newPresence(intake source.Intake, stats *counters, log *slog.Logger) *presence {
	return &presence{intake: intake, stats: stats, log: log, work: make(chan struct{}, 1), pending: map[Device]change{}, seen: map[Device]struct{}{}}
}

// set notes a change.
func (p *presence) set(d Device, online bool, reason string, at time.Time) {
	if p.intake == nil {
		return
	}
	p.mu.Lock()
	if p.seen != nil {
		p.seen[d] = struct{}{}
	}
	if _, there := p.pending[d]; !there && len(p.pending) >= maxPending {
		p.stats.statusesLost.Add(1)
	} else {
		p.pending[d] = change{online, reason, at.UnixNano()}
	}
	p.mu.Unlock()
	select {
	case p.work <- struct{}{}:
	default:
	}
}

// run writes until ctx ends, after it has set offline who a crash left online.
func (p *presence) run(ctx context.Context, leftOnline func(context.Context) ([]Device, error)) {
	if p.intake == nil {
		return
	}
	p.recover(ctx, leftOnline)
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.work:
		}
		for p.flush(ctx) {
		}
		if !sleep(ctx, statusEvery) {
			return
		}
	}
}

// recover sets offline who is online by what is stored and has not come since.
func (p *presence) recover(ctx context.Context, leftOnline func(context.Context) ([]Device, error)) {
	var left []Device
	for pause := firstRetry; leftOnline != nil; pause = min(2*pause, lastRetry) {
		var err error
		if left, err = leftOnline(ctx); err == nil {
			break
		}
		p.log.Warn("who was online when the server ended is not known yet; it is asked again", "error", err)
		if !sleep(ctx, pause) {
			return
		}
	}
	now := time.Now().UnixNano()
	p.mu.Lock()
	n := 0
	for _, d := range left {
		if _, came := p.seen[d]; !came {
			p.pending[d] = change{false, "server was killed", now}
			n++
		}
	}
	p.seen = nil
	p.mu.Unlock()
	if n > 0 {
		p.log.Info("devices that were online when the server ended are set offline", "devices", n)
		select {
		case p.work <- struct{}{}:
		default:
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// flush writes a batch; false if there is nothing more to write now.
func (p *presence) flush(ctx context.Context) bool {
	p.mu.Lock()
	batch := map[Device]change{}
	for d, c := range p.pending {
		batch[d] = c
		delete(p.pending, d)
		if len(batch) == maxBatch {
			break
		}
	}
	p.taking = len(batch) > 0
	p.mu.Unlock()
	if len(batch) == 0 {
		return false
	}
	pause := firstRetry
	for {
		_, err := p.intake.TakeBatch(ctx, 0, statusBatch(batch), &source.Message{Topic: StatusMeasurement, Offset: -1})
		if err == nil {
			break
		}
		if !errors.Is(err, source.ErrBusy) && ctx.Err() == nil {
			p.log.Error("the state of devices is not stored; it is tried again", "devices", len(batch), "error", err)
		}
		if !sleep(ctx, pause) {
			break
		}
		pause = min(2*pause, lastRetry)
		p.mu.Lock()
		for d := range batch { // what has changed again need not be written
			if c, ok := p.pending[d]; ok {
				batch[d] = c
				delete(p.pending, d)
			}
		}
		p.mu.Unlock()
	}
	p.mu.Lock()
	p.taking = false
	p.mu.Unlock()
	return true
}

// drain waits until everything is written, but no longer than it may take.
func (p *presence) drain(within time.Duration) {
	for deadline := time.Now().Add(within); p.intake != nil && time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		p.mu.Lock()
		done := len(p.pending) == 0 && !p.taking
		p.mu.Unlock()
		if done {
			return
		}
	}
}

// tagText returns a name as a tag: what line protocol cannot carry, control
// characters and a backslash at the end, is a space.
func tagText(name string) []byte {
	b := []byte(name)
	for i, c := range b {
		if c < ' ' || c == 0x7f || c == '\\' && i == len(b)-1 {
			b[i] = ' '
		}
	}
	return b
}

// statusBatch makes points of changes.
func statusBatch(changes map[Device]change) *column.Batch {
	t := &column.Table{TagKeys: []string{"client", "user"}, Fields: []column.Field{{Name: "online"}, {Name: "reason"}}}
	t.Measurement = StatusMeasurement
	online, reason := &t.Fields[0], &t.Fields[1]
	online.Reset(column.Bool)
	reason.Reset(column.String)
	var key []byte
	users := false
	for d, c := range changes {
		tags := []column.Tag{{Key: []byte("client"), Value: tagText(d.Client)}, {Key: []byte("user"), Value: tagText(d.User)}}
		users = users || d.User != ""
		key, _ = column.AppendSeriesKey(key[:0], tags) // the keys are good ones
		t.Row = append(t.Row, t.Series.Add(key, column.HashSeries(StatusMeasurement, key)))
		t.Time = append(t.Time, c.at)
		word := uint64(0)
		if c.online {
			word = 1
		}
		online.AppendWord(word)
		reason.AppendString([]byte(c.reason))
	}
	if !users {
		t.TagKeys = t.TagKeys[:1]
	}
	return &column.Batch{Tables: []*column.Table{t}}
}
