package apptest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// lossWay is a way from a device to the disk.
type lossWay struct {
	source   string   // the pipeline's, with its decoder
	timed    string   // "timestamp, " where messages may lack it
	sinks    string   // besides the store
	server   []string // arguments
	simulate []string
	told     bool // the simulator is told which messages break a rule
	// proxy stands between the devices and whom they send to, and can be cut; nil
	// if nothing does.
	proxy *proxy
	// address returns where the server takes messages, for the proxy; nil where
	// it is a broker that does.
	address func(s *server) string
	// broker is killed too, if there is one, once in five kills of the server, and
	// is then away for about brokerAway.
	broker     lossBroker
	brokerAway time.Duration
}

// lossBroker is a broker of Kafka that can be killed.
type lossBroker interface {
	address() string
	restart()
}

// lossPipeline has the rules of the pipelines that the server comes with, and
// the number of each message.
const lossPipeline = `
pipelines:
  loss:
%s
    validate:
      - require: [%ssensor_type, location, value, quality]
      - range: {field: value, min: -50, max: 100}
      - range: {field: quality, min: 0, max: 100}
    sinks:
      - store: {}
%s`

const lossDecode = `
    decode:
      json:
        measurement: sensor_data
        time: timestamp
        tags: [sensor_type, location]
        fields: {value: float, quality: float, seq: int}`

const (
	// lossRate is how many messages a second are sent: so few that the test is
	// about loss and not about load, so many that each kill meets some.
	lossRate = 1500
	// lossCycle is how long a server lives and is then away, on average.
	lossCycle = 1200 * time.Millisecond
)

// TestLoss sends numbered messages while the server is killed, the connection
// cut, and the disk filled. In the end each of them is stored as it was sent,
// once, or kept with the reason why it was refused. `make soak` kills 50 times.
func TestLoss(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes some seconds a kill")
	}
	t.Run("data", func(t *testing.T) {
		t.Parallel()
		p := newProxy(t)
		testLoss(t, lossWay{
			source: "    source: {data: {}}", told: true, proxy: p,
			simulate: []string{"--to", "http://" + p.addr() + "/data", "--connections", "3", "--batch", "200", "--timeout", "5s"},
			address:  func(s *server) string { return strings.TrimPrefix(s.service, "http://") },
		})
	})
	// The server is the broker, and acknowledges what is on disk: a device keeps
	// what is not, and sends it again.
	t.Run("mqtt", func(t *testing.T) {
		t.Parallel()
		p := newProxy(t)
		testLoss(t, lossWay{
			source: "    source:\n      mqtt: {topics: [\"sensors/#\"]}" + lossDecode,
			timed:  "timestamp, ", proxy: p,
			server:   []string{"--mqtt-addr", "127.0.0.1:0"},
			simulate: []string{"--to", "mqtt://" + p.addr(), "--connections", "20", "--timeout", "5s"},
			address:  func(s *server) string { return s.mqttPorts().MQTT },
		})
	})
	// The broker is one that keeps its topics on disk, in a process that is
	// killed as well.
	t.Run("kafka", func(t *testing.T) {
		t.Parallel()
		k := newFakeKafka(t)
		testLoss(t, lossOverKafka(k, k.proxy, 500*time.Millisecond))
	})
	t.Run("apache-kafka", func(t *testing.T) {
		k := startApacheKafka(t)
		client := k.client()
		defer client.Close()
		if _, err := kadm.NewClient(client).CreateTopics(t.Context(), 3, 1, nil, "sensor-data", "processed-data"); err != nil {
			t.Fatal(err)
		}
		// As long as a broker on Java takes to be there again, and its clients to notice:
		// the simulator has to send for as long as there are kills.
		testLoss(t, lossOverKafka(k, nil, 12*time.Second))
	})
}

func lossOverKafka(k lossBroker, p *proxy, away time.Duration) lossWay {
	return lossWay{
		source: fmt.Sprintf("    source:\n      kafka: {brokers: [%q], topics: [sensor-data], group: loss, instance: only}", k.address()) + lossDecode,
		timed:  "timestamp, ", proxy: p, broker: k, brokerAway: away,
		sinks:    "      - kafka: {topic: processed-data}\n",
		simulate: []string{"--to", "kafka://" + k.address()},
	}
}

