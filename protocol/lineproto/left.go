package lineproto

import "strconv"

// Left is what a Parse left out of its batch: rows that are well written but
// contradict others. It is valid until the next Parse, and for as long as the
// body is as it was.
type Left struct {
	// Conflicts are the reasons, at most a hundred kinds.
	Conflicts []Conflict
	// Rows is how many rows were left out, for whichever reasons.
	Rows int

	listed  []leftRow
	reasons []Conflict // Conflicts are the first of them
	body    []byte
}

// leftRow is a row that was left out.
type leftRow struct {
	from, to uint32 // where the line stands in the body, without its time
	reason   uint32 // of Left.reasons
	time     int64
}

// Rough sizes of what is kept of rows that are left out.
const (
	leftBytes     = 24
	conflictBytes = 56
)

// Each calls yield for each of the rows, at most Config.MaxLeft of them, with the
// reason and the line as AppendLines has lines, its time in nanoseconds, which it
// may have got from Parse. The line is valid during the call.
func (l Left) Each(yield func(why *Conflict, line []byte) bool) {
	var line []byte
	for i := range l.listed {
		r := &l.listed[i]
		line = append(line[:0], l.body[r.from:r.to]...)
		line = append(line, ' ')
		line = strconv.AppendInt(line, r.time, 10)
		if !yield(&l.reasons[r.reason], line) {
			return
		}
	}
}
