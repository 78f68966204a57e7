package tombstone

import (
	"bytes"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/varvedb/varve/predicate"
)

var rewrite = flag.Bool("rewrite", false, "write the golden file anew")

func example() *Tombstone {
	return &Tombstone{Seq: 1<<63 + 5, Bucket: math.MaxUint64, Measurement: "m, \"x\" <&>", Min: MinTime, Max: MaxTime,
		Where: predicate.All(predicate.Eq("host", "a"), predicate.Negate(predicate.Match("zone", "^z[0-9]$"))), Fields: []string{"f", "é"}}
}

func examplePoints() *Tombstone {
	return Of(7, "m", []Points{{"", []int64{5, -3}}, {`host=a\,b,zone=é`, []int64{9}}}, []string{"f"})
}

func TestEncode(t *testing.T) {
	for _, want := range []*Tombstone{example(), examplePoints(), {}, {Bucket: 1, Min: -5, Max: -5}} {
		raw, err := want.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode(raw)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	}
}

func TestGolden(t *testing.T) {
	for i, d := range []*Tombstone{example(), examplePoints()} {
		got, err := d.Encode()
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Join("testdata", fmt.Sprintf("tombstone.v%d.golden", i+1))
		if *rewrite {
			if err := os.WriteFile(name, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("the encoding of a tombstone changed: a new layout needs a new version: %s", got)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	for what, raw := range map[string]string{
		"unknown version":    "",
		"version":            "\x03{}",
		"does not suit 0":    "\x02{}",
		"does not suit 1":    "\x01{\"measurement\":\"m\",\"points\":[{\"series\":\"\",\"times\":[0]}]}",
		"needs a measurem":   "\x02{\"points\":[{\"series\":\"\",\"times\":[0]}]}",
		"do not ascend":      "\x02{\"measurement\":\"m\",\"points\":[{\"series\":\"\",\"times\":[1]}]}",
		"ascend from 0 to 9": "\x02{\"measurement\":\"m\",\"max\":9,\"points\":[{\"series\":\"a\",\"times\":[3,1]}]}",
		"unexpected end":     "\x01",
		"cannot unmarshal":   "\x01{\"min\":\"x\"}",
		"invalid character":  "\x01{} {}",
		"before its start":   "\x01{\"min\":2,\"max\":1}",
		"unknown operation":  "\x01{\"where\":{\"op\":\"x\"}}",
		"missing closing":    "\x01{\"where\":{\"op\":\"regexp\",\"key\":\"a\",\"pattern\":\"(\"}}",
		"needs a tag key":    "\x01{\"where\":{\"op\":\"in\"}}",
		"has an empty argum": "\x01{\"where\":{\"op\":\"not\",\"args\":[null]}}",
	} {
		if d, err := Decode([]byte(raw)); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v, %v", what, d, err)
		}
	}
}

// TestSelect compares what a Set hides with the obvious rule, series by
// series and nanosecond by nanosecond.
func TestSelect(t *testing.T) {
	series := []string{"", "host=a", "host=b", "host=a,zone=1"}
	for seed := range uint64(500) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var all []*Tombstone
		for seq := range uint64(rng.IntN(6)) {
			d := &Tombstone{Seq: seq + 1, Bucket: uint64(rng.IntN(2)), Min: rng.Int64N(20)}
			d.Max = d.Min + rng.Int64N(6)
			d.Measurement = []string{"", "m", "other"}[rng.IntN(3)]
			d.Where = []*predicate.Expr{nil, predicate.Eq("host", "a"), predicate.Eq("zone", "")}[rng.IntN(3)]
			d.Fields = [][]string{nil, {"f"}, {"f", "g"}}[rng.IntN(3)]
			if rng.IntN(3) == 0 {
				var points []Points
				for range 1 + rng.IntN(3) {
					points = append(points, Points{series[rng.IntN(len(series))], []int64{rng.Int64N(20), rng.Int64N(20)}})
				}
				d = Of(d.Bucket, []string{"m", "other"}[rng.IntN(2)], points, d.Fields)
				d.Seq = seq + 1
			}
			all = append(all, d)
		}
		lo, maxSeq := rng.Int64N(20), uint64(rng.IntN(6))
		hi := lo + rng.Int64N(10)
		set, err := Select(all, 1, "m", lo, hi, maxSeq)
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range series {
			hidden := set.For(nil, []byte(key))
			for at := lo; at <= hi; at++ {
				for _, field := range []string{"f", "g", "h"} {
					want := slices.ContainsFunc(all, func(d *Tombstone) bool {
						m, err := predicate.Compile(d.Where)
						if err != nil {
							t.Fatal(err)
						}
						return d.Bucket == 1 && d.Measurement != "other" && d.Seq > maxSeq && d.Min <= at && at <= d.Max &&
							m.Match([]byte(key)) && named(d, key, at) && (len(d.Fields) == 0 || slices.Contains(d.Fields, field))
					})
					got := slices.ContainsFunc(hidden, func(h Hidden) bool {
						return h.Min <= at && at <= h.Max && (len(h.Fields) == 0 || slices.Contains(h.Fields, field))
					})
					if got != want {
						t.Fatalf("seed %d: %s of %q at %d is hidden: %t, want %t, by %s", seed, field, key, at, got, want, list(all))
					}
				}
			}
		}
	}
}

// named reports whether d has no points, or this one.
func named(d *Tombstone, series string, at int64) bool {
	return len(d.Points) == 0 || slices.ContainsFunc(d.Points, func(p Points) bool { return p.Series == series && slices.Contains(p.Times, at) })
}

func list(all []*Tombstone) string {
	var out []string
	for _, d := range all {
		out = append(out, fmt.Sprintf("%+v", *d))
	}
	return strings.Join(out, "\n")
}

func TestCovers(t *testing.T) {
	if example().Covers() != nil {
		t.Error("a condition says what it covers")
	}
	covers := examplePoints().Covers()
	for key, want := range map[string]bool{"": true, `host=a\,b,zone=é`: true, "host=a": false} {
		if covers([]byte(key)) != want {
			t.Errorf("%q is covered: %t", key, !want)
		}
	}
	hidden := []Hidden{{1, 2, nil}, {5, 5, nil}, {7, 9, nil}}
	if d := cmp.Diff([]Hidden{{1, 2, nil}, {5, 5, nil}}, Between(nil, hidden, 2, 6)); d != "" {
		t.Error(d)
	}
}

func TestSelectNothing(t *testing.T) {
	set, err := Select([]*Tombstone{{Seq: 3, Bucket: 1, Min: 0, Max: 9}}, 1, "m", 10, 20, 0)
	if err != nil || set != nil {
		t.Errorf("%v, %v: want nil, which costs nothing", set, err)
	}
	if h := set.For(nil, []byte("host=a")); h != nil {
		t.Errorf("nothing hides %v", h)
	}
	if _, err := Select([]*Tombstone{{Seq: 3, Where: predicate.Match("a", "(")}}, 0, "m", 0, 0, 0); err == nil {
		t.Error("a condition that does not compile hides nothing without a word")
	}
}

func FuzzDecode(f *testing.F) {
	raw, err := example().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	if raw, err = examplePoints().Encode(); err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte("\x01{\"fields\":[\"\\ud800\"]}"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		d, err := Decode(raw)
		if err != nil {
			return
		}
		again, err := d.Encode()
		if err != nil {
			t.Fatalf("decoded, but cannot be encoded: %v", err)
		}
		back, err := Decode(again)
		if err != nil {
			t.Fatal(err)
		}
		third, err := back.Encode()
		if err != nil || !bytes.Equal(again, third) {
			t.Fatalf("%s came back as %s (%v)", again, third, err)
		}
		if _, err := Select([]*Tombstone{d}, d.Bucket, d.Measurement, MinTime, MaxTime, 0); err != nil {
			t.Fatalf("decoded, but cannot be applied: %v", err)
		}
	})
}
