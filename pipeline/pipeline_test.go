package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/pipeline/batch"
	"github.com/varvedb/varve/pipeline/declare"
	"github.com/varvedb/varve/pipeline/decode"
	"github.com/varvedb/varve/pipeline/record"
	"github.com/varvedb/varve/protocol/lineproto"
	"github.com/varvedb/varve/source"
)

// fakeStore keeps points as lines.
type fakeStore struct {
	mu         sync.Mutex
	lines      map[uint64][]string
	fail       error                     // of Write
	refuse     func(line string) string  // a reason, "" for none
	refuseDead func(line string) string  // of the bucket of refused messages
	gone       []string                  // what was deleted
	types      map[string]column.Type    // by field
	wait       func(ctx context.Context) // before Write
	buckets    map[string]uint64
}

func newFakeStore() *fakeStore {
	return &fakeStore{lines: map[uint64][]string{}, buckets: map[string]uint64{"": 1, "default": 1, DeadBucket: 2, "other": 3}}
}

func (s *fakeStore) Bucket(_, bucket string) (uint64, error) {
	if id, ok := s.buckets[bucket]; ok {
		return id, nil
	}
	return 0, &source.BusyError{Reason: "no bucket " + bucket}
}

func (s *fakeStore) DeadBucket(org, bucket string) (uint64, error) { return s.Bucket(org, bucket) }

func (s *fakeStore) Types(bucket uint64) batch.Types {
	return func(_, field string) column.Type { return s.types[fmt.Sprint(bucket, "/", field)] }
}

func (s *fakeStore) Write(ctx context.Context, bucket uint64, b *column.Batch, refused func(table, row int, reason, detail string)) error {
	if s.wait != nil {
		s.wait(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	var l liner
	for t := range b.Tables {
		for row := range b.Tables[t].Time {
			line := strings.TrimSpace(l.row(b, t, row))
			if s.refuseDead != nil && bucket == s.buckets[DeadBucket] {
				if reason := s.refuseDead(line); reason != "" {
					refused(t, row, reason, "because")
					continue
				}
			}
			if s.refuse != nil && bucket != s.buckets[DeadBucket] {
				if reason := s.refuse(line); reason != "" {
					refused(t, row, reason, "because")
					continue
				}
			}
			s.lines[bucket] = append(s.lines[bucket], line)
		}
	}
	return nil
}

func (s *fakeStore) Delete(_ context.Context, _ uint64, gone []Gone) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range gone {
		if g.All {
			s.gone = append(s.gone, "all "+g.Measurement)
			continue
		}
		s.gone = append(s.gone, fmt.Sprint(g.Measurement, g.Tags, g.Time, g.Fields))
	}
	return nil
}

// fakeProducer keeps what is passed on.
type fakeProducer struct {
	mu     sync.Mutex
	out    []string
	fail   error
	most   int // bytes of a message that it accepts; 0: any number
	calls  int
	closed bool
}

func (p *fakeProducer) Produce(_ context.Context, messages []Outgoing) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fail != nil {
		return p.fail
	}
	p.calls++
	not := &Unacceptable{Err: errors.New("too large")}
	for i, m := range messages {
		if p.most > 0 && len(m.Value) > p.most {
			not.Messages = append(not.Messages, i)
			continue
		}
		text := string(m.Key) + " " + string(m.Value)
		for _, h := range m.Headers {
			text += " " + h.Key + "=" + string(h.Value)
		}
		p.out = append(p.out, text)
	}
	if len(not.Messages) > 0 {
		return not
	}
	return nil
}

func (p *fakeProducer) Close() error { p.closed = true; return nil }

// fakeSource hands over what the test gives it.
type fakeSource struct {
	intake   chan source.Intake
	ended    chan struct{}
	held     chan struct{} // closed by Hold
	released chan struct{} // closed by what that returns
}

func newFakeSource() *fakeSource {
	return &fakeSource{make(chan source.Intake, 1), make(chan struct{}), make(chan struct{}), make(chan struct{})}
}

func (s *fakeSource) Hold() (release func()) {
	close(s.held)
	return func() { close(s.released) }
}

// isClosed reports whether c is.
func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func (s *fakeSource) Run(ctx context.Context, in source.Intake) error {
	s.intake <- in
	<-ctx.Done()
	close(s.ended)
	return nil
}

func (s *fakeSource) Status() source.Status { return source.Status{Connected: true, Lag: -1} }

// world is what pipelines of a test stand on.
type world struct {
	store     *fakeStore
	producers map[string]*fakeProducer // by topic
	sources   map[string]*fakeSource   // by pipeline; the last of each
	opened    int                      // sources
	fail      error                    // of opening a sink
}

func newWorld() *world {
	return &world{store: newFakeStore(), producers: map[string]*fakeProducer{}, sources: map[string]*fakeSource{}}
}

func (w *world) kinds() Kinds {
	any := func(s *declare.Map) {
		s.Strings("topics")
		s.Text("group", "")
		s.Strings("brokers")
	}
	read := func(s *declare.Map) SourceSpec {
		any(s)
		return SourceSpec{Open: func(pipeline string) (source.Source, error) {
			w.opened++
			w.sources[pipeline] = newFakeSource()
			return w.sources[pipeline], nil
		}}
	}
	return Kinds{
		Sources: map[string]func(*declare.Map) SourceSpec{"kafka": read, "mqtt": read,
			"data":  func(s *declare.Map) SourceSpec { spec := read(s); spec.Points = true; return spec },
			"write": func(s *declare.Map) SourceSpec { spec := read(s); spec.Points, spec.Sole = true, true; return spec }},
		Producers: map[string]func(*declare.Map) func() (Producer, error){"kafka": func(s *declare.Map) func() (Producer, error) {
			any(s)
			topic := s.Required("topic")
			return func() (Producer, error) {
				if w.fail != nil {
					return nil, w.fail
				}
				if w.producers[topic] == nil || w.producers[topic].closed {
					w.producers[topic] = &fakeProducer{}
				}
				return w.producers[topic], nil
			}
		}},
	}
}

