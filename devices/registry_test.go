package devices

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/meta"
	"github.com/varvedb/varve/plan"
	"github.com/varvedb/varve/scan"
)

// fakeStore has a measurement m whose devices d000000 and so on spoke at
// second 0; every tenth is long silent. It counts what is asked of it.
type fakeStore struct {
	devices int
	lists   int
	walks   int // over all series
	most    int // names that were asked for at once
	err     error
}

func (s *fakeStore) Measurements(uint64) []string { return []string{"m"} }

func (s *fakeStore) Measurement(uint64, string) *meta.Measurement { return nil }

const silent = -int64(time.Hour)

func (s *fakeStore) Run(_ context.Context, p *plan.Plan, use func(*scan.Batch) error) (string, error) {
	if s.err != nil {
		return "", s.err
	}
	if err := p.Validate(); err != nil {
		return "", err
	}
	b := &scan.Batch{Measurement: "m", Columns: []scan.Column{{Field: "x", Vector: column.Vector{Type: column.String}}}}
	c := &b.Columns[0]
	if p.List != nil {
		s.lists++
		for i := range s.devices {
			if name := fmt.Sprintf("d%06d", i); name >= p.List.From && c.Len() < int(p.Each.Limit) {
				c.AppendString([]byte(name))
			}
		}
		b.Groups = []scan.Group{{To: c.Len()}}
		return "", use(b)
	}
	if p.Start > 0 { // nothing is ahead
		return "", nil
	}
	var names []string
	if p.Tags == nil {
		s.walks++
		for i := range s.devices {
			names = append(names, fmt.Sprintf("d%06d", i))
		}
	} else {
		names = p.Tags.Values
		s.most = max(s.most, len(names))
	}
	c.Vector = column.Vector{Type: column.Int64}
	for _, name := range names {
		var n int
		if _, err := fmt.Sscanf(name, "d%06d", &n); err != nil || n >= s.devices {
			continue
		}
		at := int64(0)
		if n%10 == 0 {
			at = silent
		}
		key, err := column.AppendSeriesKey(nil, []column.Tag{{Key: []byte("device"), Value: []byte(name)}})
		if err != nil {
			return "", err
		}
		b.Groups = append(b.Groups, scan.Group{Key: key, From: c.Len(), To: c.Len() + 1})
		c.At = append(c.At, at)
		c.AppendWord(3)
	}
	return "", use(b)
}

