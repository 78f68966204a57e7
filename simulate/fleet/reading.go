package fleet

const (
	day = 24 * 3600 * 1_000_000_000 // nanoseconds
	// kst is how far the clocks of the places are ahead of UTC.
	kst = day * 9 / 24
	// wanderEvery is how long the slow wandering of a device takes from one
	// turning point to the next.
	wanderEvery = 3 * 3600 * 1_000_000_000
	// driftEvery is how often a sensor is set right again.
	driftEvery = 30 * day
)

// turn is the sine of x turns; x is not negative.
func (f *Fleet) turn(x float64) float64 {
	x -= float64(int64(x))
	at := x * sines
	i := int(at)
	return f.sine[i] + float64((at-float64(i))*(f.sine[i+1]-f.sine[i]))
}

// smooth returns what a device reads without noise and faults. Products are
// rounded (float64) so that no processor joins them with a sum, which would
// make other messages on another machine.
func (f *Fleet) smooth(device int, round int64) float64 {
	k, p := &f.kinds[f.kind(device)], &f.places[f.place(device)]
	id := uint64(device)
	at := f.stamp(device, round)

	local := float64((at+kst)%day) / day
	v := k.mean + p.base
	v += float64(k.daily * f.turn(local+p.turn-k.peak+1.25)) // a sine is highest a quarter after its beginning
	v += float64(0.6 * normal(f.hash(id, ofDevice, 0)) / 2)

	cell := at / wanderEvery
	x := float64(at%wanderEvery) / wanderEvery
	a, b := signed(f.hash(id, ofWander, cell)), signed(f.hash(id, ofWander, cell+1))
	ease := float64(x*x) * (3 - float64(2*x))
	v += float64(k.wander * (a + float64(ease*(b-a))))

	h := f.hash(id, ofDrift, 0)
	since := float64((at+int64(h>>8)%driftEvery)%driftEvery) / driftEvery
	return v + float64(1.2*signed(h)*since)
}

// read gives a message its value and quality.
func (f *Fleet) read(m *Message) {
	id := uint64(m.Device)
	k := &f.kinds[m.Kind]
	noise := normal(f.hash(id, ofNoise, m.Round))
	spread := k.noise
	away, quality := 0.0, 0.0
	round := m.Round
	m.Window = WindowNone

	epoch, first := f.epoch(m.Device, m.Round)
	if s, ok := f.anomaly(m.Device, epoch, first); ok && m.Round >= s.first && m.Round <= s.last {
		m.Window = s.kind
		direction := 1.0
		if s.h&1 != 0 {
			direction = -1
		}
		size := unit(s.h << 33)
		switch s.kind {
		case WindowSpike:
			away = direction * (14 + float64(26*size))
			quality = 10 * size
		case WindowShift:
			away = direction * (5 + float64(9*size))
		case WindowDrift:
			away = direction * (6 + float64(10*size)) * float64(m.Round-s.first+1) / float64(s.last-s.first+1)
		case WindowNoise:
			spread *= 8 + float64(12*size)
			quality = 20 + 10*size
		case WindowStuck:
			round = s.first
			noise = normal(f.hash(id, ofNoise, round))
		}
	}
	m.Value = hundredths(f.smooth(m.Device, round) + float64(spread*noise) + away)
	m.Quality = f.quality(m, quality)
}

// quality returns tenths of a percent, less by some percent: usually excellent
// (from 95), at times good (from 85), seldom poor.
func (f *Fleet) quality(m *Message, less float64) int64 {
	h := f.hash(uint64(m.Device), ofQuality, m.Round)
	part := int64(h >> 32 & 0xffff)
	q := 1000 - part*50/65536
	switch in := h % 100; {
	case in < 3:
		q = 849 - part*250/65536
	case in < 15:
		q = 949 - part*100/65536
	}
	return q - int64(10*less)
}

// hundredths rounds half away from zero.
func hundredths(v float64) int64 {
	if v < 0 {
		return -int64(float64(-v*100) + 0.5)
	}
	return int64(float64(v*100) + 0.5)
}