func (w *world) parse(t testing.TB, text string) *File {
	t.Helper()
	f, err := Parse("test.yaml", []byte(text), w.kinds(), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	return f
}

var arrival = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func (w *world) set() *Set {
	return NewSet(Parts{Store: w.store, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return arrival }})
}

// start runs a file and returns the intake of its pipeline.
func (w *world) start(t testing.TB, text, name string) (*Set, source.Intake) {
	t.Helper()
	s := w.set()
	if err := s.Apply(w.parse(t, text)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s, <-w.sources[name].intake
}

func messages(texts ...string) []source.Message {
	var all []source.Message
	for i, text := range texts {
		all = append(all, source.Message{Topic: "sensor-data", Partition: 3, Offset: int64(i), Payload: []byte(text)})
	}
	return all
}

func reading(second int, kind, place string, value, quality any) string {
	return fmt.Sprintf(`{"timestamp":"2026-01-02T15:04:%02dZ","sensor_type":%q,"location":%q,"value":%v,"quality":%v}`, second, kind, place, value, quality)
}

// TestBuiltin: the pipelines that come with the program pass their own tests.
func TestBuiltin(t *testing.T) {
	f := newWorld().parse(t, Builtin())
	if len(f.Cases) < 5 {
		t.Fatalf("%d cases", len(f.Cases))
	}
	for i := range f.Cases {
		for _, wrong := range f.Cases[i].Run() {
			t.Errorf("%s: %s", f.Cases[i].Name, wrong)
		}
	}
}

// TestTake: what is good is stored and passed on with the key of its message, what
// is bad is kept with its reason, in one call.
func TestTake(t *testing.T) {
	w := newWorld()
	s, in := w.start(t, Builtin(), "sensor-data")
	result, err := in.Take(context.Background(), messages(
		reading(1, "temperature", "seoul", 21.5, 98), `{"broken"`, reading(2, "temperature", "seoul", 300, 98), reading(3, "temperature", "busan", 40, 50)))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(source.Result{Stored: 2, Refused: 2, Reason: `bad_json: at byte 9: want a colon behind a key, found the end`}, result); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{
		"sensor_data,location=seoul,sensor_type=temperature value=21.5,quality=98 1767366241000000000",
		"sensor_data,location=busan,sensor_type=temperature value=40,quality=50 1767366243000000000",
	}, w.store.lines[1]); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{
		`sensor-data/3/0 {"timestamp":"2026-01-02T15:04:01Z","sensor_type":"temperature","location":"seoul","value":21.5,"quality":98,"anomaly":false,"quality_level":"excellent","processed_at":"2026-01-01T00:00:00Z"}`,
		`sensor-data/3/3 {"timestamp":"2026-01-02T15:04:03Z","sensor_type":"temperature","location":"busan","value":40,"quality":50,"anomaly":true,"anomaly_type":"outlier","quality_level":"poor","processed_at":"2026-01-01T00:00:00Z"}`,
	}, w.producers["processed-data"].out); diff != "" {
		t.Error(diff)
	}
	dead := w.store.lines[2]
	if len(dead) != 2 || !strings.HasPrefix(dead[0], "refused,pipeline=sensor-data,place=decode,reason=bad_json ") ||
		!strings.Contains(dead[0], `payload="{\"broken\""`) || !strings.Contains(dead[0], "offset=1i") ||
		!strings.HasPrefix(dead[1], "refused,pipeline=sensor-data,place=validate/range,reason=value_out_of_range ") ||
		!strings.Contains(dead[1], `detail="value is 300, want -50 to 100"`) {
		t.Errorf("refused messages are kept as %q", dead)
	}
	st := s.Status()[0]
	if st.Messages != 4 || st.Records != 3 || st.Stored != 2 || st.Refused != 2 {
		t.Errorf("status %+v", st)
	}
}

// TestUnread: what its source could not read is kept with the reason, and not decoded,
// though it could be.
func TestUnread(t *testing.T) {
	w := newWorld()
	s, in := w.start(t, Builtin(), "sensor-data")
	all := messages(reading(1, "temperature", "seoul", 20, 98), reading(2, "temperature", "seoul", 20, 98))
	all[0].Unread = &source.Unread{Reason: "torn", Detail: "half of it is missing"}
	result, err := in.Take(context.Background(), all)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(source.Result{Stored: 1, Refused: 1, Reason: "torn: half of it is missing"}, result); diff != "" {
		t.Error(diff)
	}
	dead := w.store.lines[2]
	if len(dead) != 1 || !strings.HasPrefix(dead[0], "refused,pipeline=sensor-data,place=decode,reason=torn ") ||
		!strings.Contains(dead[0], `detail="half of it is missing"`) || !strings.Contains(dead[0], "offset=0i") || !strings.Contains(dead[0], "payload=") {
		t.Errorf("refused messages are kept as %q", dead)
	}
	if d := s.Status()[0].Steps[0]; d.Name != "decode" || d.Refused != 1 {
		t.Errorf("status of the decoder %+v", d)
	}
}

// TestNotAccepted: a record that a producer will never take is stored, and its
// message kept with the reason. The others are passed on.
func TestNotAccepted(t *testing.T) {
	w := newWorld()
	_, in := w.start(t, Builtin(), "sensor-data")
	w.producers["processed-data"].fail = &Unacceptable{Messages: []int{1}, Err: errors.New("too large")}
	result, err := in.Take(context.Background(), messages(
		reading(1, "temperature", "seoul", 300, 98), reading(2, "temperature", "seoul", 20, 98), reading(3, "temperature", "seoul", 21, 98)))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(source.Result{Stored: 1, Refused: 2, Reason: "value_out_of_range: value is 300, want -50 to 100"}, result); diff != "" {
		t.Error(diff)
	}
	if n := len(w.store.lines[1]); n != 2 {
		t.Errorf("%d points are stored, want 2", n)
	}
	dead := w.store.lines[2]
	if len(dead) != 2 || !strings.HasPrefix(dead[1], "refused,pipeline=sensor-data,place=kafka:processed-data,reason=not_accepted ") ||
		!strings.Contains(dead[1], "offset=2i") || !strings.Contains(dead[1], `detail="too large"`) {
		t.Errorf("refused messages are kept as %q", dead)
	}
}

