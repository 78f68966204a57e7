package lineproto

import (
	"fmt"
	"math/rand"
	"testing"
)

// fleetBody has lines like those of TSBS cpu-only: 10 tags, 10 integers.
func fleetBody(lines, hosts int) []byte {
	rng := rand.New(rand.NewSource(1))
	fields := []string{"usage_user", "usage_system", "usage_idle", "usage_nice", "usage_iowait",
		"usage_irq", "usage_softirq", "usage_steal", "usage_guest", "usage_guest_nice"}
	var b []byte
	for i := range lines {
		h := i % hosts
		b = fmt.Appendf(b, "cpu,arch=x64,datacenter=eu-central-1b,hostname=host_%d,os=Ubuntu16.04LTS,rack=%d,region=eu-central-1,service=%d,service_environment=production,service_version=1,team=LON ",
			h, h%100, h%20)
		for k, f := range fields {
			if k > 0 {
				b = append(b, ',')
			}
			b = fmt.Appendf(b, "%s=%di", f, rng.Intn(101))
		}
		b = fmt.Appendf(b, " %d\n", 1451606400000000000+int64(i/hosts)*10e9)
	}
	return b
}

// threeTagBody has lines of about 163 bytes: 3 tags, 5 fields.
func threeTagBody(lines int) []byte {
	rng := rand.New(rand.NewSource(1))
	var b []byte
	for i := range lines {
		d := i % 1000
		b = fmt.Appendf(b, "sensor_data,device=device_%05d,line=line_%02d,site=site_%02d temperature=%.2f,humidity=%.2f,pressure=%di,status=\"%s\",voltage=%v %d\n",
			d, d%50, d%10, 20+rng.Float64()*10, 40+rng.Float64()*20, 100000+rng.Intn(1000), []string{"ok", "warning"}[rng.Intn(20)/19],
			3+float64(rng.Intn(1e6))/1e6, 1451606400000000000+int64(i)*1e6)
	}
	return b
}

// truckBody has lines like those of TSBS iot: some values and tags missing.
func truckBody(lines int) []byte {
	rng := rand.New(rand.NewSource(1))
	var b []byte
	for i := range lines {
		d := i % 1000
		b = fmt.Appendf(b, "readings,name=truck_%d,fleet=South,driver=Trish,model=H-2,device_version=v2.3 ", d)
		n := 0
		for _, f := range []string{"latitude", "longitude", "elevation", "velocity", "heading", "grade", "fuel_consumption"} {
			if rng.Intn(20) == 0 && n > 0 {
				continue
			}
			if n++; n > 1 {
				b = append(b, ',')
			}
			b = fmt.Appendf(b, "%s=%.*f", f, rng.Intn(6), rng.Float64()*100)
		}
		b = fmt.Appendf(b, " %d\n", 1451606400000000000+int64(i)*1e6)
	}
	return b
}

func benchmark(b *testing.B, cfg Config, bodies ...[]byte) {
	p := NewParser(cfg)
	rows, bytes := 0, 0
	for _, body := range bodies {
		if _, err := p.Parse(body, Nanosecond, 1); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		batch, err := p.Parse(bodies[i%len(bodies)], Nanosecond, 1)
		if err != nil {
			b.Fatal(err)
		}
		rows += batch.Rows()
		bytes += len(bodies[i%len(bodies)])
	}
	b.SetBytes(int64(bytes / b.N))
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds()/1e6, "Mrows/s")
}

func BenchmarkFleet(b *testing.B)     { benchmark(b, Default(), fleetBody(10000, 4000)) }
func BenchmarkThreeTags(b *testing.B) { benchmark(b, Default(), threeTagBody(10000)) }
func BenchmarkTruck(b *testing.B)     { benchmark(b, Default(), truckBody(10000)) }

// BenchmarkShuffled has series in an order that cannot be guessed.
func BenchmarkShuffled(b *testing.B) {
	lines := splitLines(threeTagBody(100000))
	rand.New(rand.NewSource(2)).Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
	var body []byte
	for _, l := range lines {
		body = append(body, l...)
	}
	benchmark(b, Default(), body)
}

// BenchmarkNewSeries has a million series in bodies of 10,000, so that the
// cache never knows one.
func BenchmarkNewSeries(b *testing.B) {
	const series, perBody = 1000000, 10000
	var bodies [][]byte
	for i := 0; i < series; i += perBody {
		var body []byte
		for d := i; d < i+perBody; d++ {
			body = fmt.Appendf(body, "sensor_data,device=device_%07d,line=line_%02d,site=site_%02d temperature=21.52,humidity=45.11,pressure=100123i,status=\"ok\",voltage=3.141592 1451606400000000000\n",
				d, d%50, d%10)
		}
		bodies = append(bodies, body)
	}
	benchmark(b, Default(), bodies...)
}

func splitLines(b []byte) (lines [][]byte) {
	for len(b) > 0 {
		n := lineEnd(b, 0) + 1
		lines = append(lines, b[:n])
		b = b[n:]
	}
	return lines
}
