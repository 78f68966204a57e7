package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/pipeline/step"
	"github.com/varvedb/varve/protocol/lineproto"
	"github.com/varvedb/varve/source"
)

const dense = `
pipelines:
  p:
    source: {%s: {}}
    %s
    validate: [{range: {field: v, max: 5}}]
    sinks: [{store: {}}]
`

// TestDense: few bytes that stand for very many records take no memory to match,
// and all is accounted for.
func TestDense(t *testing.T) {
	w := newWorld()
	_, in := w.start(t, fmt.Sprintf(dense, "kafka", "decode: {json: {measurement: m, fields: {v: float}}}"), "p")
	most := 0
	w.store.wait = func(context.Context) {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		most = max(most, int(m.HeapAlloc))
	}
	w.store.refuse = func(string) string { return "retention" } // it keeps nothing
	text := `[{"v":9}` + strings.Repeat(`,{"v":1}`, 50_000) + `]`
	var texts []string
	for range 40 {
		texts = append(texts, text)
	}
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	result, err := in.Take(context.Background(), messages(texts...))
	if err != nil || result.Stored != 0 || result.Refused != 40*50_001 {
		t.Errorf("got %+v, %v", result, err)
	}
	// All at once would be two million records, of 300 bytes and more.
	if grown := most - int(before.HeapAlloc); grown > 200<<20 {
		t.Errorf("%d MiB are in use on the way", grown>>20)
	}
	// Of each message the first hundred are listed.
	if n := len(w.store.lines[2]); n != 40*maxListed {
		t.Errorf("%d are kept", n)
	}
}

// TestTooManyRecords: a message that makes more records than is good is refused,
// and nothing of it is stored.
func TestTooManyRecords(t *testing.T) {
	w := newWorld()
	s, in := w.start(t, fmt.Sprintf(dense, "kafka", "decode: {json: {measurement: m, fields: {v: float}}}"), "p")
	result, err := in.Take(context.Background(), messages(`{"v":1}`, `[{"v":1}`+strings.Repeat(`,{"v":1}`, maxMessageRecords)+`]`, `{"v":2}`))
	if err != nil || result.Stored != 2 || result.Refused != 1 || !strings.Contains(result.Reason, "more than 131072 records: send them in several messages") {
		t.Errorf("got %+v, %v", result, err)
	}
	if len(w.store.lines[1]) != 2 || len(w.store.lines[2]) != 1 {
		t.Errorf("%d are stored and %d kept", len(w.store.lines[1]), len(w.store.lines[2]))
	}
	if st := s.Status()[0]; st.Messages != 3 || st.Steps[0].Passed != 2 || st.Steps[0].Refused != 1 || st.Steps[2].Passed != 2 {
		t.Errorf("counted %+v", st)
	}
}

// lines returns a batch of points with values 0 to 9, and which of them are beyond
// 5.
func lines(t *testing.T, n int) (b *column.Batch, beyond int) {
	t.Helper()
	var text []byte
	for i := range n {
		text = fmt.Appendf(text, "m,k=%d v=%d %d\n", i%7, i%10, i+1)
		if i%10 > 5 {
			beyond++
		}
	}
	b, err := lineproto.NewParser(lineproto.Default()).Parse(text, lineproto.Nanosecond, 1)
	if err != nil {
		t.Fatal(err)
	}
	return b, beyond
}

// TestBatchInParts: a batch of points goes through the steps some at a time; what
// the source left out of it is kept once.
func TestBatchInParts(t *testing.T) {
	w := newWorld()
	s, in := w.start(t, fmt.Sprintf(dense, "data", ""), "p")
	const n = 2*largePart + 17
	b, beyond := lines(t, n)
	m := &source.Message{Offset: -1, Left: func(yield func(*source.Left) bool) {
		yield(&source.Left{Reason: "type_conflict", Detail: "v is a text", Points: 1, Row: "m v=\"x\" 1"})
	}}
	result, err := in.TakeBatch(context.Background(), 0, b, m)
	if err != nil || result.Stored != n-beyond || result.Refused != beyond+1 || result.Dropped != 0 || !strings.HasPrefix(result.Reason, "type_conflict") {
		t.Errorf("got %+v, %v", result, err)
	}
	if len(w.store.lines[1]) != n-beyond || len(w.store.lines[2]) != beyond+1 {
		t.Errorf("%d are stored and %d kept", len(w.store.lines[1]), len(w.store.lines[2]))
	}
	if st := s.Status()[0]; st.Messages != 1 || st.Records != n || st.Stored != uint64(n-beyond) || st.Refused != uint64(beyond+1) {
		t.Errorf("counted %+v", st)
	}
	// Nothing but what was left out.
	if result, err := in.TakeBatch(context.Background(), 0, new(column.Batch), m); err != nil || result.Refused != 1 || result.Stored != 0 {
		t.Errorf("without rows: got %+v, %v", result, err)
	}
}