// TestDecoderBusy: a message that cannot be decoded now, because its schema
// cannot be had, is not refused. It stays with its source.
func TestDecoderBusy(t *testing.T) {
	away := httptest.NewServer(nil)
	away.Close()
	w := newWorld()
	s, in := w.start(t, fmt.Sprintf(`
pipelines:
  a:
    source: {kafka: {topics: [t]}}
    decode: {avro: {registry: {url: %q}, measurement: m}}
    sinks: [{store: {}}]
`, away.URL), "a")
	if _, err := in.Take(context.Background(), messages("\x00\x00\x00\x00\x01x", "nothing")); !errors.Is(err, source.ErrBusy) {
		t.Fatalf("got %v", err)
	}
	if st := s.Status()[0]; st.Failures != 1 || st.Refused != 0 || len(w.store.lines[2]) != 0 {
		t.Errorf("status %+v, kept %q", st, w.store.lines[2])
	}
}

// TestManyRefused: a message of very many bad records is kept once, not once for
// each of them.
func TestManyRefused(t *testing.T) {
	w := newWorld()
	_, in := w.start(t, Builtin(), "sensor-data")
	const n = 20000
	text := "[" + strings.Repeat("{},", n-1) + "{}]"
	result, err := in.Take(context.Background(), messages(text, "bad"))
	if err != nil || result.Refused != n+1 || result.Dropped != 0 {
		t.Fatalf("got %+v, %v", result, err)
	}
	dead := w.store.lines[2]
	size := 0
	for _, line := range dead {
		size += len(line)
	}
	if len(dead) > 200 || size > 200<<10 {
		t.Errorf("%d points of %d bytes", len(dead), size)
	}
	if last := dead[len(dead)-2]; !strings.Contains(last, "more=19900i") || !strings.Contains(last, "record=99i") {
		t.Errorf("the last that is listed is %s", last)
	}
}

// TestDeadLetterRefused: who writes to the bucket of refused messages cannot stop a
// pipeline.
func TestDeadLetterRefused(t *testing.T) {
	w := newWorld()
	w.store.refuseDead = func(line string) string {
		if strings.HasPrefix(line, "refused,") {
			return "type_conflict"
		}
		return ""
	}
	_, in := w.start(t, Builtin(), "sensor-data")
	for range 2 {
		if result, err := in.Take(context.Background(), messages("bad", reading(1, "t", "seoul", 1, 1))); err != nil || result.Stored != 1 || result.Refused != 1 {
			t.Fatalf("got %+v, %v", result, err)
		}
	}
	if dead := w.store.lines[2]; len(dead) != 2 || !strings.HasPrefix(dead[0], "refused_") {
		t.Errorf("kept %q", dead)
	}
}

// TestDeadTopic: refused messages go to a topic as they were; one that is too large
// for it goes there shortened, and says so.
func TestDeadTopic(t *testing.T) {
	w := newWorld()
	_, in := w.start(t, `
pipelines:
  p:
    source: {kafka: {}}
    decode: {json: {measurement: m, fields: {v: float}}}
    sinks: [{store: {}}]
    dead_letter: {kafka: {topic: refused}}
`, "p")
	dead := w.producers["refused"]
	dead.most = maxKeptPayload
	result, err := in.Take(context.Background(), messages("bad", strings.Repeat("x", maxKeptPayload+1)))
	if err != nil || result.Refused != 2 {
		t.Fatalf("got %+v, %v", result, err)
	}
	if len(dead.out) != 2 || !strings.HasPrefix(dead.out[0], " bad varve-pipeline=p ") || strings.Contains(dead.out[0], "truncated") ||
		!strings.HasPrefix(dead.out[1], " "+strings.Repeat("x", maxKeptPayload)+" varve-pipeline=p ") ||
		!strings.HasSuffix(dead.out[1], fmt.Sprintf(" varve-bytes=%d varve-truncated=true", maxKeptPayload+1)) {
		t.Errorf("passed on %.300q", dead.out)
	}
	dead.most = 1 // then the bucket alone has it
	if result, err := in.Take(context.Background(), messages("bad")); err != nil || result.Refused != 1 || len(dead.out) != 2 || len(w.store.lines[2]) != 3 {
		t.Errorf("got %+v, %v", result, err)
	}
}

// TestKeys: a record that is passed on has the same key each time, whatever else
// was handed over with it and became of its neighbours.
func TestKeys(t *testing.T) {
	w := newWorld()
	_, in := w.start(t, Builtin(), "sensor-data")
	two := "[" + reading(1, "t", "a", 1, 1) + "," + reading(1, "t", "b", 1, 1) + "]"
	all := messages(reading(1, "t", "c", 1, 1), two, "["+reading(1, "t", "a", 999, 1)+","+reading(1, "t", "b", 1, 1)+"]")
	if _, err := in.Take(context.Background(), all); err != nil {
		t.Fatal(err)
	}
	if _, err := in.Take(context.Background(), all[1:]); err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, out := range w.producers["processed-data"].out {
		key, _, _ := strings.Cut(out, " ")
		keys = append(keys, key)
	}
	if diff := cmp.Diff([]string{"sensor-data/3/0", "sensor-data/3/1/0", "sensor-data/3/1/1", "sensor-data/3/2/1",
		"sensor-data/3/1/0", "sensor-data/3/1/1", "sensor-data/3/2/1"}, keys); diff != "" {
		t.Error(diff)
	}
}

