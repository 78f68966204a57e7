package fleet

// Walker goes through the messages of some devices in the order in which they
// are due.
type Walker struct {
	f      *Fleet
	device int // of the slot that comes next
	round  int64
	first  int // device of a round
	step   int
	done   bool

	// What is sent in the slot: rounds of the messages. It is one of each delay,
	// a repeat, and the message of the round itself at most.
	rounds  [maxDelays + 2]int64
	n, next int
	ready   bool // rounds are those of the slot
}

// Walk returns a walker over every step-th device from the first on. Walkers
// 0 to n-1 of step n go through all messages of the fleet, each once.
func (f *Fleet) Walk(first, step int) *Walker {
	return &Walker{f: f, device: first, first: first, step: step, done: first >= f.cfg.Devices}
}

// Next gives the next message and reports true, or false at the end.
func (w *Walker) Next(m *Message) bool {
	for {
		if !w.ready {
			w.slot()
		}
		if w.done {
			return false
		}
		if w.next < w.n {
			w.f.fill(m, w.device, w.rounds[w.next])
			m.spoil()
			m.Due = w.f.Due(w.device, w.round)
			w.next++
			return true
		}
		w.advance()
	}
}

// advance goes on to the next slot.
func (w *Walker) advance() {
	w.ready = false
	if w.device += w.step; w.device >= w.f.cfg.Devices {
		w.device = w.first
		w.round++
	}
}

// slot finds out what is sent in the slot, and how many messages that are.
func (w *Walker) slot() int {
	w.n, w.next, w.ready = 0, 0, true
	end := &w.f.end
	last := w.round == end.round && w.device == end.device
	if w.done = w.done || w.round > end.round || w.round == end.round && w.device > end.device || last && end.nth == 0; w.done {
		return 0
	}
	w.n = w.f.sent(&w.rounds, w.device, w.round)
	if last {
		w.n = min(w.n, end.nth)
	}
	return w.n
}

// sent lists the rounds of the messages that a device sends in a round: those
// that were late, the one of the round before again, and its own.
func (f *Fleet) sent(rounds *[maxDelays + 2]int64, device int, round int64) int {
	n := 0
	if f.shares.late > 0 {
		for j := f.delays; j >= 1; j-- {
			if was := round - j*f.stride; was >= 0 && f.delay(device, was) == j && !f.silent(device, was) {
				rounds[n] = was
				n++
			}
		}
	}
	if was := round - 1; f.shares.repeated > 0 && was >= 0 && f.hash(uint64(device), ofRepeat, was) < f.shares.repeated &&
		f.delay(device, was) == 0 && !f.silent(device, was) {
		rounds[n] = was
		n++
	}
	if f.delay(device, round) == 0 && !f.silent(device, round) {
		rounds[n] = round
		n++
	}
	return n
}

// delay returns how many strides a message is late, 0 if it is not.
func (f *Fleet) delay(device int, round int64) int64 {
	if f.shares.late == 0 {
		return 0
	}
	h := f.hash(uint64(device), ofLate, round)
	if h >= f.shares.late {
		return 0
	}
	// What is left of h below the share is as even as h was.
	return 1 + int64(f.hash(uint64(device), ofLate, ^round)%uint64(f.delays))
}