// TestFailureInALaterPart: all of a call comes again when its second part could not be
// stored, and the first is judged as it was.
func TestFailureInALaterPart(t *testing.T) {
	w := newWorld()
	_, in := w.start(t, `
pipelines:
  p:
    source: data
    transform: [{deduplicate: {within: 1h}}]
    tag: [{rate: {field: v, most: 1, per: 1ns, flag: fast}}]
    sinks: [{store: {bucket: default}}]
`, "p")
	const n = largePart + 17
	var text []byte
	for i := range n {
		text = fmt.Appendf(text, "m v=%d %d\n", i%10, i+1)
	}
	b, err := lineproto.NewParser(lineproto.Default()).Parse(text, lineproto.Nanosecond, 1)
	if err != nil {
		t.Fatal(err)
	}
	writes := 0
	w.store.wait = func(context.Context) {
		if writes++; writes == 2 {
			w.store.fail = &source.BusyError{Reason: "no room"}
		}
	}
	if _, err := in.TakeBatch(context.Background(), 0, b, &source.Message{Offset: -1}); err == nil || len(w.store.lines[1]) != largePart {
		t.Fatalf("%v, %d are stored", err, len(w.store.lines[1]))
	}
	first := w.store.lines[1]
	w.store.fail, w.store.lines = nil, map[uint64][]string{}
	result, err := in.TakeBatch(context.Background(), 0, b, &source.Message{Offset: -1})
	if err != nil || result.Stored != n {
		t.Fatalf("again: %+v, %v", result, err)
	}
	again := w.store.lines[1]
	if !slices.Equal(first, again[:largePart]) {
		t.Error("the first part is judged in another way when it comes again")
	}
	for i, line := range again[1:] {
		if want := fmt.Sprintf("m v=%d,fast=%v %d", (i+1)%10, (i+1)%10 == 0, i+2); line != want {
			t.Fatalf("got %s, want %s", line, want)
		}
	}
	if result, err := in.TakeBatch(context.Background(), 0, b, &source.Message{Offset: -1}); err != nil || result.Dropped != n {
		t.Errorf("a repeat: %+v, %v", result, err)
	}
}

// TestColumnsRefused: what the store refuses of columns that are stored as they
// are is kept row by row.
func TestColumnsRefused(t *testing.T) {
	w := newWorld()
	s, in := w.start(t, "pipelines: {p: {source: {data: {}}, sinks: [{store: {}}]}}", "p")
	w.store.refuse = func(line string) string {
		if strings.Contains(line, "v=9 ") {
			return "retention"
		}
		return ""
	}
	const n = 10*smallPart + 200
	b, _ := lines(t, n)
	result, err := in.TakeBatch(context.Background(), 0, b, &source.Message{Offset: -1})
	if err != nil || result.Stored != n-n/10 || result.Refused != n/10 || result.Reason != "retention: because" {
		t.Errorf("got %+v, %v", result, err)
	}
	if dead := w.store.lines[2]; len(dead) != n/10 || !strings.Contains(dead[n/10-1], "payload=\"m,k=") {
		t.Errorf("%d are kept", len(dead))
	}
	if st := s.Status()[0]; st.Stored != n-n/10 || st.Steps[0].Passed != n-n/10 || st.Steps[0].Refused != n/10 {
		t.Errorf("counted %+v", st)
	}
}

// TestPanicInBatch: points that make a step panic are refused.
func TestPanicInBatch(t *testing.T) {
	w := newWorld()
	_, in := w.start(t, fmt.Sprintf(dense, "data", ""), "p")
	in.(*running).current.steps[0] = new(step.Declared) // which panics
	b, _ := lines(t, 30)
	result, err := in.TakeBatch(context.Background(), 0, b, &source.Message{Offset: -1})
	if err != nil || result.Stored != 0 || result.Refused != 30 || !strings.HasPrefix(result.Reason, "internal_error") {
		t.Errorf("got %+v, %v", result, err)
	}
}