// TestTwoStores: what one bucket has a field registered as is no matter of another.
func TestTwoStores(t *testing.T) {
	w := newWorld()
	w.store.types = map[string]column.Type{"1/v": column.Int64}
	_, in := w.start(t, `
pipelines:
  p:
    source: {kafka: {}}
    decode: {json: {measurement: m, time: t, fields: {v: float}}}
    sinks: [{store: {bucket: default}}, {store: {bucket: other}}]
`, "p")
	if _, err := in.Take(context.Background(), messages(`{"t":1767366241,"v":3}`)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[uint64][]string{1: {"m v=3i 1767366241000000000"}, 3: {"m v=3 1767366241000000000"}}, w.store.lines); diff != "" {
		t.Error(diff)
	}
}

// TestPanic: a message that makes a decoder panic is refused, and those beside it
// are not.
func TestPanic(t *testing.T) {
	w := newWorld()
	_, in := w.start(t, "pipelines: {p: {source: {kafka: {}}, decode: {value: {measurement: m}}, sinks: [{store: {}}]}}", "p")
	set := in.(*running)
	set.current.format = panicking{set.current.format}
	result, err := in.Take(context.Background(), messages("1", "panic", "2"))
	if err != nil || result.Stored != 2 || result.Refused != 1 {
		t.Errorf("got %+v, %v", result, err)
	}
	if dead := w.store.lines[2]; len(dead) != 1 || !strings.Contains(dead[0], "reason=internal_error") {
		t.Errorf("kept %q", dead)
	}
}

// panicking is a format whose decoder panics when the message says so.
type panicking struct{ decode.Format }

func (p panicking) Decoder() decode.Decoder { return panickingDecoder{p.Format.Decoder()} }

type panickingDecoder struct{ decode.Decoder }

func (d panickingDecoder) Decode(m *source.Message, n int, now int64, out *record.List) error {
	if string(m.Payload) == "panic" {
		out.Add(n)
		panic("as the message says")
	}
	return d.Decoder.Decode(m, n, now, out)
}

// TestStoreRefuses: what the store refuses is kept, and is not passed on.
func TestStoreRefuses(t *testing.T) {
	w := newWorld()
	w.store.refuse = func(line string) string {
		if strings.Contains(line, "busan") {
			return "type_conflict"
		}
		return ""
	}
	_, in := w.start(t, Builtin(), "sensor-data")
	result, err := in.Take(context.Background(), messages(reading(1, "t", "busan", 1, 1), reading(1, "t", "seoul", 1, 1), reading(2, "t", "busan", 1, 1)))
	if err != nil || result.Stored != 1 || result.Refused != 2 {
		t.Errorf("got %+v, %v", result, err)
	}
	if out := w.producers["processed-data"].out; len(out) != 1 || !strings.HasPrefix(out[0], "sensor-data/3/1 ") {
		t.Errorf("passed on %q", out)
	}
	if dead := w.store.lines[2]; len(dead) != 2 || !strings.Contains(dead[0], "place=store,reason=type_conflict") {
		t.Errorf("kept %q", dead)
	}
}

// TestFailures: when store, sink or dead-letter place fail, Take says so: the
// source must not acknowledge. Later the same messages go through.
func TestFailures(t *testing.T) {
	away := &source.BusyError{Reason: "no room"}
	for _, c := range []struct {
		name string
		set  func(w *world, err error)
	}{
		{"store", func(w *world, err error) { w.store.fail = err }},
		{"sink", func(w *world, err error) { w.producers["processed-data"].fail = err }},
	} {
		w := newWorld()
		s, in := w.start(t, Builtin(), "sensor-data")
		c.set(w, away)
		batch := messages(reading(1, "t", "seoul", 1, 1), "bad")
		if _, err := in.Take(context.Background(), batch); !errors.Is(err, source.ErrBusy) {
			t.Errorf("%s: got %v", c.name, err)
		}
		c.set(w, nil)
		if result, err := in.Take(context.Background(), batch); err != nil || result.Stored != 1 || result.Refused != 1 {
			t.Errorf("%s: got %+v, %v", c.name, result, err)
		}
		st := s.Status()[0]
		if st.Failures != 1 {
			t.Errorf("%s: %d failures", c.name, st.Failures)
		}
		// What was handed over again is counted once.
		for _, step := range st.Steps {
			switch want := (map[string]uint64{"decode": 1}[step.Name]); {
			case step.Passed+step.Changed != 1, step.Refused != want:
				t.Errorf("%s: step %+v", c.name, step)
			}
		}
	}
	w := newWorld()
	delete(w.store.buckets, DeadBucket)
	_, in := w.start(t, Builtin(), "sensor-data")
	if _, err := in.Take(context.Background(), messages("bad")); !errors.Is(err, source.ErrBusy) {
		t.Errorf("a message that could not be kept: got %v", err)
	}
}

// TestRepeats: a step that drops repeats does not drop messages that come again
// because they could not be stored.
func TestRepeats(t *testing.T) {
	w := newWorld()
	_, in := w.start(t, `
pipelines:
  p:
    source: {kafka: {}}
    decode: {json: {measurement: m, time: t, fields: {v: float}}}
    transform: [{deduplicate: {within: 1h}}]
    sinks: [{store: {}}]
`, "p")
	w.store.fail = &source.BusyError{Reason: "no room"}
	batch := messages(`{"t":1767366241,"v":1}`)
	if _, err := in.Take(context.Background(), batch); err == nil {
		t.Fatal("stored although there is no room")
	}
	w.store.fail = nil
	if result, err := in.Take(context.Background(), batch); err != nil || result.Stored != 1 {
		t.Errorf("handed over again: %+v, %v", result, err)
	}
	if result, err := in.Take(context.Background(), batch); err != nil || result.Dropped != 1 {
		t.Errorf("a repeat: %+v, %v", result, err)
	}
}

