package server

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/varvedb/varve/check"
	"github.com/varvedb/varve/httpapi"
	"github.com/varvedb/varve/meta"
	"github.com/varvedb/varve/plan"
	"github.com/varvedb/varve/predicate"
	"github.com/varvedb/varve/tombstone"
)

func (b *trial) settle() {
	b.t.Helper()
	if err := (&upkeep{b.store, b.forget, nil, b.schema}).Settle(b.ctx); err != nil {
		b.t.Fatal(err)
	}
}

func (b *trial) delete(measurement string, where *predicate.Expr, fields ...string) {
	b.t.Helper()
	t := &tombstone.Tombstone{Bucket: uint64(b.init.Bucket), Measurement: measurement, Min: 0, Max: 1 << 62, Where: where, Fields: fields}
	if err := b.store.Delete(b.ctx, t); err != nil {
		b.t.Fatal(err)
	}
}

// names renders the columns of a measurement as the schema has them.
func (b *trial) names(measurement string) string {
	var all []string
	for name, kind := range b.schema.Measurement(uint64(b.init.Bucket), measurement).Columns() {
		all = append(all, name+":"+kind.String())
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// A type is free when its last value is physically gone, and no sooner; what
// comes after may have another type, before and after a restart.
func TestTypesAreFreed(t *testing.T) {
	c := Default()
	c.Shards = 2
	dir := t.TempDir()
	b := openTrial(t, dir, c)
	defer func() { b.shut() }()
	lines := func(field, value string) string {
		var s strings.Builder
		for i := range 10 {
			fmt.Fprintf(&s, "m,h=%d y=1i,%s=%s %d\n", i, field, value, i+1)
		}
		return s.String()
	}
	b.write(lines("x", "1.5"))
	b.settle()
	b.write(lines("x", "2.5"))
	if got := b.write("m,h=1 x=7i 1"); got.Points != 1 {
		t.Fatalf("an integer beside floats: %+v, want it refused", got)
	}
	b.delete("m", nil, "x")
	if err := b.forget.pass(b.ctx); err != nil {
		t.Fatal(err)
	}
	if got := b.write("m,h=1 x=7i 1"); got.Points != 1 {
		t.Errorf("an integer while floats are hidden but there: %+v, want it refused", got)
	}
	b.shut()
	b = openTrial(t, dir, c)
	b.settle()
	if got := b.names("m"); got != "h:tag y:integer" {
		t.Errorf("after settling the columns are %s", got)
	}
	b.shut()
	b = openTrial(t, dir, c)
	b.write("m,h=1 x=7i 1")
	b.settle() // merges it with segments that once had floats
	b.write("m,h=1 x=8i 2")
	b.shut()
	b = openTrial(t, dir, c)
	want := func(n int) {
		t.Helper()
		if got, _ := b.rows(); got != n {
			t.Errorf("%d values of x, want %d", got, n)
		}
	}
	want(2)
	if got := b.names("m"); got != "h:tag x:integer y:integer" {
		t.Errorf("the columns are %s", got)
	}

	// A tag goes with its last series, a measurement with its last row.
	b.write("m,h=1,z=1 y=5i 3")
	b.delete("m", predicate.Eq("z", "1"))
	b.write("n x=1 1")
	b.delete("n", nil)
	b.settle()
	if got := b.names("m"); got != "h:tag x:integer y:integer" {
		t.Errorf("without the tag the columns are %s", got)
	}
	if got := b.names("n"); got != "" {
		t.Errorf("a measurement without rows has the columns %s", got)
	}
	b.write("m,h=1 z=5 3\nn x=\"s\" 1")
	want(2)
	b.shut()
	if _, err := CheckFolder(t.Context(), dir, "test", func(p check.Problem) { t.Error(p) }); err != nil {
		t.Error(err)
	}
	b = openTrial(t, dir, c)
}

// Writers that go on while names are freed never leave two types of one name.
func TestForgetBesideWriters(t *testing.T) {
	b := openTrial(t, t.TempDir(), Default())
	defer b.shut()
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second) // on a busy machine
	defer stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			b.delete("m", nil, "x")
			b.settle()
		}
	}()
	taken := map[string]int{}
	values := []string{"1.5", "7i", "true"}
	for i, at := 0, 0; ctx.Err() == nil; i++ {
		// A few of one type, then the next one until it is taken.
		value := values[at%len(values)]
		if b.write(fmt.Sprintf("m y=1,x=%s %d", value, i+1)).Points == 0 {
			if taken[value]++; taken[value]%5 == 0 {
				if at++; at == len(values) {
					stop()
				}
			}
		}
		p := plan.New(uint64(b.init.Bucket), 0, 1<<62)
		p.Rows = &plan.Rows{}
		if _, err := b.querier().Query(b.ctx, p, func(*httpapi.Piece) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	<-done
	if len(taken) < len(values) {
		t.Errorf("taken were %v: the name was not freed while writers wrote", taken)
	}
}

// The schema of a deleted bucket goes when its rows are gone.
func TestDeletedBucketIsForgotten(t *testing.T) {
	b := openTrial(t, t.TempDir(), Default())
	defer b.shut()
	b.write("m x=1 1")
	if err := b.store.Settle(b.ctx); err != nil {
		t.Fatal(err)
	}
	b.write("m x=1 2")
	if _, err := b.meta.DeleteBucket(b.ctx, b.init.Bucket); err != nil {
		t.Fatal(err)
	}
	if got := b.schema.Buckets(); !slices.Equal(got, []uint64{uint64(b.init.Bucket)}) {
		t.Fatalf("the schema has buckets %v", got)
	}
	b.settle()
	if got := b.schema.Buckets(); len(got) > 0 {
		t.Errorf("after settling the schema has buckets %v", got)
	}
	if _, err := b.meta.CreateBucket(b.ctx, meta.Bucket{OrgID: b.init.Org, Name: "x"}); err != nil {
		t.Error(err)
	}
}
