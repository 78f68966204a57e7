package trace

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"
)

// notes is a Recorder that writes down what it is told.
type notes struct {
	name string
	all  *[]string
}

func (n *notes) say(format string, args ...any) {
	*n.all = append(*n.all, n.name+": "+fmt.Sprintf(format, args...))
}

func (n *notes) Child(name string, start time.Time) Recorder {
	n.say("child %s", name)
	return &notes{name, n.all}
}

func (n *notes) Int(key string, value int64) { n.say("%s=%d", key, value) }
func (n *notes) String(key, value string)    { n.say("%s=%s", key, value) }
func (n *notes) Fail(err error)              { n.say("failed: %v", err) }
func (n *notes) End(time.Time)               { n.say("end") }

func TestSpans(t *testing.T) {
	var all []string
	ctx := WithSpan(context.Background(), NewSpan(&notes{"root", &all}))
	below, s := Start(ctx, "a")
	s.Int("rows", 3)
	_, b := Start(below, "b")
	b.End(errors.New("no"))
	s.Timed("sync", time.Unix(1, 0), time.Unix(2, 0), Number{"appends", 2})
	s.String("why", "so")
	s.End(nil)
	want := []string{"root: child a", "a: rows=3", "a: child b", "b: failed: no", "b: end",
		"a: child sync", "sync: appends=2", "sync: end", "a: why=so", "a: end"}
	if !slices.Equal(all, want) {
		t.Errorf("recorded\n%q, want\n%q", all, want)
	}
}

// Where nobody records, nothing happens, and nothing is allocated.
func TestNothing(t *testing.T) {
	ctx := WithRequest(context.Background(), Request{ID: "r1"})
	if n := testing.AllocsPerRun(100, func() { nothing(ctx) }); n != 0 {
		t.Errorf("%v allocations without a recorder", n)
	}
	if got := RequestOf(ctx); got != (Request{ID: "r1"}) {
		t.Errorf("request %v", got)
	}
	if got := RequestOf(context.Background()); got != (Request{}) {
		t.Errorf("request of nothing: %v", got)
	}
}

func nothing(ctx context.Context) {
	below, s := Start(ctx, "a")
	s.Int("rows", 3)
	s.String("why", "so")
	s.Timed("sync", time.Time{}, time.Time{})
	_, b := Start(below, "b")
	b.End(nil)
	s.End(nil)
}

func BenchmarkStartNothing(b *testing.B) {
	type key struct{}
	ctx := context.Background()
	for i := range 5 { // about as deep as a request of net/http is
		ctx = context.WithValue(ctx, key{}, i)
	}
	ctx = WithRequest(ctx, Request{ID: "r1"})
	b.ReportAllocs()
	for b.Loop() {
		_, s := Start(ctx, "a")
		s.End(nil)
	}
}