// TestRefusedMayComeAgain: a step that drops repeats knows nothing of records that
// a step behind it or a sink refused, so that they can come again, repaired or to a
// pipeline that was.
func TestRefusedMayComeAgain(t *testing.T) {
	w := newWorld()
	_, in := w.start(t, `
pipelines:
  p:
    source: {kafka: {}}
    decode: {json: {measurement: m, time: t, fields: {id: int, v: float}}}
    transform: [{deduplicate: {within: 1h, key: [id]}}, {range: {field: v, max: 10}}, {drop: v == 5}]
    sinks: [{store: {}}]
`, "p")
	take := func(want source.Result, texts ...string) {
		t.Helper()
		got, err := in.Take(context.Background(), messages(texts...))
		if got.Reason = ""; err != nil || got != want {
			t.Errorf("%q: got %+v, %v, want %+v", texts, got, err, want)
		}
	}
	w.store.refuse = func(line string) string {
		if strings.Contains(line, "id=1i") {
			return "retention"
		}
		return ""
	}
	old := `{"t":1767366241,"id":1,"v":1}`
	take(source.Result{Refused: 1, Stored: 1}, old, `{"t":1767366241,"id":2,"v":1}`)
	w.store.refuse = nil // the retention is longer now
	take(source.Result{Stored: 1}, old)
	take(source.Result{Dropped: 2}, old, `{"t":1767366241,"id":2,"v":1}`)
	// By a step; and in one batch.
	take(source.Result{Refused: 1}, `{"t":1767366241,"id":3,"v":11}`)
	take(source.Result{Stored: 1}, `{"t":1767366241,"id":3,"v":9}`)
	take(source.Result{Refused: 1, Stored: 1, Dropped: 1}, `{"t":1767366241,"id":4,"v":11}`, `{"t":1767366241,"id":4,"v":9}`, `{"t":1767366241,"id":4,"v":8}`)
	// What was dropped on purpose is not refused.
	take(source.Result{Dropped: 1}, `{"t":1767366241,"id":5,"v":5}`)
	take(source.Result{Dropped: 1}, `{"t":1767366241,"id":5,"v":6}`)
}

// TestFailuresChangeNoVerdict: what a step finds is the same when messages come
// again because they could not be stored.
func TestFailuresChangeNoVerdict(t *testing.T) {
	w := newWorld()
	_, in := w.start(t, `
pipelines:
  p:
    source: {kafka: {}}
    decode: {json: {measurement: m, time: t, fields: {v: float}}}
    validate: [{stuck: {field: v, readings: 3, then: refuse}}]
    tag: [{rate: {field: v, most: 5, flag: fast}}]
    sinks: [{store: {}}]
`, "p")
	batch := messages(`{"t":1767366241,"v":1}`, `{"t":1767366242,"v":9}`, `{"t":1767366243,"v":9}`, `{"t":1767366244,"v":9}`)
	w.store.fail = &source.BusyError{Reason: "no room"}
	for range 2 {
		if _, err := in.Take(context.Background(), batch); err == nil {
			t.Fatal("stored although there is no room")
		}
	}
	w.store.fail = nil
	if got, err := in.Take(context.Background(), batch); err != nil || got.Stored != 3 || got.Refused != 1 {
		t.Errorf("got %+v, %v", got, err)
	}
	all := strings.Join(slices.Concat(slices.Collect(maps.Values(w.store.lines))...), "\n")
	if !strings.Contains(all, "m v=9,fast=true 1767366242000000000") || !strings.Contains(all, "m v=9,fast=false 1767366243000000000") {
		t.Error(all)
	}
}

// TestCasesBeginAnew: no case sees what one before it taught a step.
func TestCasesBeginAnew(t *testing.T) {
	f := newWorld().parse(t, `
pipelines: {p: {source: {kafka: {}}, decode: {value: {measurement: m}}, transform: [{deduplicate: {}}], sinks: [{store: {}}]}}
tests:
  - {name: one, pipeline: p, messages: ["1", "1"], expect: [{stored: "m value=1 1767225600000000000"}, {dropped: duplicate}]}
  - {name: two, pipeline: p, messages: ["1", "1"], expect: [{stored: "m value=1 1767225600000000000"}, {dropped: duplicate}]}
`)
	for i := range f.Cases {
		if wrong := f.Cases[i].Run(); wrong != nil {
			t.Errorf("%s: %q", f.Cases[i].Name, wrong)
		}
	}
}