func testLoss(t *testing.T, way lossWay) {
	r := *seed
	if r == 0 {
		r = uint64(time.Now().UnixNano())
	}
	t.Logf("-seed %d", r)
	rng := rand.New(rand.NewPCG(r, 3))

	file := filepath.Join(t.TempDir(), "pipelines.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, lossPipeline, way.source, way.timed, way.sinks), 0o600); err != nil {
		t.Fatal(err)
	}
	// What is sent: the same twice, once to the server and once to be compared.
	count := int(lossRate * (lossCycle.Seconds()*float64(*kills+2) + way.brokerAway.Seconds()*float64(*kills+3)/5))
	fleet := []string{"simulate", "--fast", "--count", fmt.Sprint(count), "--start", "2026-01-01T00:00:00Z", "--seed", fmt.Sprint(rng.Uint32()), "--numbered",
		"--devices", "500", "--interval", "1s", "--max-lateness", "20s", "--late", "0.02", "--repeated", "0.02", "--refused", "0.02", "--gaps", "0.01"}
	stored, refused := lossWanted(t, fleet)

	disk := newSmallDisk(t)
	data := filepath.Join(disk.dir, "data")
	args := append([]string{"--memory-limit", "64MiB", "--log-level", "warn", "--pipelines-file", file}, way.server...)
	s := start(t, data, args...)
	way.lead(s)

	sender := exec.Command(binary, append(append(append([]string{}, fleet...), way.simulate...), "--rate", fmt.Sprint(lossRate), "--grace", "60s", "--json")...)
	sender.Env = append(cleanEnv(), "VARVE_TOKEN="+adminToken)
	var out, notes lockedBuffer
	sender.Stdout, sender.Stderr = &out, &notes
	if err := sender.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	var senderErr error
	go func() {
		senderErr = sender.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		_ = sender.Process.Kill() // it may have ended
		<-ended
	})

	fillAt := rng.IntN(*kills)
	met, brokerKills := 0, 0 // met: kills while messages were sent
	for i := range *kills {
		time.Sleep(time.Duration(rng.Int64N(int64(lossCycle))))
		if way.proxy != nil && rng.IntN(3) == 0 {
			way.proxy.cut()
			time.Sleep(time.Duration(rng.Int64N(int64(200 * time.Millisecond))))
		}
		if i == fillAt && disk.fill() {
			lossDiskFull(t, s)
			disk.free()
		}
		select {
		case <-ended:
		default:
			met++
		}
		if way.broker != nil && i%5 == 1 {
			way.broker.restart()
			brokerKills++
			time.Sleep(time.Duration(rng.Int64N(int64(300 * time.Millisecond))))
		}
		if way.address != nil {
			way.proxy.lead("")
		}
		s.kill()
		if way.address != nil {
			way.proxy.cut()
		}
		time.Sleep(time.Duration(rng.Int64N(int64(300 * time.Millisecond))))
		s = start(t, data, args...)
		way.lead(s)
	}
	select {
	case <-ended:
	case <-time.After(time.Duration(count)*time.Second/lossRate + 2*patience):
		t.Fatalf("the simulator does not end:\n%s", notes.String())
	}
	var report struct {
		Sent, Acknowledged, Refused, Missing int64
		SentAgain                            int64 `json:"sent_again"`
	}
	if err := json.Unmarshal([]byte(out.String()), &report); err != nil {
		t.Fatalf("%v in the simulator's report: %s%s", err, out.String(), notes.String())
	}
	exit := 0
	if way.told {
		exit = 3
	}
	if sender.ProcessState.ExitCode() != exit || (report.Refused > 0) != way.told || report.Sent != int64(count) || report.Acknowledged+report.Refused != report.Sent || report.Missing != 0 {
		t.Fatalf("the simulator ended with %v:\n%s%s", senderErr, out.String(), notes.String())
	}
	if met < (*kills+1)/2 || report.SentAgain == 0 && way.broker == nil {
		t.Errorf("only %d of %d kills met messages, %d were sent again: the test tests little", met, *kills, report.SentAgain)
	}
	if way.broker != nil {
		lossAwait(s, len(stored)+len(refused))
	}
	lossVerify(t, s, stored, refused)
	if way.sinks != "" {
		lossPassedOn(t, way.broker.address(), stored)
	}
	if a := s.must(200, http.MethodPost, s.service+"/api/v1/check", ""); a.body != "{\"problems\":0}\n" {
		t.Errorf("check: %s", a.body)
	}
	t.Logf("%d messages, %d sent again, %d kills of the server while they were sent and %d of the broker; %d points are stored and %d messages refused, none is missing",
		count, report.SentAgain, met, brokerKills, len(stored), len(refused))
}

