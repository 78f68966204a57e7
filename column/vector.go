package column

import (
	"math"
	"unsafe"
)

// Vector is a column of values of one type. Numbers and booleans are 64-bit
// words (a boolean is 0 or 1), strings lie one behind the other in Data. A row
// without a value holds a zero word or an empty string and a clear bit in
// Valid.
type Vector struct {
	Type  Type
	Valid Bitmap
	Words []uint64 // all types but String
	Start uint32   // String: where the first value starts in Data
	Ends  []uint32 // String: where each value ends in Data
	Data  []byte
}

// Len returns the number of rows.
func (v *Vector) Len() int {
	if v.Type == String {
		return len(v.Ends)
	}
	return len(v.Words)
}

// Reset empties v and keeps its memory.
func (v *Vector) Reset(t Type) {
	*v = Vector{Type: t, Words: v.Words[:0], Ends: v.Ends[:0], Data: v.Data[:0]}
}

// Ints returns the words as signed integers; they share memory.
func (v *Vector) Ints() []int64 {
	return unsafe.Slice((*int64)(unsafe.Pointer(unsafe.SliceData(v.Words))), len(v.Words))
}

// Floats returns the words as floats; they share memory.
func (v *Vector) Floats() []float64 {
	return unsafe.Slice((*float64)(unsafe.Pointer(unsafe.SliceData(v.Words))), len(v.Words))
}

// Str returns the string of row i; it shares memory with v.
func (v *Vector) Str(i int) []byte {
	start := v.Start
	if i > 0 {
		start = v.Ends[i-1]
	}
	return v.Data[start:v.Ends[i]]
}

// Slice returns the view of rows i to j-1.
func (v *Vector) Slice(i, j int) Vector {
	s := Vector{Type: v.Type, Valid: v.Valid.Slice(i)}
	if v.Type != String {
		s.Words = v.Words[i:j]
		return s
	}
	s.Start, s.Ends, s.Data = v.Start, v.Ends[i:j], v.Data
	if i > 0 {
		s.Start = v.Ends[i-1]
	}
	return s
}

// AppendNulls appends n rows without a value.
func (v *Vector) AppendNulls(n int) {
	if n == 0 {
		return
	}
	have := v.Len()
	if v.Valid.Words == nil {
		v.Valid = Bitmap{Words: appendOnes(make([]uint64, 0, (have+n+63)/64), have)}
	}
	for len(v.Valid.Words)*64 < have+n {
		v.Valid.Words = append(v.Valid.Words, 0)
	}
	for range n {
		if v.Type == String {
			v.Ends = append(v.Ends, uint32(len(v.Data)))
		} else {
			v.Words = append(v.Words, 0)
		}
	}
}

// AppendWord appends a number or boolean.
func (v *Vector) AppendWord(w uint64) {
	if v.Valid.Words != nil {
		v.Valid = v.Valid.AppendBit(len(v.Words), true)
	}
	v.Words = append(v.Words, w)
}

// AppendFloat appends a float.
func (v *Vector) AppendFloat(f float64) { v.AppendWord(math.Float64bits(f)) }

// AppendString appends a string.
func (v *Vector) AppendString(s []byte) {
	if v.Valid.Words != nil {
		v.Valid = v.Valid.AppendBit(len(v.Ends), true)
	}
	v.Data = append(v.Data, s...)
	v.Ends = append(v.Ends, uint32(len(v.Data)))
}

// AppendRow appends row i of o, null or not.
func (v *Vector) AppendRow(o *Vector, i int) {
	switch {
	case !o.Valid.Get(i):
		v.AppendNulls(1)
	case v.Type == String:
		v.AppendString(o.Str(i))
	default:
		v.AppendWord(o.Words[i])
	}
}

// Append appends all rows of o, which has the type of v.
func (v *Vector) Append(o *Vector) {
	n, m := v.Len(), o.Len()
	v.Valid = v.Valid.Append(n, o.Valid, m)
	if v.Type != String {
		v.Words = append(v.Words, o.Words...)
		return
	}
	if m == 0 {
		return
	}
	base := uint32(len(v.Data)) - o.Start
	v.Data = append(v.Data, o.Data[o.Start:o.Ends[m-1]]...)
	for _, e := range o.Ends {
		v.Ends = append(v.Ends, base+e)
	}
}

// Truncate keeps the first n rows.
func (v *Vector) Truncate(n int) {
	if n >= v.Len() {
		return
	}
	if v.Valid.Words != nil {
		// Appending ors bits in, so those behind the end are cleared.
		v.Valid.Words = v.Valid.Words[:(n+63)/64]
		if n&63 != 0 {
			v.Valid.Words[n>>6] &= 1<<(uint(n)&63) - 1
		}
	}
	if v.Type != String {
		v.Words = v.Words[:n]
		return
	}
	v.Ends = v.Ends[:n]
	end := v.Start
	if n > 0 {
		end = v.Ends[n-1]
	}
	v.Data = v.Data[:end]
}
