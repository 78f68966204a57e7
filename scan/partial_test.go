package scan

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cespare/xxhash/v2"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/plan"
	"github.com/varvedb/varve/tdigest"
)

// everyCall is a plan with each function once.
func everyCall() *plan.Plan {
	p := plan.New(1, 0, 1000)
	a := &plan.Aggregate{Group: plan.ByTags("host")}
	for _, f := range []plan.Func{plan.Count, plan.Sum, plan.Mean, plan.Min, plan.Max, plan.First, plan.Last, plan.Spread, plan.Stddev, plan.Increase} {
		a.Calls = append(a.Calls, plan.Call{Func: f})
	}
	for _, m := range []plan.Method{plan.ExactMean, plan.ExactSelector, plan.TDigest} {
		a.Calls = append(a.Calls, plan.Call{Func: plan.Quantile, Method: m, Quantile: 0.5})
	}
	p.Aggregate = a
	return p
}

// filled returns a partial result with some states of every kind.
func filled(p *plan.Plan) *Partial {
	sh := &shape{aggregate: p.Aggregate, measurement: "m", columns: 1}
	for i, c := range p.Aggregate.Calls {
		for j, t := range []column.Type{column.Bool, column.Float64, column.Int64, column.String, column.Uint64} {
			if c.Func.Takes(t) {
				sh.calls = append(sh.calls, callColumn{call: i, col: 0, field: column.FieldInfo{Name: string(rune('a' + j)), Type: t}})
			}
		}
	}
	g := newGroups(sh, 0)
	one := g.find([]byte("host=a"))
	hint := 0
	for w := range int64(3) {
		slot := g.slot(one, w, &hint)
		for i, m := range g.meters.list {
			if w == 2 {
				continue // empty states too
			}
			v := column.Vector{Type: sh.calls[i].field.Type}
			for k := range 3 {
				if v.Type == column.String {
					v.AppendString([]byte{'x', byte(k)})
				} else {
					v.AppendWord(uint64(k % 2))
				}
			}
			m.add(slot, []int64{w * 10, w*10 + 1, w*10 + 2}, &v, 0, 3)
		}
	}
	return &Partial{groups: []*groups{g}}
}

func TestPartialSurvivesEncoding(t *testing.T) {
	p := everyCall()
	want := filled(p).Encode()
	part, err := DecodePartial(p, want)
	if err != nil {
		t.Fatal(err)
	}
	if got := part.Encode(); !slices.Equal(want, got) {
		t.Errorf("decoded partial result encodes as\n%x, want\n%x", got, want)
	}
}

func TestDecodePartialFindsDamage(t *testing.T) {
	p := everyCall()
	good := filled(p).Encode()
	for i := range good {
		bad := slices.Clone(good)
		bad[i] ^= 0x10
		if _, err := DecodePartial(p, bad); err == nil {
			t.Fatalf("a flipped bit in byte %d was not found", i)
		}
	}
	for n := range good {
		if _, err := DecodePartial(p, good[:n]); err == nil {
			t.Fatalf("the first %d bytes were taken for all", n)
		}
	}
}

// What is damaged and carries the right checksum must not do harm either.
func FuzzDecodePartial(f *testing.F) {
	p := everyCall()
	good := filled(p).Encode()
	f.Add(good[:len(good)-8])
	f.Fuzz(func(t *testing.T, b []byte) {
		b = binary.LittleEndian.AppendUint64(b, xxhash.Sum64(b))
		part, err := DecodePartial(p, b)
		if err != nil {
			return
		}
		s, err := Merge(t.Context(), p, []*Partial{part, part}, Config{})
		if err != nil {
			return
		}
		defer s.Close()
		for {
			if b, err := s.Next(); b == nil || err != nil {
				return
			}
		}
	})
}

func TestEstimateIsNear(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	const n = 200_000
	values := make([]float64, n)
	for i := range values {
		values[i] = math.Exp(rnd.NormFloat64() * 3)
	}
	for _, parts := range []int{1, 7} {
		all := &estimate[float64]{}
		all.grow(1)
		for k := range parts {
			m := &estimate[float64]{}
			m.grow(1)
			v := column.Vector{Type: column.Float64}
			for _, x := range values[n*k/parts : n*(k+1)/parts] {
				v.AppendFloat(x)
			}
			m.add(0, nil, &v, 0, v.Len())
			all.merge(0, m, 0, nil)
		}
		d := &all.digests[0]
		sorted := slices.Sorted(slices.Values(values))
		for _, q := range []float64{0, 0.0001, 0.01, 0.25, 0.5, 0.9, 0.999, 1} {
			got := d.Quantile(q)
			at, _ := slices.BinarySearch(sorted, got)
			if rank := float64(at) / n; math.Abs(rank-q) > 0.001 {
				t.Errorf("%d parts: quantile %g has rank %g", parts, q, rank)
			}
		}
		if len(d.Centroids()) > 2*tdigest.Compression {
			t.Errorf("%d parts: %d centroids, want at most %d", parts, len(d.Centroids()), 2*tdigest.Compression)
		}
	}
}

func TestEstimateOfFewValues(t *testing.T) {
	m := &estimate[int64]{}
	m.grow(1)
	v := column.Vector{Type: column.Int64}
	for _, x := range []int64{5, 1, 9} {
		v.AppendWord(uint64(x))
	}
	m.add(0, nil, &v, 0, 3)
	for q, want := range map[float64]float64{0: 1, 0.5: 5, 1: 9} {
		if got := m.digests[0].Quantile(q); got != want {
			t.Errorf("quantile %g of 1, 5, 9 is %g, want %g", q, got, want)
		}
	}
}