// TestPoints: sources that bring points, with and without steps.
func TestPoints(t *testing.T) {
	w := newWorld()
	_, in := w.start(t, `
pipelines:
  p:
    source: data
    validate: [{range: {field: v, max: 10}}]
    sinks: [{store: {}}]
  q:
    source: {data: {}}
    sinks: [{store: {}}]
`, "p")
	parse := func(text string) *column.Batch {
		b, err := lineproto.NewParser(lineproto.Default()).Parse([]byte(text), lineproto.Nanosecond, 1)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	result, err := in.TakeBatch(context.Background(), 3, parse("m,a=b v=1 1\nm,a=b v=11 2\nm v=2,s=\"x\" 3\n"), &source.Message{Offset: -1})
	if err != nil || result.Stored != 2 || result.Refused != 1 {
		t.Errorf("with steps: %+v, %v", result, err)
	}
	if diff := cmp.Diff([]string{"m,a=b v=1 1", `m v=2,s="x" 3`}, w.store.lines[3]); diff != "" {
		t.Error(diff)
	}
	plain := <-w.sources["q"].intake
	w.store.refuse = func(line string) string {
		if strings.Contains(line, "v=11") {
			return "retention"
		}
		return ""
	}
	result, err = plain.TakeBatch(context.Background(), 0, parse("m,a=b v=1 1\nm,a=b v=11 2\n"), &source.Message{Offset: -1})
	if err != nil || result.Stored != 1 || result.Refused != 1 {
		t.Errorf("without steps: %+v, %v", result, err)
	}
	dead := w.store.lines[2]
	if len(dead) != 2 || !strings.Contains(dead[1], `payload="m,a=b v=11 2`) {
		t.Errorf("kept %q", dead)
	}
}

// TestLeft: points that the source left out of a batch are kept as they are, with
// their reasons, with and without steps, after the others are stored; so many that
// they go in parts, and not without end.
func TestLeft(t *testing.T) {
	two := func(yield func(*source.Left) bool) {
		for i := range 2 {
			if !yield(&source.Left{Reason: "type_conflict", Detail: "x is a float", Points: 1, Row: fmt.Sprintf(`m x="%d" 1`, i)}) {
				return
			}
		}
		yield(&source.Left{Reason: "type_conflict", Detail: "further rows", Points: 7})
	}
	batchOf := func(text string) *column.Batch {
		b, err := lineproto.NewParser(lineproto.Default()).Parse([]byte(text), lineproto.Nanosecond, 1)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, steps := range []string{"", "validate: [{range: {field: v, max: 10}}], "} {
		w := newWorld()
		s, in := w.start(t, "pipelines: {p: {source: data, "+steps+"sinks: [{store: {}}], dead_letter: {kafka: {topic: dead}}}}", "p")
		m := &source.Message{Topic: "/api/v2/write", Offset: -1, Left: two}
		w.store.fail = &source.BusyError{Reason: "no room"}
		if _, err := in.TakeBatch(context.Background(), 3, batchOf("m v=1 1"), m); err == nil || len(w.store.lines[2]) > 0 {
			t.Errorf("a batch that is not stored: %v, kept %q", err, w.store.lines[2])
		}
		w.store.fail = nil
		result, err := in.TakeBatch(context.Background(), 3, batchOf("m v=1 1"), m)
		if err != nil || result.Stored != 1 || result.Refused != 9 || result.Dropped != 0 || result.Reason != "type_conflict: x is a float" {
			t.Errorf("%q: %+v, %v", steps, result, err)
		}
		dead := w.store.lines[2]
		if len(dead) != 3 || !strings.HasPrefix(dead[1], "refused,pipeline=p,place=decode,reason=type_conflict ") ||
			!strings.Contains(dead[1], `payload="m x=\"1\" 1"`) || !strings.Contains(dead[1], `detail="x is a float"`) || !strings.Contains(dead[2], "more=6i") {
			t.Errorf("%q: kept %q", steps, dead)
		}
		if out := w.producers["dead"].out; len(out) != 3 || !strings.HasPrefix(out[0], ` m x="0" 1 varve-pipeline=p varve-place=decode varve-reason=type_conflict`) {
			t.Errorf("passed on %q", out)
		}
		st := s.Status()[0]
		if reasons := st.Steps[0].Reasons; st.Refused != 9 || st.Steps[0].Name != placeDecode || len(reasons) != 1 || reasons[0].Count != 9 {
			t.Errorf("status %+v", st)
		}
	}

	// Rows without end are counted.
	w := newWorld()
	_, in := w.start(t, "pipelines: {p: {source: data, sinks: [{store: {}}]}}", "p")
	long := strings.Repeat("x", 8<<20)
	result, err := in.TakeBatch(context.Background(), 3, batchOf(""), &source.Message{Offset: -1, Left: func(yield func(*source.Left) bool) {
		for range 100 {
			if !yield(&source.Left{Reason: "type_conflict", Points: 1, Row: long}) {
				return
			}
		}
	}})
	dead := w.store.lines[2]
	if err != nil || result.Refused != 100 || len(dead) != maxPoints/len(long) || !strings.Contains(dead[len(dead)-1], fmt.Sprintf("more=%di", 100-len(dead))) {
		t.Errorf("%+v, %v: kept %d", result, err, len(dead))
	}
}

// TestDeletes: deletes and writes of one call end as if they had been done one
// after the other.
func TestDeletes(t *testing.T) {
	list := new(record.List)
	add := func(del bool, tag string, at int64, fields ...string) {
		r := list.Add(0)
		r.Measurement, r.Delete, r.Time, r.Timed = "m", del, at, true
		r.SetTag("a", tag)
		for _, f := range fields {
			r.Set(f, record.Float(float64(list.Len())))
		}
	}
	add(false, "x", 1, "v", "w") // 0: taken back by 2
	add(false, "y", 1, "v")      // 1: stays
	add(true, "x", 1)            // 2
	add(false, "x", 1, "v")      // 3: stays
	add(true, "x", 2)            // 4
	add(false, "z", 1, "v", "w") // 5: loses w
	add(true, "z", 1, "w")       // 6
	add(false, "u", 1, "w")      // 7: loses all
	add(true, "u", 1, "w")       // 8
	add(false, "s", 1, "v")      // 9: of another measurement, which 10 empties
	list.At(9).Measurement = "n"
	add(true, "", 0) // 10
	list.At(10).Measurement, list.At(10).All, list.At(10).Timed = "n", true, false
	add(false, "s", 2, "v") // 11: stays
	list.At(11).Measurement = "n"
	add(false, "t", 1, "v", "w") // 12: taken back by 13
	add(true, "t", 1)            // 13
	add(true, "t", 1, "w")       // 14: and not brought back by this
	var live []int
	for i := range list.Len() {
		live = append(live, i)
	}
	store := newFakeStore()
	s := &storeSink{store: store, plain: true}
	if err := s.Pass(context.Background(), &Passage{Records: list, Live: live}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"m,a=y v=2 1", "m,a=x v=4 1", "m,a=z v=6 1", "n,a=s v=12 2"}, store.lines[1]); diff != "" {
		t.Error(diff)
	}
	slices.Sort(store.gone)
	if diff := cmp.Diff([]string{"all n", "m[{a t}] 1 []", "m[{a t}] 1 [w]", "m[{a u}] 1 [w]", "m[{a x}] 1 []", "m[{a x}] 2 []", "m[{a z}] 1 [w]"}, store.gone); diff != "" {
		t.Error(diff)
	}
}

// TestReload: rules change without a break of the source; a source that changes is
// ended and another begun; a file that cannot be opened changes nothing.
func TestReload(t *testing.T) {
	w := newWorld()
	file := func(source, limit, sink string) string {
		return fmt.Sprintf(`
pipelines:
  p:
    source: {kafka: {topics: [%s]}}
    decode: {json: {measurement: m, fields: {v: float}}}
    validate: [{range: {field: v, max: %s}}]
    sinks: [{store: {}}, {kafka: {topic: %s}}]
`, source, limit, sink)
	}
	s, in := w.start(t, file("a", "10", "out"), "p")
	take := func(in source.Intake) source.Result {
		t.Helper()
		result, err := in.Take(context.Background(), messages(`{"v":20}`))
		if err != nil {
			t.Fatal(err)
		}
		return result
	}
	if r := take(in); r.Refused != 1 {
		t.Fatalf("got %+v", r)
	}
	first := w.sources["p"]
	if err := s.Apply(w.parse(t, file("a", "30", "out"))); err != nil {
		t.Fatal(err)
	}
	if w.opened != 1 || take(in).Stored != 1 {
		t.Errorf("the source was opened %d times, or the new rule does not hold", w.opened)
	}
	if st := s.Status()[0]; st.Messages != 2 {
		t.Errorf("counts begin again: %+v", st)
	}
	w.fail = errors.New("no broker")
	if err := s.Apply(w.parse(t, file("b", "10", "elsewhere"))); err == nil || !strings.Contains(err.Error(), "no broker") {
		t.Errorf("got %v", err)
	}
	w.fail = nil
	if take(in).Stored != 1 {
		t.Error("a change that failed had an effect")
	}
	if err := s.Apply(w.parse(t, file("b", "10", "out"))); err != nil {
		t.Fatal(err)
	}
	<-first.ended
	if r := take(<-w.sources["p"].intake); r.Refused != 1 {
		t.Errorf("got %+v", r)
	}
	if err := s.Apply(w.parse(t, "")); err != nil || len(s.Status()) != 0 {
		t.Errorf("got %v and %d pipelines", err, len(s.Status()))
	}
}

// TestReloadWhileStuck: what waits for a sink that is gone does not hold up the
// change, and is told to hand over again.
func TestReloadWhileStuck(t *testing.T) {
	w := newWorld()
	stuck := make(chan struct{}, 1)
	w.store.wait = func(ctx context.Context) {
		stuck <- struct{}{}
		<-ctx.Done()
	}
	text := "pipelines: {p: {source: {kafka: {}}, decode: {value: {measurement: m}}, sinks: [{store: {bucket: %s}}]}}"
	s, in := w.start(t, fmt.Sprintf(text, "default"), "p")
	ended := make(chan error)
	go func() {
		w.store.mu.Lock()
		w.store.fail = context.Canceled
		w.store.mu.Unlock()
		_, err := in.Take(context.Background(), messages("1"))
		ended <- err
	}()
	<-stuck
	if err := s.Apply(w.parse(t, fmt.Sprintf(text, "other"))); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, source.ErrBusy) {
		t.Errorf("got %v", err)
	}
}

