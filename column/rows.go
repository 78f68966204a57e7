package column

// Rows is a stretch of rows of one series, ascending in time, no time twice.
// Cols are parallel to the fields that the reader asked for; each is as long
// as Time.
type Rows struct {
	Time []int64
	Cols []Vector
}

// Len returns the number of rows.
func (r *Rows) Len() int { return len(r.Time) }

// SliceInto makes dst the view of rows i to j-1 of r.
func (r *Rows) SliceInto(dst *Rows, i, j int) {
	dst.Time = r.Time[i:j]
	dst.Cols = dst.Cols[:0]
	for c := range r.Cols {
		dst.Cols = append(dst.Cols, r.Cols[c].Slice(i, j))
	}
}

// Reset empties r and gives it one column for each type.
func (r *Rows) Reset(fields []FieldInfo) {
	r.Time = r.Time[:0]
	for len(r.Cols) < len(fields) {
		r.Cols = append(r.Cols, Vector{})
	}
	r.Cols = r.Cols[:len(fields)]
	for i := range r.Cols {
		r.Cols[i].Reset(fields[i].Type)
	}
}

// Append appends all rows of o, which has the columns of r.
func (r *Rows) Append(o *Rows) {
	r.Time = append(r.Time, o.Time...)
	for i := range r.Cols {
		r.Cols[i].Append(&o.Cols[i])
	}
}

// Summary condenses the values of one field over a stretch of rows of one
// series. Nulls are skipped. Min, Max, Sum, First and Last are words of the
// field's type; for strings and booleans only Count, First and Last (booleans)
// and the times are kept.
type Summary struct {
	Count     int64
	Min, Max  uint64 // valid if HasMinMax; NaN is never one of them
	Sum       uint64
	First     uint64
	Last      uint64
	FirstTime int64
	LastTime  int64
	HasMinMax bool
	Overflow  bool // the sum of integers left 64 bits; Sum then wrapped
}