// lead lets the proxy end at a server, if it is a server that it leads to.
func (w *lossWay) lead(s *server) {
	if w.address != nil {
		w.proxy.lead(w.address(s))
	}
}

// lossAwait waits until the server has taken what the broker has: until so many
// messages are stored or refused, or nothing more comes.
func lossAwait(s *server, want int) {
	s.t.Helper()
	last, since := 0, time.Now()
	for {
		n := 0
		for _, q := range []string{
			`{"measurement":"sensor_data","start":"2025-01-01T00:00:00Z","stop":"2027-01-01T00:00:00Z","fields":["seq"],"aggregation":"count","group_by":[]}`,
			`{"bucket":"dead-letter","measurement":"refused","start":"2020-01-01T00:00:00Z","stop":"2100-01-01T00:00:00Z","fields":["payload"],"aggregation":"count","group_by":[]}`,
		} {
			for _, v := range s.query(q) {
				more, err := v.Value.(json.Number).Int64()
				if err != nil {
					s.t.Fatal(err)
				}
				n += int(more)
			}
		}
		if n > last {
			last, since = n, time.Now()
		}
		// Messages may be kept as refused twice, so that the sum alone does not
		// say that all are there.
		if quiet := time.Since(since); n >= want && quiet > 2*time.Second || quiet > patience {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// lossDiskFull waits until the server refuses writes for want of room.
func lossDiskFull(t *testing.T, s *server) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		a, err := s.do(http.MethodPost, s.http+"/api/v2/write", "full v=1")
		if err == nil && a.status == http.StatusServiceUnavailable {
			time.Sleep(500 * time.Millisecond) // so that messages meet it too
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Error("a server on a full disk does not refuse writes")
}

// lossKey is what makes a point.
type lossKey struct {
	time        int64
	kind, place string
}

// lossPoint is what is stored of it.
type lossPoint struct {
	value, quality float64
	seq            int64
}

// lossWanted returns which points a fleet's messages make and, by number, which
// messages are refused.
func lossWanted(t *testing.T, fleet []string) (stored map[lossKey]lossPoint, refused map[int64]bool) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "messages.json")
	if out, err := varve(t, append(append([]string{}, fleet...), "--to", name, "--format", "json")...); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	stored, refused = map[lossKey]lossPoint{}, map[int64]bool{}
	in := bufio.NewScanner(bytes.NewReader(text))
	for in.Scan() {
		var m struct {
			Timestamp      *time.Time
			Sensor_type    *string
			Location       *string
			Value, Quality any
			Seq            int64
		}
		if err := json.Unmarshal(in.Bytes(), &m); err != nil {
			t.Fatalf("%v in %s", err, in.Bytes())
		}
		value, ok := m.Value.(float64)
		quality, ok2 := m.Quality.(float64)
		if !ok || !ok2 || m.Timestamp == nil || m.Sensor_type == nil || m.Location == nil || value < -50 || value > 100 || quality < 0 || quality > 100 {
			refused[m.Seq] = true
			continue
		}
		key, point := lossKey{m.Timestamp.UnixNano(), *m.Sensor_type, *m.Location}, lossPoint{value, quality, m.Seq}
		if was, ok := stored[key]; ok && was != point {
			t.Fatalf("the simulator sends two points that overwrite each other: %+v is %+v and %+v", key, was, point)
		}
		stored[key] = point
	}
	if len(stored) < 100 || len(refused) == 0 {
		t.Fatalf("%d points and %d refused messages are too few to test anything", len(stored), len(refused))
	}
	return stored, refused
}

// lossSeq finds the number of a message in JSON or line protocol.
var lossSeq = regexp.MustCompile(`\bseq"?[:=](\d+)`)

// lossVerify compares what is stored with what should be.
func lossVerify(t *testing.T, s *server, stored map[lossKey]lossPoint, refused map[int64]bool) {
	t.Helper()
	got := map[lossKey]*lossPoint{}
	for _, v := range s.query(`{"measurement":"sensor_data","start":"2025-01-01T00:00:00Z","stop":"2027-01-01T00:00:00Z"}`) {
		key := lossKey{v.Time.UnixNano(), v.Tags["sensor_type"], v.Tags["location"]}
		p := got[key]
		if p == nil {
			p = &lossPoint{}
			got[key] = p
		}
		n, err := v.Value.(json.Number).Float64()
		if err != nil {
			t.Fatalf("%+v: %v", v, err)
		}
		switch v.Field {
		case "value":
			p.value = n
		case "quality":
			p.quality = n
		case "seq":
			p.seq = int64(n)
		}
	}
	missing, wrong := 0, 0
	for key, want := range stored {
		switch p := got[key]; {
		case p == nil:
			missing++
			t.Logf("missing: %+v of %+v", want, key)
		case *p != want:
			wrong++
			t.Logf("wrong: %+v is %+v, want %+v", key, *p, want)
		}
		if missing+wrong > 20 {
			break
		}
	}
	if missing+wrong > 0 || len(got) != len(stored) {
		t.Errorf("%d points are stored, want %d; the first %d missing and %d wrong are above", len(got), len(stored), missing, wrong)
	}

	kept := map[int64]bool{}
	for _, v := range s.query(`{"bucket":"dead-letter","measurement":"refused","start":"2020-01-01T00:00:00Z","stop":"2100-01-01T00:00:00Z","fields":["payload"]}`) {
		text, _ := v.Value.(string)
		m := lossSeq.FindStringSubmatch(text)
		if m == nil || v.Tags["reason"] == "" {
			t.Errorf("what was refused is kept as %q with the reason %q", text, v.Tags["reason"])
			continue
		}
		n, err := strconv.ParseInt(m[1], 10, 64)
		if err != nil || !refused[n] {
			t.Errorf("message %s is kept as refused (%s) and should be stored: %v", text, v.Tags["reason"], err)
		}
		kept[n] = true
	}
	for n := range refused {
		if !kept[n] {
			t.Errorf("refused message %d is kept nowhere", n)
		}
	}
}

// lossPassedOn reads what was passed on to topic processed-data: each message
// that was stored is there, under the key of the message that it was made of, so
// that a reader can tell a repeat.
func lossPassedOn(t *testing.T, broker string, stored map[lossKey]lossPoint) {
	t.Helper()
	missing := map[int64]bool{}
	for _, p := range stored {
		missing[p.seq] = true
	}
	total := len(missing)
	reader, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.ConsumeTopics("processed-data"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	made := map[string]int64{} // key → number
	records := 0
	for len(missing) > 0 && ctx.Err() == nil {
		reader.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			records++
			var m struct{ Seq int64 }
			if err := json.Unmarshal(r.Value, &m); err != nil {
				t.Errorf("%v in %s", err, r.Value)
				return
			}
			if !strings.HasPrefix(string(r.Key), "sensor-data/") {
				t.Errorf("the key of %s is %q", r.Value, r.Key)
			}
			if was, ok := made[string(r.Key)]; ok && was != m.Seq {
				t.Errorf("messages %d and %d have the key %s", was, m.Seq, r.Key)
			}
			made[string(r.Key)] = m.Seq
			delete(missing, m.Seq)
		})
	}
	if len(missing) > 0 {
		t.Errorf("%d of %d messages were not passed on", len(missing), total)
	}
	t.Logf("%d records were passed on, of %d messages", records, len(made))
}
