package scan

import (
	"math/bits"

	"github.com/varvedb/varve/column"
)

// where returns those of rows that satisfy the condition of the source: rows
// themselves if all do.
func (r *reader) where(rows *column.Rows) *column.Rows {
	f := r.job.src.where
	if f == nil || rows.Len() == 0 {
		return rows
	}
	return r.pick(&r.matching, rows, f.eval(r.keep, rows))
}

// pick makes dst the rows whose bits are set and returns it, or rows
// themselves if all are.
func (r *reader) pick(dst, rows *column.Rows, set []uint64) *column.Rows {
	n := 0
	for _, w := range set {
		n += bits.OnesCount64(w)
	}
	if n == rows.Len() {
		return rows
	}
	dst.Reset(r.job.src.read)
	for at := 0; n > 0; {
		from, to := nextRun(set, at, rows.Len())
		n -= to - from
		at = to
		appendRows(dst, rows, from, to)
	}
	return dst
}

// nextRun returns the next stretch of set bits from place at on, which ends
// at n at the latest; from is n if there is none.
func nextRun(set []uint64, at, n int) (from, to int) {
	from = n
	for i := at >> 6; i < len(set); i++ {
		w := set[i]
		if i == at>>6 {
			w &= ^uint64(0) << (uint(at) & 63)
		}
		if w != 0 {
			from = i<<6 + bits.TrailingZeros64(w)
			break
		}
	}
	if from >= n {
		return n, n
	}
	to = n
	for i := from >> 6; i < len(set); i++ {
		w := ^set[i]
		if i == from>>6 {
			w &= ^uint64(0) << (uint(from) & 63)
		}
		if w != 0 {
			to = min(n, i<<6+bits.TrailingZeros64(w))
			break
		}
	}
	return from, to
}

// some sets the bits of the rows that have a value in one of the first cols
// columns; it returns nil if all have.
func (r *reader) some(rows *column.Rows, cols int) []uint64 {
	for i := range cols {
		if v := &rows.Cols[i]; v.Type != 0 && v.Valid.All() {
			return nil
		}
	}
	n := rows.Len()
	words := (n + 63) / 64
	if cap(r.keep.words) < words {
		r.keep.words = make([]uint64, words)
	}
	set := r.keep.words[:words]
	clear(set)
	for i := range cols {
		v := &rows.Cols[i]
		if v.Type == 0 {
			continue
		}
		for k := range set {
			set[k] |= validWord(v.Valid, k*64, min(64, n-k*64))
		}
	}
	return set
}
