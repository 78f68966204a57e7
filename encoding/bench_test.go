package encoding

import "testing"

const benchRows = 8192

// runBench times a codec and reports values per second and bytes per value.
func runBench(b *testing.B, n int, encode func(*Encoder, []byte) []byte, decode func(*Decoder, []byte) error) {
	for _, level := range []Level{LevelFast, LevelBalanced, LevelBest} {
		e := NewEncoder(level)
		src := encode(e, nil)
		b.Run("encode/"+level.String(), func(b *testing.B) {
			b.ReportAllocs()
			var dst []byte
			for b.Loop() {
				dst = encode(e, dst[:0])
			}
			report(b, n, len(src))
		})
		b.Run("decode/"+level.String(), func(b *testing.B) {
			b.ReportAllocs()
			var d Decoder
			for b.Loop() {
				if err := decode(&d, src); err != nil {
					b.Fatal(err)
				}
			}
			report(b, n, len(src))
		})
	}
}

func report(b *testing.B, n, size int) {
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mvalues/s")
	b.ReportMetric(float64(size)/float64(n), "B/value")
}

func benchInts(b *testing.B, v []int64) {
	var out []int64
	runBench(b, len(v),
		func(e *Encoder, dst []byte) []byte { return e.Ints(dst, v) },
		func(d *Decoder, src []byte) (err error) { out, err = d.Ints(out[:0], len(v), src); return err })
}

func benchFloats(b *testing.B, v []float64) {
	var out []float64
	runBench(b, len(v),
		func(e *Encoder, dst []byte) []byte { return e.Floats(dst, v) },
		func(d *Decoder, src []byte) (err error) { out, err = d.Floats(out[:0], len(v), src); return err })
}

func benchTimes(b *testing.B, runs []int32, v []int64) {
	var out []int64
	runBench(b, len(v),
		func(e *Encoder, dst []byte) []byte { return e.Times(dst, runs, v) },
		func(d *Decoder, src []byte) (err error) { out, err = d.Times(out[:0], runs, src); return err })
}

func benchStrings(b *testing.B, ends []uint32, data []byte) {
	var outEnds []uint32
	var out []byte
	runBench(b, len(ends),
		func(e *Encoder, dst []byte) []byte { return e.Strings(dst, ends, data) },
		func(d *Decoder, src []byte) (err error) {
			outEnds, out, err = d.Strings(outEnds[:0], out[:0], len(ends), src)
			return err
		})
}

func BenchmarkHostInts(b *testing.B)    { benchInts(b, hostInts(1, benchRows, 4320)) }
func BenchmarkTwoDecimals(b *testing.B) { benchFloats(b, decimals(2, benchRows, 2, 20, 0.05)) }
func BenchmarkPositions(b *testing.B)   { benchFloats(b, decimals(3, benchRows, 5, 52.5, 0.005)) }
func BenchmarkFullFloats(b *testing.B)  { benchFloats(b, full(4, benchRows)) }
func BenchmarkFallingFuel(b *testing.B) { benchFloats(b, falling(5, benchRows)) }
func BenchmarkWholeFloats(b *testing.B) {
	v := hostInts(6, benchRows, 4320)
	f := make([]float64, len(v))
	for i, w := range v {
		f[i] = float64(w)
	}
	benchFloats(b, f)
}

func BenchmarkStatusStrings(b *testing.B) {
	ends, data := statuses(7, benchRows)
	benchStrings(b, ends, data)
}

func BenchmarkIDStrings(b *testing.B) {
	ends, data := ids(8, benchRows)
	benchStrings(b, ends, data)
}

func BenchmarkEvenTimes(b *testing.B) {
	runs, v := evenTimes(benchRows, 360, 1451606400e9, 10e9)
	benchTimes(b, runs, v)
}

func BenchmarkJitteredTimes(b *testing.B) {
	runs, v := evenTimes(benchRows, 360, 1451606400e9, 10e9)
	benchTimes(b, runs, jitter(9, v, 500, 1e6))
}
