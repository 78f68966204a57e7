package compact

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/varvedb/varve/manifest"
	"github.com/varvedb/varve/tombstone"
)

// simulate flushes segments of the given sizes into a partition, merging as
// the policy says, and returns the most segments there ever were and the
// bytes written for each byte flushed.
func simulate(c Config, sizes []int64) (most int, amplification float64) {
	var segments []manifest.Segment
	var flushed, written int64
	for _, size := range sizes {
		segments = append(segments, manifest.Segment{Size: size})
		flushed += size
		written += size
		for {
			r := c.Pick(segments)
			if r.Empty() {
				break
			}
			var sum int64
			for _, s := range segments[r.Lo:r.Hi] {
				sum += s.Size
			}
			written += sum
			segments = slices.Replace(segments, r.Lo, r.Hi, manifest.Segment{Size: sum})
		}
		most = max(most, len(segments))
	}
	return most, float64(written) / float64(flushed)
}

func TestPolicyBounds(t *testing.T) {
	c := Default()
	rng := rand.New(rand.NewPCG(1, 1))
	for name, size := range map[string]func(i int) int64{
		"equal":      func(int) int64 { return 16 << 20 },
		"varying":    func(int) int64 { return 8<<20 + rng.Int64N(16<<20) },
		"tiny":       func(int) int64 { return 1000 },
		"very mixed": func(int) int64 { return 1 << rng.Int64N(25) },
		"one large, then small ones": func(i int) int64 {
			if i == 0 {
				return 1 << 30
			}
			return 200 << 10
		},
	} {
		for _, n := range []int{10, 60, 500} {
			sizes := make([]int64, n)
			for i := range sizes {
				sizes[i] = size(i)
			}
			most, amp := simulate(c, sizes)
			t.Logf("%-28s %4d flushes: at most %2d segments, amplification %.2f", name, n, most, amp)
			if most > 12 {
				t.Errorf("%s, %d flushes: %d segments", name, n, most)
			}
			if amp > 6 {
				t.Errorf("%s, %d flushes: amplification %.2f", name, n, amp)
			}
		}
	}
}

// TestBacklog gives the policy what piled up while nothing was merged. It gets
// through with bounded merges that each make progress.
func TestBacklog(t *testing.T) {
	c := Default()
	rng := rand.New(rand.NewPCG(2, 2))
	for _, n := range []int{11, 100, 2000} {
		segments := make([]manifest.Segment, n)
		var total, written int64
		for i := range segments {
			segments[i].Size = 1 << rng.Int64N(24)
			total += segments[i].Size
		}
		for {
			r := c.Pick(segments)
			if r.Empty() {
				break
			}
			if r.Hi-r.Lo > maxInputs || r.Hi-r.Lo < 2 {
				t.Fatalf("backlog of %d: merges %d segments at once", n, r.Hi-r.Lo)
			}
			var sum int64
			for _, s := range segments[r.Lo:r.Hi] {
				sum += s.Size
			}
			written += sum
			segments = slices.Replace(segments, r.Lo, r.Hi, manifest.Segment{Size: sum})
		}
		amp := float64(written) / float64(total)
		t.Logf("backlog of %d: %d segments left, amplification %.2f", n, len(segments), amp)
		if len(segments) > c.MaxSegments || amp > 5 {
			t.Errorf("backlog of %d: %d segments left, amplification %.2f", n, len(segments), amp)
		}
	}
}

func TestFullSegmentsStay(t *testing.T) {
	c := Default()
	full := manifest.Segment{Size: c.MaxBytes}
	segments := []manifest.Segment{full, full, full, full, full, full}
	if r := c.Pick(segments); !r.Empty() {
		t.Errorf("picked %v of full segments", r)
	}
	small := manifest.Segment{Size: 5}
	if r := c.PickIdle([]manifest.Segment{full, small, small, full, small}); r.Lo != 1 || r.Hi != 3 {
		t.Errorf("idle: picked %v", r)
	}
}

func TestIdle(t *testing.T) {
	c := Default()
	big, small := manifest.Segment{Size: 1000}, manifest.Segment{Size: 40}
	if r := c.PickIdle([]manifest.Segment{big, small}); !r.Empty() {
		t.Errorf("rewrote a large segment for one small one: %v", r)
	}
	if r := c.PickIdle([]manifest.Segment{big, small, small, small}); r.Lo != 0 || r.Hi != 4 {
		t.Errorf("picked %v", r)
	}
	if r := c.PickIdle([]manifest.Segment{big}); !r.Empty() {
		t.Errorf("picked %v of one segment", r)
	}
}

func TestDeleted(t *testing.T) {
	c := Default()
	segments := []manifest.Segment{{Bucket: 1, MaxSeq: 5, MaxTime: 9}, {Bucket: 1, MinSeq: 8, MaxSeq: 9, MaxTime: 9}}
	d := []*tombstone.Tombstone{{Seq: 7, Bucket: 1, Min: 3, Max: 4}}
	if r := c.PickDeleted(segments, d); r.Lo != 0 || r.Hi != 1 {
		t.Errorf("picked %v", r)
	}
	segments[0].Applied = 7
	if r := c.PickDeleted(segments, d); !r.Empty() {
		t.Errorf("picked %v though the delete was applied", r)
	}
}