// TestHold: a source holds its place from before the one of before ends until its
// pipeline is taken out of the file, and longer if the server stops.
func TestHold(t *testing.T) {
	w := newWorld()
	text := "pipelines: {p: {source: {mqtt: {topics: [%s]}}, decode: {value: {measurement: m}}, sinks: [{%s: {}}]}}"
	s, _ := w.start(t, fmt.Sprintf(text, "a", "store"), "p")
	first := w.sources["p"]
	if !isClosed(first.held) || isClosed(first.released) {
		t.Error("it does not hold its place while it runs")
	}
	w.fail = errors.New("no broker")
	if err := s.Apply(w.parse(t, "pipelines: {"+
		"a: {source: {mqtt: {}}, decode: {value: {measurement: m}}, sinks: [{store: {}}]}, "+
		"p: {source: {mqtt: {}}, decode: {value: {measurement: m}}, sinks: [{kafka: {topic: x}}]}}")); err == nil {
		t.Fatal("it was applied")
	}
	if isClosed(w.sources["a"].held) || isClosed(first.released) {
		t.Error("a change that failed had an effect")
	}
	if err := s.Apply(w.parse(t, fmt.Sprintf(text, "b", "store"))); err != nil {
		t.Fatal(err)
	}
	second := w.sources["p"]
	<-second.held
	<-first.released
	if isClosed(second.released) {
		t.Error("the new one does not hold its place")
	}
	if err := s.Apply(w.parse(t, "pipelines: {q: {source: {mqtt: {}}, decode: {value: {measurement: m}}, sinks: [{store: {}}]}}")); err != nil {
		t.Fatal(err)
	}
	<-second.released
	s.Close()
	if third := w.sources["q"]; !isClosed(third.ended) || isClosed(third.released) {
		t.Error("when the server stops the source has to end and its place to be held")
	}
}

