package fleet

// Window is a kind of stretch of a device's readings in which something is
// wrong.
type Window uint8

// The kinds of windows. All but WindowNone are labelled.
const (
	WindowNone  Window = iota
	WindowSpike        // a reading or some far from the others
	WindowShift        // all a step higher or lower
	WindowDrift        // further and further away
	WindowNoise        // scattered, at poor quality
	WindowStuck        // the same value again and again
	WindowDead         // nothing is sent
	kindsOfWindow
)

// String names it as label files do.
func (w Window) String() string {
	return [kindsOfWindow]string{"none", "spike", "shift", "drift", "noise", "stuck", "dead"}[w]
}

const (
	// windowEvery is how many rounds a device has at most one window of each
	// sort in. It is a power of two because a slot divides by it.
	windowEvery = 256
	// meanAnomaly and meanGap are the mean lengths of windows, in rounds.
	meanAnomaly = (2.0 + 25 + 40 + 25 + 40 + 40) / 6
	meanGap     = 32.0
	maxGap      = 63
)

// lengths of the windows: from to from+span-1 rounds.
func (w Window) lengths() (from, span uint64) {
	switch w {
	case WindowSpike:
		return 1, 3
	case WindowShift, WindowNoise:
		return 10, 31
	default:
		return 20, 41
	}
}

// stretch is a window of a device: rounds from first to last.
type stretch struct {
	kind        Window
	first, last int64
	h           uint64 // what its form is drawn from
}

// epoch returns which stretch of windowEvery rounds a round is in, and where
// that begins. Those of different devices begin in different rounds.
func (f *Fleet) epoch(device int, round int64) (n, first int64) {
	shift := int64(f.hash(uint64(device), ofEpoch, 0) % windowEvery)
	n = (round + shift) / windowEvery
	return n, n*windowEvery - shift
}

// anomaly returns the labelled window of an epoch, if it has one.
func (f *Fleet) anomaly(device int, epoch, first int64) (stretch, bool) {
	if f.shares.anomaly == 0 {
		return stretch{}, false
	}
	h := f.hash(uint64(device), ofAnomaly, epoch)
	if h >= f.shares.anomaly {
		return stretch{}, false
	}
	h = f.hash(uint64(device), ofAnomaly, ^epoch)
	s := stretch{kind: WindowSpike + Window(h%uint64(kindsOfWindow-1)), h: h >> 32}
	from, span := s.kind.lengths()
	n := int64(from + h>>8&0xfff%span)
	// A round is left between it and a window of the epoch before.
	s.first = first + 1 + int64(h>>20&0xfff)%(windowEvery-1-n)
	s.last = s.first + n - 1
	return s, true
}

// inGap tells whether a round lies where the device's messages are lost.
func (f *Fleet) inGap(device int, epoch, first, round int64) bool {
	if f.shares.gap == 0 {
		return false
	}
	h := f.hash(uint64(device), ofGap, epoch)
	if h >= f.shares.gap {
		return false
	}
	h = f.hash(uint64(device), ofGap, ^epoch)
	n := 1 + int64(h%maxGap)
	at := first + int64(h>>20&0xffffff)%(windowEvery-n)
	return round >= at && round < at+n
}

// silent tells whether a reading never leaves its device.
func (f *Fleet) silent(device int, round int64) bool {
	epoch, first := f.epoch(device, round)
	if f.inGap(device, epoch, first, round) {
		return true
	}
	s, ok := f.anomaly(device, epoch, first)
	return ok && s.kind == WindowDead && round >= s.first && round <= s.last
}

// Label is a window that a detector should find.
type Label struct {
	Device      int
	Kind, Place int
	Window      Window
	// Start and End are the times of its first and last reading, in nanoseconds
	// since 1970, whether or not those are sent.
	Start, End int64
}

// Labels calls yield with each window that begins before a time, in
// nanoseconds since 1970, device by device, until yield returns false.
func (f *Fleet) Labels(before int64, yield func(*Label) bool) {
	end := f.at(before - f.start)
	if f.end.round < end.round || f.end.round == end.round && f.end.device < end.device {
		end = f.end
	}
	if f.shares.anomaly == 0 {
		return
	}
	for d := range f.cfg.Devices {
		rounds := end.round // of this device
		if d < end.device {
			rounds++
		}
		for epoch := int64(0); ; epoch++ {
			_, zero := f.epoch(d, 0)
			first := zero + epoch*windowEvery
			if first >= rounds {
				break
			}
			s, ok := f.anomaly(d, epoch, first)
			if !ok || s.last < 0 || s.first >= rounds {
				continue
			}
			s.first, s.last = max(s.first, 0), min(s.last, rounds-1)
			if !yield(&Label{d, f.kind(d), f.place(d), s.kind, f.stamp(d, s.first), f.stamp(d, s.last)}) {
				return
			}
		}
	}
}
