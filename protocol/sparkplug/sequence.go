package sparkplug

import "time"

// sequence follows the sequence numbers of a node, which count from 0, that of a
// birth certificate of the node, to 255 and begin again. It belongs to the host's
// lock.
//
// Numbers alone do not tell a message that comes once more, because it could not
// be stored, from one behind a gap: 200 back is 56 ahead. The timestamp of the
// payload does, which is when the message was sent.
type sequence struct {
	last   uint8  // number of the newest message
	newest uint64 // timestamp of it, in milliseconds; 0: none
	// missing are the numbers that were passed over since, of which there are so
	// many, the first of them at a time of arrival.
	missing [4]uint64
	holes   int
	since   int64
	// lost says that messages are missing for good since the birth: one of them may
	// have been another birth.
	lost bool
}

// begin takes the birth certificate of the node.
func (s *sequence) begin(number uint8, timestamp uint64) {
	*s = sequence{last: number, newest: timestamp}
}

// take takes another message, which arrived at now (nanoseconds).
func (s *sequence) take(number uint8, timestamp uint64, now int64, reorder time.Duration) {
	ahead := number - s.last
	switch {
	case ahead == 1:
		s.last, s.newest = number, max(s.newest, timestamp)
	case s.again(ahead, timestamp):
		s.fill(number)
	default:
		s.pass(number, now)
		s.last, s.newest = number, max(s.newest, timestamp)
	}
	if s.holes > 0 && now-s.since >= int64(reorder) {
		s.lost = true
	}
}

// again says whether a message is an older one, which came before or comes late.
func (s *sequence) again(ahead uint8, timestamp uint64) bool {
	if timestamp != 0 && s.newest != 0 && timestamp != s.newest {
		return timestamp < s.newest
	}
	return ahead == 0 || ahead >= 128
}

// pass notes the numbers between the last and number as missing. A birth
// certificate of the node has number 0: if that is among them, it is not waited
// for.
func (s *sequence) pass(number uint8, now int64) {
	if s.holes == 0 {
		s.since = now
	}
	for k := s.last + 1; k != number; k++ {
		if k == 0 {
			s.lost = true
		}
		if bit := uint64(1) << (k % 64); s.missing[k/64]&bit == 0 {
			s.missing[k/64] |= bit
			s.holes++
		}
	}
}

func (s *sequence) fill(number uint8) {
	if bit := uint64(1) << (number % 64); s.missing[number/64]&bit != 0 {
		s.missing[number/64] &^= bit
		s.holes--
	}
}
