package server

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/varvedb/varve/httpapi"
	"github.com/varvedb/varve/meta"
	"github.com/varvedb/varve/plan"
)

// What is older than the retention shows in no answer, whether it is
// physically gone or not, and a longer retention does not bring it back.
func TestRetentionClipsQueries(t *testing.T) {
	c := Default()
	c.InitRetention = time.Hour
	dir := t.TempDir()
	b := openTrial(t, dir, c)
	defer func() { b.shut() }()
	start := b.at
	b.write(fmt.Sprintf("m,h=a x=1 %d\nm,h=b x=2 %d", start.UnixNano(), start.Add(30*time.Minute).UnixNano()))

	want := func(n int, clipped bool) {
		t.Helper()
		got, explain := b.rows()
		if got != n || strings.Contains(explain, "clipped to retention from 20") != clipped {
			t.Errorf("%s after the start: %d values, want %d; explained as\n%s", b.at.Sub(start), got, n, explain)
		}
		p := plan.New(uint64(b.init.Bucket), 0, 1<<62)
		p.List = &plan.List{What: plan.TagValues, Tag: "h"}
		// Names are those of runs that reach into the range.
		if names, err := b.querier().List(b.ctx, p); err != nil || (len(names) > 0) != (n > 0) {
			t.Errorf("%s after the start: listed %q, %v, of %d values", b.at.Sub(start), names, err, n)
		}
	}
	retain := func(d time.Duration) {
		t.Helper()
		if _, err := b.meta.UpdateBucket(b.ctx, b.init.Bucket, func(b *meta.Bucket) { b.Retention = d }); err != nil {
			t.Fatal(err)
		}
	}
	want(2, true)
	b.at = start.Add(time.Hour + time.Minute)
	want(1, true)

	// The whole of one window is reported with the start that was asked for.
	p := plan.New(uint64(b.init.Bucket), 5, 1<<62)
	p.Aggregate = &plan.Aggregate{Calls: []plan.Call{{Func: plan.Count, Field: "x"}}}
	var at []int64
	if _, err := b.querier().Query(b.ctx, p, func(piece *httpapi.Piece) error {
		at = append(at, piece.Rows.Time...)
		return nil
	}); err != nil || len(at) != 1 || at[0] != 5 {
		t.Errorf("count of all is at %d, %v, want 5", at, err)
	}

	retain(0)
	want(1, true)
	if got := b.write(fmt.Sprintf("m,h=c x=1 %d", start.UnixNano())); got.Points != 1 {
		t.Errorf("a point older than the floor: %+v, want it refused", got)
	}
	b.at = start.Add(100 * time.Hour)
	want(1, true)
	b.shut()
	b = openTrial(t, dir, c)
	b.at = start.Add(100 * time.Hour)
	want(1, true)
	if err := b.store.Settle(b.ctx); err != nil {
		t.Fatal(err)
	}
	want(1, true)
	if rows := b.store.shards[0].Stats().SegmentRows; rows != 1 {
		t.Errorf("%d rows are left in segments, want 1", rows)
	}
	retain(time.Hour)
	want(0, true)
	retain(1000 * time.Hour)
	want(0, true)
}