// TestReloadBesideStuck: a pipeline that is changed and takes long to let go of
// what it has holds up neither its own new rules nor the sources of others.
func TestReloadBesideStuck(t *testing.T) {
	w := newWorld()
	stuck, goOn := make(chan struct{}), make(chan struct{})
	var writes atomic.Int64
	w.store.wait = func(context.Context) {
		if writes.Add(1) == 1 {
			close(stuck)
			<-goOn
		}
	}
	text := "pipelines: {p: {source: {kafka: {}}, decode: {value: {measurement: m}}, sinks: [{store: {bucket: %s}}]}, " +
		"q: {source: {kafka: {topics: [%s]}}, decode: {value: {measurement: m}}, sinks: [{store: {}}]}}"
	s, in := w.start(t, fmt.Sprintf(text, "default", "a"), "p")
	go in.Take(context.Background(), messages("1"))
	<-stuck
	before := <-w.sources["q"].intake
	applied := make(chan error)
	f := w.parse(t, fmt.Sprintf(text, "other", "b"))
	first := w.sources["q"]
	go func() { applied <- s.Apply(f) }()
	<-first.ended
	if q := <-w.sources["q"].intake; q == before {
		t.Error("it is the source of before")
	}
	if _, err := in.Take(context.Background(), messages("2")); err != nil {
		t.Error(err)
	}
	w.store.mu.Lock()
	if got := w.store.lines[3]; len(got) != 1 {
		t.Errorf("the new rules have stored %q", got)
	}
	w.store.mu.Unlock()
	select {
	case err := <-applied:
		t.Errorf("it is applied while the pipeline of before is in use: %v", err)
	default:
	}
	close(goOn)
	if err := <-applied; err != nil {
		t.Error(err)
	}
}

func TestMistakes(t *testing.T) {
	for _, c := range []struct{ text, says string }{
		{"pipelines:\n  p: {}", `test.yaml:2:6: pipelines.p: want a source: one of data, kafka, mqtt, write`},
		{"pipeline: {}", `test.yaml:1:11: pipeline: there is no such section`},
		{"pipelines:\n  p:\n    source: {kafka: {topcs: [a]}}\n    decode: {value: {}}\n    sinks: [{store: {}}]", `test.yaml:3:22: pipelines.p.source.kafka.topcs: there is no such key; did you mean topics?`},
		{"pipelines:\n  p:\n    source: {kafka: {}}\n    decode: {value: {}}\n    validate:\n      - rule: valu > 3\n    sinks: [{store: {}}]", `test.yaml:6:15: pipelines.p.validate[1].rule: unknown name valu; there are client, measurement, now, time, topic, value`},
		{"pipelines:\n  p:\n    source: {kafka: {}}\n    decode: {value: {}}\n    tag:\n      - set: {x: 'value >'}\n    sinks: [{store: {}}]", `test.yaml:6:2`},
		{"pipelines:\n  p:\n    source: {kafka: {}}\n    decode: {value: {}}\n    validate: [{rnge: {}}]\n    sinks: [{store: {}}]", `did you mean range?`},
		{"pipelines:\n  p:\n    source: {kafka: {}}\n    decode: {value: {}}\n    sinks: [{store: {fields: [x]}}]", `records have no field "x" here`},
		{"pipelines:\n  p:\n    source: {kafka: {}}\n    decode: {value: {}}\n    sinks: []", `want sinks`},
		{"pipelines:\n  p:\n    source: {kafka: {brokers: ['${NOPE}']}}\n    decode: {value: {}}\n    sinks: [{store: {}}]", `there is no environment variable NOPE`},
		{"pipelines:\n  p:\n    source: {kafka: {}}\n    decode: {value: {type: '${SECRET}'}}\n    sinks: [{store: {}}]", `"${…}": want one of float`},
		{"pipelines:\n  p: {source: write, sinks: [{store: {}}]}\n  q: {source: write, sinks: [{store: {}}]}", `test.yaml:3:15: pipelines.q.source.write: pipeline p has this source already`},
		{"pipelines: [", `this is not YAML`},
		{"a: &a {b: *a}", `nested too deep`},
		{"x-a: &a [1,1]\nx-b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nx-c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nx-d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\nx-e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nx-f: [*e,*e,*e,*e,*e,*e,*e,*e,*e]", `stands for more than`},
		{"tests: [{name: x, pipeline: p, message: '', at: '9999-01-01T00:00:00Z', expect: []}]", `outside of the years 1677 to 2262`},
		{"tests: [{name: x, pipeline: p, message: '', expect: []}]", `there is no pipeline "p" in this file`},
	} {
		_, err := Parse("test.yaml", []byte(c.text), newWorld().kinds(), func(name string) (string, bool) { return "s3cret", name == "SECRET" })
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s\ngot  %v\nwant %s", c.text, err, c.says)
		}
	}
}

// TestCasesFail: a case that does not hold says what is different.
func TestCasesFail(t *testing.T) {
	f := newWorld().parse(t, `
pipelines: {p: {source: {kafka: {}}, decode: {value: {measurement: m}}, tag: [{set: {twice: value * 2}}], sinks: [{store: {}}, {kafka: {topic: t}}]}}
tests:
  - {name: good, pipeline: p, message: "1", expect: [{stored: "m value=1,twice=2 1767225600000000000", passed: {twice: 2.0}}]}
  - {name: wrong, pipeline: p, messages: ["1", "x", "2"], expect: [{stored: "m value=1 0", passed: {twice: 3}}, {refused: bad_json}]}
`)
	if wrong := f.Cases[0].Run(); wrong != nil {
		t.Errorf("got %q", wrong)
	}
	if wrong := f.Cases[1].Run(); len(wrong) != 4 {
		t.Errorf("got %d: %q", len(wrong), wrong)
	}
}

// BenchmarkDefault is the pipeline that comes with the program, without store and
// broker.
func BenchmarkDefault(b *testing.B) {
	w := newWorld()
	_, in := w.start(b, Builtin(), "sensor-data")
	set := in.(*running)
	set.current.sinks = []Sink{nothing{}}
	var texts []string
	for i := range 1000 {
		texts = append(texts, reading(i%60, "temperature", fmt.Sprint("place", i%50), 10+i%40, 80+i%20))
	}
	batch := messages(texts...)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := in.Take(context.Background(), batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(batch)), "ns/message")
}

type nothing struct{}

func (nothing) Name() string                         { return "nothing" }
func (nothing) Pass(context.Context, *Passage) error { return nil }
func (nothing) Close() error                         { return nil }