func registry(t *testing.T, s *fakeStore) *Registry {
	t.Helper()
	r, err := New(Default(), s, s, func() time.Time { return time.Unix(60, 0) })
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestMeasurementsWithoutADevice(t *testing.T) {
	s := &fakeStore{devices: 10}
	page, more, err := registry(t, s).Page(t.Context(), &Request{Limit: 10, Window: time.Minute})
	if len(page) != 0 || more || err != nil || s.lists != 0 {
		t.Errorf("%d devices, %v, %v after %d lists", len(page), more, err, s.lists)
	}
}

// withDevices gives the measurement its tag.
func withDevices(t *testing.T, r *Registry, q *Request) (page []*Device, more bool, err error) {
	t.Helper()
	groups := []group{{"device", []string{"m"}, nil}}
	return r.page(t.Context(), q, groups, nil)
}

// A page takes the work of a page. The silent ones are sought among the first,
// and then by one walk.
func TestWorkOfAPage(t *testing.T) {
	s := &fakeStore{devices: 100_000}
	r := registry(t, s)
	page, more, err := withDevices(t, r, &Request{Limit: 100, Window: time.Minute, After: "d050000"})
	if err != nil || len(page) != 100 || !more || page[0].Name != "d050001" || s.lists != 1 || s.most != 101 {
		t.Errorf("%d devices, %v, %v: %d lists and %d names at once", len(page), more, err, s.lists, s.most)
	}
	if d := page[9]; d.Online || d.LastSeen != silent || d.FirstSeen != silent || d.Points != 3 || !slices.Equal(d.Measurements, []string{"m"}) {
		t.Errorf("a silent one is %+v", d)
	}
	offline := false
	s.lists = 0
	page, more, err = withDevices(t, r, &Request{Limit: 1000, Window: time.Minute, Online: &offline})
	if err != nil || len(page) != 1000 || !more || page[999].Name != "d009990" || s.lists != 1 || s.walks != 1 || s.most != sieve {
		t.Errorf("%d devices, %v, %v: %d lists, %d walks and %d names at once", len(page), more, err, s.lists, s.walks, s.most)
	}
}

func TestErrorsOfTheStore(t *testing.T) {
	s := &fakeStore{err: errors.New("broken")}
	r := registry(t, s)
	if _, _, err := withDevices(t, r, &Request{Limit: 1, Window: time.Minute}); !errors.Is(err, s.err) {
		t.Error(err)
	}
	s.err = nil
	if _, err := r.Device(t.Context(), 7, "x", time.Minute); !errors.Is(err, ErrUnknown) {
		t.Error(err)
	}
}

// pointStore has the points of devices, by name, of a measurement m.
type pointStore struct {
	fakeStore
	points map[string][]int64 // ascending
	named  []string           // that were looked up last
}

func (s *pointStore) Run(_ context.Context, p *plan.Plan, use func(*scan.Batch) error) (string, error) {
	b := &scan.Batch{Measurement: "m", Columns: []scan.Column{{Field: "x", Vector: column.Vector{Type: column.Int64}}}}
	c := &b.Columns[0]
	s.named = p.Tags.Values
	for _, name := range s.named {
		at, ok := int64(0), false
		for _, t := range s.points[name] {
			if t >= p.Start && t < p.Stop {
				at, ok = t, true
			}
		}
		if !ok {
			continue
		}
		key, err := column.AppendSeriesKey(nil, []column.Tag{{Key: []byte("device"), Value: []byte(name)}})
		if err != nil {
			return "", err
		}
		b.Groups = append(b.Groups, scan.Group{Key: key, From: c.Len(), To: c.Len() + 1})
		c.At = append(c.At, at)
		c.AppendWord(3)
	}
	return "", use(b)
}

func TestOnline(t *testing.T) {
	now := time.Unix(60, 0).UnixNano()
	at := func(d time.Duration) int64 { return now + int64(d) }
	for _, c := range []struct {
		name   string
		points []int64
		status *Status
		want   bool
	}{
		{"heard of", []int64{at(-time.Minute)}, nil, true},
		{"at the limit", []int64{at(-5 * time.Minute)}, nil, true},
		{"silent", []int64{at(-5*time.Minute - 1)}, nil, false},
		{"silent, connected", []int64{at(-time.Hour)}, &Status{true, at(-2 * time.Hour)}, true},
		{"connected only", nil, &Status{true, at(-2 * time.Hour)}, true},
		{"lost", []int64{at(-2 * time.Minute)}, &Status{false, at(-time.Minute)}, false},
		{"lost, and back by another way", []int64{at(-time.Minute)}, &Status{false, at(-2 * time.Minute)}, true},
		{"lost only", nil, &Status{false, at(-time.Minute)}, false},
		{"ahead of the clock", []int64{at(time.Minute)}, nil, true},
		{"ahead at the limit", []int64{at(5 * time.Minute)}, nil, true},
		{"far ahead of the clock", []int64{at(5*time.Minute + 1)}, nil, false},
		{"far ahead once, and silent", []int64{at(-time.Hour), at(1 << 62)}, nil, false},
		{"far ahead once, and heard of", []int64{at(-time.Minute), at(1 << 62)}, nil, true},
		{"far ahead once, heard of and lost since", []int64{at(-2 * time.Minute), at(1 << 62)}, &Status{false, at(-time.Minute)}, false},
		{"far ahead, lost", []int64{at(time.Hour)}, &Status{false, at(-time.Minute)}, false},
		{"far ahead, connected", []int64{at(time.Hour)}, &Status{true, at(-time.Minute)}, true},
	} {
		s := &pointStore{points: map[string][]int64{"d": c.points, "other": {now}}}
		r, err := New(Default(), s, s, func() time.Time { return time.Unix(0, now) })
		if err != nil {
			t.Fatal(err)
		}
		d := &Device{Name: "d", Status: c.status}
		if n := len(c.points); n > 0 {
			d.Seen, d.LastSeen = true, c.points[n-1]
		}
		found := map[string]*Device{"d": d, "other": {Name: "other", Seen: true, LastSeen: now}}
		heard, err := r.heard(t.Context(), &Request{}, []group{{"device", []string{"m"}, nil}}, found)
		if err != nil {
			t.Fatal(err)
		}
		at, ok := heard["d"]
		if got := r.online(d, at, ok); got != c.want {
			t.Errorf("%s: online is %v", c.name, got)
		}
		if slices.Contains(s.named, "other") {
			t.Errorf("%s: a device was looked up that is in the present", c.name)
		}
	}
}

func TestConfig(t *testing.T) {
	for _, c := range []Config{{Tags: []string{""}, OfflineAfter: 1}, {Tags: []string{"a", "a"}, OfflineAfter: 1}, {Tags: []string{"a"}}} {
		if _, err := New(c, nil, nil, nil); err == nil {
			t.Errorf("%+v was taken", c)
		}
	}
}