// TestMemoryOfRecords: a call for which there is no memory waits for that of
// others, in its own pipeline.
func TestMemoryOfRecords(t *testing.T) {
	w := newWorld()
	s := NewSet(Parts{Store: w.store, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return arrival }, Memory: 1})
	text := "{source: {kafka: {}}, decode: {value: {measurement: m}}, sinks: [{store: {bucket: %s}}]}"
	if err := s.Apply(w.parse(t, fmt.Sprintf("pipelines: {p: "+text+", q: "+text+"}", "default", "other"))); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	p, q := <-w.sources["p"].intake, <-w.sources["q"].intake
	entered, goOn := make(chan struct{}, 10), make(chan struct{})
	w.store.wait = func(context.Context) {
		entered <- struct{}{}
		<-goOn
	}
	large := messages(make([]string, smallMessages+1)...)
	for i := range large {
		large[i].Payload = []byte("1")
	}
	ended := make(chan error, 3)
	take := func(in source.Intake, m []source.Message) { _, err := in.Take(context.Background(), m); ended <- err }
	go take(p, large)
	<-entered
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := p.Take(ctx, large); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a second large call: %v", err)
	}
	go take(p, large[:1])
	<-entered
	go take(q, large)
	<-entered
	close(goOn)
	for range 3 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// TestCountedOnce: a call of which a later part fails is counted when it has come
// again and is safe.
func TestCountedOnce(t *testing.T) {
	w := newWorld()
	s, in := w.start(t, fmt.Sprintf(dense, "kafka", "decode: {json: {measurement: m, fields: {v: float}}}"), "p")
	const n = largePart + 1000
	texts := make([]string, n)
	for i := range texts {
		texts[i] = `{"v":1}`
	}
	texts[7] = "bad"
	writes := 0
	w.store.wait = func(context.Context) {
		writes++
		w.store.mu.Lock()
		defer w.store.mu.Unlock()
		if w.store.fail = nil; writes == 3 { // the first part, its refused message, the second part
			w.store.fail = &source.BusyError{Reason: "no room"}
		}
	}
	all := messages(texts...)
	if _, err := in.Take(context.Background(), all); !errors.Is(err, source.ErrBusy) {
		t.Fatalf("got %v after %d writes", err, writes)
	}
	if st := s.Status()[0]; st.Messages+st.Records+st.Stored+st.Refused != 0 || st.Failures != 1 {
		t.Errorf("of a call that failed are counted %+v", st)
	}
	if _, err := in.Take(context.Background(), all); err != nil {
		t.Fatal(err)
	}
	st := s.Status()[0]
	if st.Messages != n || st.Records != n-1 || st.Stored != n-1 || st.Refused != 1 || st.Failures != 1 {
		t.Errorf("counted %+v", st)
	}
	for i, want := range []uint64{n - 1, n - 1, n - 1} {
		if st.Steps[i].Passed != want {
			t.Errorf("%s: %+v", st.Steps[i].Name, st.Steps[i])
		}
	}
}

// TestShare: the memory of records is divided anew when pipelines come and go, what
// is in use included.
func TestShare(t *testing.T) {
	const list = largePart * recordBytes
	w := newWorkers()
	free := func(want int) {
		t.Helper()
		if got := len(w.large); got != want {
			t.Errorf("%d lists are free, want %d", got, want)
		}
	}
	w.share(0, 1)
	free(mostLists())
	a, b := <-w.large, <-w.large
	w.share(6*list, 6) // one, of two in use
	free(0)
	w.giveBack(a)
	free(0)
	w.share(6*list, 2)
	free(2)
	w.giveBack(b)
	free(3)
	w.share(1, 100)
	free(1)
	w.share(1<<40, 1)
	free(mostLists())
}

// TestLongTexts: the texts of one message that stand in each of its records are
// stored and passed on some at a time.
func TestLongTexts(t *testing.T) {
	w := newWorld()
	_, in := w.start(t, `
pipelines:
  p:
    source: {kafka: {}}
    decode: {json: {measurement: m, each: list, tags: {site: $.site, k: k}, fields: {v: float}}}
    sinks: [{kafka: {topic: out}}, {store: {}}]
`, "p")
	writes := 0
	w.store.wait = func(context.Context) { writes++ }
	w.store.refuse = func(string) string { return "retention" } // it keeps nothing
	text := fmt.Appendf(nil, `{"site":%q,"list":[{"v":1,"k":"0"}`, strings.Repeat("x", 30_000))
	const n = 3000 // 90 MB
	for i := 1; i < n; i++ {
		text = fmt.Appendf(text, `,{"v":1,"k":"%d"}`, i)
	}
	result, err := in.Take(context.Background(), messages(string(text)+"]}"))
	if err != nil || result.Refused != n {
		t.Fatalf("got %+v, %v", result, err)
	}
	if writes < 5 || writes > 12 { // one of them of what was refused
		t.Errorf("stored by %d writes", writes)
	}
	out := w.producers["out"]
	if len(out.out) != n || out.calls < 5 {
		t.Errorf("%d are passed on by %d calls", len(out.out), out.calls)
	}
}
