package encoding

import "testing"

// bytesPerValue encodes at the default level.
func bytesPerValue(n int, encode func(*Encoder) []byte) float64 {
	return float64(len(encode(NewEncoder(LevelBalanced)))) / float64(n)
}

// TestSizes holds the sizes that the product promises on its two fleets: the
// bounds are a few percents above what was measured.
func TestSizes(t *testing.T) {
	const n = 8192
	check := func(name string, got, bound float64) {
		t.Helper()
		t.Logf("%-28s %.4f bytes/value, bound %.4f", name, got, bound)
		if got > bound {
			t.Errorf("%s: %.4f bytes/value, want at most %.4f", name, got, bound)
		}
	}
	ints := func(v []int64) float64 {
		return bytesPerValue(len(v), func(e *Encoder) []byte { return e.Ints(nil, v) })
	}
	floats := func(v []float64) float64 {
		return bytesPerValue(len(v), func(e *Encoder) []byte { return e.Floats(nil, v) })
	}
	times := func(runs []int32, v []int64) float64 {
		return bytesPerValue(len(v), func(e *Encoder) []byte { return e.Times(nil, runs, v) })
	}

	host := 0.0
	for seed := range uint64(10) {
		host += ints(hostInts(seed, n, 4320)) / 10
	}
	check("host", host, 0.280)
	check("host, 360 rows a series", ints(hostInts(1, n, 360)), 0.290)
	check("host, 1024 values", ints(hostInts(1, 1024, 360)), 0.32)
	whole := make([]float64, n)
	for i, v := range hostInts(1, n, 4320) {
		whole[i] = float64(v)
	}
	check("host as floats", floats(whole), ints(hostInts(1, n, 4320))+0.0005)

	truck := 0.0
	for name, v := range truckColumns(1, n) {
		size := floats(v)
		truck += size / 10
		t.Logf("truck %-22s %.4f bytes/value", name, size)
	}
	check("truck", truck, 0.60)

	check("two decimals", floats(decimals(2, n, 2, 20, 0.05)), 0.57)
	check("positions", floats(decimals(3, n, 5, 52.5, 0.005)), 1.40)
	check("full precision", floats(full(4, n)), 6.35)
	check("falling fuel", floats(falling(5, n)), 0.032)

	runs, v := evenTimes(n, 4320, 1451606400e9, 10e9)
	check("times, long runs", times(runs, v), 0.005)
	runs, v = evenTimes(n, 10, 1451606400e9, 10e9)
	check("times, 820 equal runs", times(runs, v), 0.005)
	check("times, jittered", times(runs, jitter(1, v, 500, 1e6)), 1.5)

	ends, data := statuses(7, n)
	check("status strings", bytesPerValue(n, func(e *Encoder) []byte { return e.Strings(nil, ends, data) }), 0.026)
}
