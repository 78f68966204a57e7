package detect

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"github.com/varvedb/varve/pipeline/declare"
	"github.com/varvedb/varve/pipeline/record"
)

// declared returns the detector that a YAML text such as
// "zscore: {field: v}" declares, and what is wrong with it.
func declared(t *testing.T, text string) (Detector, error) {
	t.Helper()
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	top := declare.Section(doc.Content[0], "")
	kind := top.Keys()[0]
	s := top.Section(kind)
	d := Declare(kind, s)
	if d == nil {
		t.Fatalf("there is no detector %s", kind)
	}
	return d, s.Err()
}

func mustDeclare(t *testing.T, text string) Detector {
	t.Helper()
	d, err := declared(t, text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// at returns a reading of device a, t seconds after the first.
func at(t int, v float64) *record.Record {
	return &record.Record{
		Measurement: "m", Time: int64(t) * 1e9, Timed: true,
		Tags: []record.Tag{{Key: "device", Value: "a"}}, Fields: []record.Field{{Name: "v", Value: record.Float(v)}},
	}
}

func of(device string, r *record.Record) *record.Record {
	r.SetTag("device", device)
	return r
}

// verdicts applies d to records in one pass that ends well.
func verdicts(d Detector, records ...*record.Record) []Outcome {
	pass := d.Begin()
	var all []Outcome
	for _, r := range records {
		all = append(all, pass.Apply(r, 1e15))
	}
	pass.End(true)
	return all
}

func reasons(all []Outcome) string {
	var words []string
	for _, o := range all {
		word := o.Reason
		if word == "" {
			word = "-"
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

func TestDeclareAsksForWhatMatters(t *testing.T) {
	for text, want := range map[string]string{
		"zscore: {into: z}":                                               "zscore.field: is missing",
		"zscore: {field: v}":                                              "would change nothing",
		"zscore: {field: v, into: z, window: 1}":                          "zscore.window",
		"zscore: {field: v, into: z, window: 20000}":                      "at most 10000",
		"zscore: {field: v, into: z, window: 10, least: 11}":              "holds no more than 10",
		"zscore: {field: v, into: z, slots: 24}":                          "with season only",
		"zscore: {field: v, into: z, season: 10s, slots: 24}":             "of a second or more",
		"zscore: {field: v, into: z, threshold: 0}":                       "above zero",
		"zscore: {field: v, into: z, treshold: 4}":                        "did you mean threshold?",
		"zscore: {field: v, into: z, then: explode}":                      "want one of mark, drop, refuse",
		"mad: {field: v, then: drop, season: 1d, slots: 20000}":           "at most 10000",
		"stuck: {field: v, flag: s}":                                      "from when on",
		"rate: {field: v, flag: s}":                                       "rate.most: is missing",
		"late: {then: drop}":                                              "late.after: is missing",
		"late: {after: 10m}":                                              "would change nothing",
		"sample: {}":                                                      "want one of every",
		"sample: {every: 2, interval: 1s}":                                "want one of every",
		"deduplicate: {within: -1s}":                                      "deduplicate.within",
		"zscore: {field: v, into: z, window: 1h, readings: 5, least: 20}": "holds no more than 5",
	} {
		if _, err := declared(t, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want an error with %q", text, err, want)
		}
	}
	for _, text := range []string{
		"zscore: {field: v, into: z}",
		"zscore: {field: v, window: 5, into: z}",
		"zscore: {field: v, window: 1h, readings: 500, least: 10, least_deviation: 0.1, outliers: leave_out, then: refuse, by: [device], series: 10}",
		"mad: {field: v, season: 24h, slots: 24, label: {anomaly_type: outlier}}",
		"stuck: {field: v, for: 10m, tags: {state: stuck}}",
		"rate: {field: v, most: 1.5, per: 1m, gap: 1h, flag: jump}",
		"late: {after: 10m, against: pipeline, ahead: 1m, then: drop}",
		"sample: {every: 2, by: device}",
		"deduplicate: {within: 1h, key: [id], remember: 1000}",
		"deduplicate: {}",
	} {
		if _, err := declared(t, text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, kind := range Kinds() {
		if Declare(kind, declare.Section(nil, kind)) == nil {
			t.Errorf("%s is listed and not known", kind)
		}
	}
	if Declare("nothing", declare.Section(nil, "")) != nil {
		t.Error("a kind that is not listed is known")
	}
}

func TestMarks(t *testing.T) {
	text := "rate: {field: v, most: 1, into: change, flag: jump, label: {kind: fast}, tags: {state: odd}}"
	d := mustDeclare(t, text)
	first, slow, fast := at(0, 0), at(1, 0.5), at(2, 9)
	got := verdicts(d, first, slow, fast)
	if reasons(got) != "- - rate" || got[0].Verdict != Passed || got[1].Verdict != Changed || got[2].Verdict != Changed {
		t.Fatalf("got %+v", got)
	}
	if len(first.Fields) != 1 {
		t.Errorf("a reading that was not judged has fields %+v", first.Fields)
	}
	if slow.Field("change") != record.Float(0.5) || slow.Field("jump") != record.Bool(false) || slow.Field("kind").Type != 0 || slow.Tag("state") != "" {
		t.Errorf("a reading in which nothing was found became %+v", slow)
	}
	if fast.Field("change") != record.Float(8.5) || fast.Field("jump") != record.Bool(true) || fast.Field("kind") != record.String("fast") || fast.Tag("state") != "odd" {
		t.Errorf("a reading in which something was found became %+v", fast)
	}

	d = mustDeclare(t, "rate: {field: v, most: 1, then: refuse}")
	got = verdicts(d, at(0, 0), at(1, 9))
	if got[1].Verdict != Refused || got[1].Detail != "v of m is 9: a change of 9 in 1s, 1 is allowed" {
		t.Errorf("refused with %+v", got[1])
	}
	d = mustDeclare(t, "rate: {field: v, most: 1, then: drop}")
	if got = verdicts(d, at(0, 0), at(1, 9)); got[1].Verdict != Dropped || got[1].Reason != "rate" {
		t.Errorf("dropped with %+v", got[1])
	}
}

func TestRecordsWithoutTheFieldPass(t *testing.T) {
	text := at(1, 0)
	text.Set("v", record.String("warm"))
	none := at(2, 0)
	none.Set("v", record.Value{})
	for _, y := range []string{"rate: {field: v, most: 1, flag: x}", "stuck: {field: v, readings: 2, flag: x}", "zscore: {field: v, flag: x}", "mad: {field: v, flag: x}"} {
		if got := verdicts(mustDeclare(t, y), text, none); got[0] != (Outcome{}) || got[1] != (Outcome{}) {
			t.Errorf("%s: got %+v", y, got)
		}
	}
}

func TestSeriesAreApart(t *testing.T) {
	d := mustDeclare(t, "stuck: {field: v, readings: 2, flag: stuck}")
	got := reasons(verdicts(d, of("a", at(0, 1)), of("b", at(1, 1)), of("a", at(2, 1)), of("b", at(3, 2))))
	if got != "- - stuck -" {
		t.Error(got)
	}
	// The order of tags does not make a series, a tag that by leaves out neither.
	x, y := at(0, 1), at(1, 1)
	x.Tags = []record.Tag{{Key: "k", Value: "1"}, {Key: "device", Value: "a"}}
	y.Tags = []record.Tag{{Key: "device", Value: "a"}, {Key: "k", Value: "1"}}
	if got := reasons(verdicts(mustDeclare(t, "stuck: {field: v, readings: 2, flag: stuck}"), x, y)); got != "- stuck" {
		t.Error(got)
	}
	x, y = of("a", at(0, 1)), of("a", at(1, 1))
	x.SetTag("level", "good")
	y.SetTag("level", "poor")
	if got := reasons(verdicts(mustDeclare(t, "stuck: {field: v, readings: 2, flag: stuck, by: device}"), x, y)); got != "- stuck" {
		t.Error(got)
	}
	// What is a key here is not a value there.
	x, y = at(0, 1), at(1, 1)
	x.Tags = []record.Tag{{Key: "p", Value: "q"}}
	y.Tags = []record.Tag{{Key: "q", Value: "p"}}
	if got := reasons(verdicts(mustDeclare(t, "stuck: {field: v, readings: 2, flag: stuck}"), x, y)); got != "- -" {
		t.Error(got)
	}
}

func TestStuck(t *testing.T) {
	for _, c := range []struct{ declare, want string }{
		{"stuck: {field: v, readings: 3, flag: s}", "- - stuck stuck - - - -"},
		{"stuck: {field: v, for: 2s, flag: s}", "- - stuck stuck - - - stuck"},
		{"stuck: {field: v, for: 2s, readings: 4, flag: s}", "- - - stuck - - - -"},
		{"stuck: {field: v, readings: 2, gap: 5s, flag: s}", "- stuck stuck stuck - stuck - -"},
		{"stuck: {field: v, readings: 5, epsilon: 0.4, flag: s}", "- - - - stuck stuck - -"},
	} {
		got := reasons(verdicts(mustDeclare(t, c.declare), at(0, 7), at(1, 7), at(2, 7), at(3, 7), at(4, 7.3), at(5, 7.3), at(6, 7.6), at(60, 7.6)))
		if got != c.want {
			t.Errorf("%s: got %s, want %s", c.declare, got, c.want)
		}
	}
	// A drift is not stuck, though no step of it is larger than epsilon.
	if got := reasons(verdicts(mustDeclare(t, "stuck: {field: v, readings: 3, epsilon: 0.15, flag: s}"), at(0, 0), at(1, 0.1), at(2, 0.2), at(3, 0.3), at(4, 0.4))); got != "- - - - -" {
		t.Error(got)
	}
	// A reading that comes again, or late, is no other one.
	if got := reasons(verdicts(mustDeclare(t, "stuck: {field: v, readings: 3, flag: s}"), at(5, 7), at(6, 7), at(6, 7), at(4, 7))); got != "- - - -" {
		t.Error(got)
	}
}

func TestRate(t *testing.T) {
	d := NewRate(RateConfig{Track: Track{Series: 10}, Most: 10, Per: time.Second, Gap: time.Minute})
	for _, c := range []struct {
		at     float64
		v      float64
		score  float64
		judged bool
		found  bool
	}{
		{0, 100, 0, false, false},
		{2, 110, 5, true, false},
		{3, 90, -20, true, true},
		{2.5, 500, 0, false, false}, // late
		{3, 80, 0, false, false},    // overwrites
		{4, 85, 5, true, false},
		{100, 9000, 0, false, false}, // after a gap
		{100.5, 9001, 2, true, false},
	} {
		f := d.Observe(1, int64(c.at*1e9), c.v)
		if f != (Finding{c.score, c.judged, c.found}) {
			t.Errorf("at %g: got %+v, want %+v", c.at, f, c)
		}
	}
}

func TestClockSetBack(t *testing.T) {
	d := NewRate(RateConfig{Track: Track{Series: 10}, Most: 10, Per: time.Second})
	d.Observe(1, 1<<60, 0) // a reading of 2006 among those of 1970
	judged := 0
	for i := range 2 * setBack {
		if d.Observe(1, int64(i)*1e9, float64(i)).Judged {
			judged++
		}
	}
	if judged != setBack {
		t.Errorf("%d readings were judged after one from the far future, want %d", judged, setBack)
	}
}

func TestSample(t *testing.T) {
	d := mustDeclare(t, "sample: {every: 3}")
	if got := reasons(verdicts(d, at(0, 0), at(1, 0), at(2, 0), at(3, 0), of("b", at(4, 0)), at(5, 0))); got != "- sampled sampled - - sampled" {
		t.Error(got)
	}
	d = mustDeclare(t, "sample: {interval: 10s}")
	if got := reasons(verdicts(d, at(3, 0), at(9, 0), at(10, 0), at(11, 0), at(5, 0), at(29, 0), at(3, 0), at(-1, 0), at(-9, 0))); got != "- sampled - sampled sampled - - - sampled" {
		t.Error(got)
	}
	// What was kept, and could not be stored, is kept when it comes again.
	d = mustDeclare(t, "sample: {interval: 10s}")
	for range 2 {
		pass := d.Begin()
		if o := pass.Apply(at(3, 0), 0); o.Verdict != Passed {
			t.Errorf("got %+v", o)
		}
		pass.End(false)
	}
}

func TestDeduplicate(t *testing.T) {
	d := mustDeclare(t, "deduplicate: {within: 10s}")
	again := func(r *record.Record, now int, safe bool) Verdict {
		pass := d.Begin()
		defer pass.End(safe)
		return pass.Apply(r, int64(now)*1e9).Verdict
	}
	for i, c := range []struct {
		r    *record.Record
		now  int
		safe bool
		want Verdict
	}{
		{at(0, 1), 0, false, Passed}, // could not be stored
		{at(0, 1), 1, true, Passed},  // so it is not a repeat
		{at(0, 1), 2, true, Dropped},
		{at(0, 2), 3, true, Passed},
		{at(1, 1), 4, true, Passed},
		{of("b", at(0, 1)), 5, true, Passed},
		{at(0, 1), 11, true, Dropped},
		{at(0, 1), 12, true, Passed}, // ten seconds after the first are over
		{at(0, 1), 13, true, Dropped},
	} {
		if got := again(c.r, c.now, c.safe); got != c.want {
			t.Errorf("record %d: got %d, want %d", i, got, c.want)
		}
	}
	// What was refused behind it, in the same pass or the next.
	id := func(r *record.Record, id int64) *record.Record { r.Set("id", record.Int(id)); return r }
	d = mustDeclare(t, "deduplicate: {key: id}")
	list, pass := new(record.List), d.Begin()
	apply := func(n int64) (uint64, string) {
		r := list.Add(0)
		r.Measurement = "m"
		id(r, n)
		return r.ID, reasons([]Outcome{pass.Apply(r, 1e15)})
	}
	for i, want := range []string{"-", "-", "duplicate", "-", "duplicate"} {
		number, got := apply([]int64{1, 2, 1, 1, 2}[i])
		if got != want {
			t.Errorf("record %d: got %s, want %s", i, got, want)
		}
		if i == 2 {
			pass.Forget(number - 2) // the first
		}
	}
	list.Reset()
	third, _ := apply(3)
	pass.Forget(third) // a sink
	pass.End(true)
	pass = d.Begin()
	for n, want := range map[int64]string{1: "duplicate", 2: "duplicate", 3: "-"} {
		if _, got := apply(n); got != want {
			t.Errorf("id %d: got %s, want %s", n, got, want)
		}
	}
	pass.End(false)
	// In one pass.
	if got := reasons(verdicts(mustDeclare(t, "deduplicate: {}"), at(0, 1), at(0, 1), at(0, 2))); got != "- duplicate -" {
		t.Error(got)
	}
	// By key: the value does not matter; a record without the key passes.
	if got := reasons(verdicts(mustDeclare(t, "deduplicate: {key: [device, id]}"), id(at(0, 1), 1), id(at(5, 9), 1), id(at(0, 1), 2), id(of("b", at(0, 1)), 1))); got != "- duplicate - -" {
		t.Error(got)
	}
	if got := reasons(verdicts(mustDeclare(t, "deduplicate: {key: id}"), at(0, 1), at(0, 1))); got != "- -" {
		t.Error(got)
	}
	// A value and its text are two.
	text := at(0, 1)
	text.Set("v", record.String("1"))
	number := at(0, 1)
	number.Set("v", record.Int(1))
	if got := reasons(verdicts(mustDeclare(t, "deduplicate: {}"), at(0, 1), text, number)); got != "- - -" {
		t.Error(got)
	}
}

func TestDeduplicateForgetsTheOldest(t *testing.T) {
	d := NewDeduplicate(DeduplicateConfig{Within: time.Hour, Most: 100})
	for i := range 250 {
		verdicts(d, at(i, 1))
	}
	if s := d.Stats(); s.Series != 100 || s.Evicted != 150 {
		t.Errorf("got %+v", s)
	}
	for i := range 250 {
		want := "-"
		if i >= 150 {
			want = "duplicate"
		}
		pass := d.Begin()
		if got := reasons([]Outcome{pass.Apply(at(i, 1), 1e15)}); got != want {
			t.Errorf("record %d: got %s, want %s", i, got, want)
		}
		pass.End(false)
	}
	if len(d.seen) != 100 {
		t.Errorf("%d keys are held, want 100", len(d.seen))
	}
	// In one long pass too.
	d = NewDeduplicate(DeduplicateConfig{Within: time.Hour, Most: 100})
	pass := d.Begin()
	for i := range 1050 {
		pass.Apply(at(i, 1), 1e15)
		if len(d.seen) > 200 {
			t.Fatalf("%d keys are held", len(d.seen))
		}
	}
	pass.End(true)
	if s := d.Stats(); s.Series != 100 || s.Evicted != 950 || len(d.seen) != 100 {
		t.Errorf("got %+v and %d keys", s, len(d.seen))
	}
}

func TestLate(t *testing.T) {
	for _, c := range []struct{ declare, want string }{
		{"late: {after: 10s, into: behind}", "- - - late - -"},
		{"late: {after: 10s, against: pipeline, into: behind}", "- - - late late -"},
		{"late: {after: 999950s, against: clock, into: behind}", "late - - - late -"}, // 1,000,000 s is now
	} {
		d := mustDeclare(t, c.declare)
		got := reasons(verdicts(d, at(5, 0), at(100, 0), at(90, 0), at(89, 0), of("b", at(1, 0)), at(101, 0)))
		if got != c.want {
			t.Errorf("%s: got %s, want %s", c.declare, got, c.want)
		}
	}
	d := mustDeclare(t, "late: {after: 10s, into: behind, then: refuse}")
	pass := d.Begin()
	pass.Apply(at(100, 0), 1e15)
	pass.End(false) // not safe: the watermark stays
	if got := verdicts(d, at(50, 0), at(70, 0), at(52, 0)); reasons(got) != "- - late" ||
		got[2].Detail != "the time 1970-01-01T00:00:52Z of a reading of m is 18s behind, 10s is allowed" {
		t.Errorf("got %+v", got)
	}
	// From the far future: it passes, and moves nothing.
	future := at(0, 0)
	future.Time = 1<<63 - 1
	if got := reasons(verdicts(d, future, at(71, 0))); got != "- -" {
		t.Error(got)
	}
	// The distance of two ages is still a number.
	old := at(0, 0)
	old.Time = -1 << 63
	if got := verdicts(d, old); got[0].Verdict != Refused {
		t.Errorf("got %+v", got)
	}
}

func TestRecordsWithoutTimeHaveThatOfArrival(t *testing.T) {
	d := mustDeclare(t, "rate: {field: v, most: 1, into: change}")
	x, y := at(0, 0), at(0, 10)
	x.Timed, y.Timed = false, false
	pass := d.Begin()
	pass.Apply(x, 1e9)
	pass.Apply(y, 6e9)
	if y.Field("change") != record.Float(2) {
		t.Errorf("got %+v", y.Fields)
	}
}

// judges are declarations of the detectors that learn at once.
func judges() []string {
	return []string{
		"sample: {every: 3}", "sample: {interval: 3s}",
		"stuck: {field: v, readings: 3, then: refuse}", "rate: {field: v, most: 3, into: f, flag: g}",
		"zscore: {field: v, window: 200, least: 5, threshold: 3, into: f, tags: {state: odd}}",
		"mad: {field: v, window: 200, least: 5, threshold: 3, into: f, then: drop}",
	}
}

// judged applies a pass to readings from and to, and returns what became of each.
func judged(pass Pass, from, to int, timed bool) []string {
	var all []string
	for i := from; i < to; i++ {
		v := float64(i % 5)
		if i%20 > 15 {
			v = 7
		}
		r := at(i/2*2-i/2%2*3, v) // twice at a time, out of order
		r.Timed = timed
		now := int64(1e15) + int64(to-from)*1e9 + int64(i) // others arrive at another time in another pass
		o := pass.Apply(r, now)
		all = append(all, fmt.Sprint(i, o, r.Tags, r.Fields))
	}
	return all
}

// TestFailedPass: readings that come again after a failure are judged as they were,
// in whatever batches, and teach the detector nothing again.
func TestFailedPass(t *testing.T) {
	for _, text := range judges() {
		for _, timed := range []bool{true, false} {
			once, d := mustDeclare(t, text), mustDeclare(t, text)
			one := once.Begin()
			want := judged(one, 0, 100, timed)
			one.End(true)
			pass := d.Begin()
			got := judged(pass, 0, 100, timed)
			pass.End(false)
			if diff := cmp.Diff(want, got); diff != "" && timed {
				t.Fatalf("%s: %s", text, diff)
			}
			want = got
			pass = d.Begin() // fails half way
			got = judged(pass, 0, 50, timed)
			pass.End(false)
			if diff := cmp.Diff(want[:50], got); diff != "" {
				t.Errorf("%s: half of it again: %s", text, diff)
			}
			got = nil
			for _, part := range [][2]int{{0, 30}, {30, 98}, {98, 100}} {
				pass = d.Begin()
				got = append(got, judged(pass, part[0], part[1], timed)...)
				pass.End(true)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: again, and well: %s", text, diff)
			}
			one, pass = once.Begin(), d.Begin()
			if diff := cmp.Diff(judged(one, 100, 200, true), judged(pass, 100, 200, true)); diff != "" && timed {
				t.Errorf("%s: the next ones: %s", text, diff)
			}
		}
	}
}

// TestWhatFailedPassesFoundIsBounded: nobody may come back for it.
func TestWhatFailedPassesFoundIsBounded(t *testing.T) {
	d := NewRate(RateConfig{Field: "v", Track: Track{Series: 10}, Most: 1, Per: time.Second})
	fail := func(from, n int, now int64) {
		pass := d.Begin()
		for i := range n {
			pass.Apply(at(from+i, 1), now)
		}
		pass.End(false)
	}
	for i := range 5 {
		fail(i*mostFound, mostFound+i, 1e15)
		if n := d.young.n + d.old.n; n < mostFound || n > 2*mostFound {
			t.Fatalf("%d findings are kept", n)
		}
	}
	now := int64(1e15)
	for range 2 {
		now += keptFor + 1
		fail(0, 1, now)
	}
	if n := d.young.n + d.old.n; n > 2 || d.kept.Load() != int64(n) {
		t.Errorf("%d findings are kept (%d) long after", n, d.kept.Load())
	}
}

// TestPanicUnlocks: what panics is refused, and the pipeline goes on.
func TestPanicUnlocks(t *testing.T) {
	broken := Deviation{Field: "v", Track: Track{Series: 1}} // a window that holds nothing
	for _, d := range []Detector{NewZScore(ZScoreConfig{Deviation: broken}), NewMAD(broken)} {
		for i := range 2 {
			func() {
				defer func() {
					if recover() == nil {
						t.Error("there was no panic")
					}
				}()
				d.Begin().Apply(at(i, 1), 0)
			}()
		}
	}
}

func TestConcurrentPasses(t *testing.T) {
	var detectors []Detector
	for _, text := range []string{
		"deduplicate: {remember: 1000}", "sample: {interval: 10s, series: 20}", "late: {after: 10s, then: drop, series: 20}",
		"late: {after: 10s, against: pipeline, then: drop}", "stuck: {field: v, readings: 3, flag: x, series: 20}",
		"rate: {field: v, most: 1, flag: x, series: 20}", "zscore: {field: v, flag: x, series: 20}", "mad: {field: v, flag: x, series: 20}",
	} {
		detectors = append(detectors, mustDeclare(t, text))
	}
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			for i := range 500 {
				for _, d := range detectors {
					pass := d.Begin()
					pass.Apply(at(i%10, float64(i%3)), 1e15)
					pass.End(i%4 == g) // others of the same readings fail
					verdicts(d, of(string(rune('a'+(g+i)%40)), at(i, float64(i%7))))
					d.Stats()
				}
			}
		})
	}
	all.Wait()
}
