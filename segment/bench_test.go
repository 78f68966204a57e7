package segment

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/encoding"
	"github.com/varvedb/varve/predicate"
)

// fleet is synthetic data in the manner of TSBS.
type fleet struct {
	fields []column.FieldInfo
	keys   [][]byte // ascending
	rows   func(series int) *column.Rows
}

const tenSeconds = int64(10e9)

var benchStart = int64(1_700_006_400) * 1e9 // a midnight

// hosts have 10 integer fields that walk between 0 and 100.
func hosts(series, rows int) *fleet {
	f := &fleet{}
	for i := range 10 {
		f.fields = append(f.fields, column.FieldInfo{Name: fmt.Sprintf("usage_%d", i), Type: column.Int64})
	}
	for i := range series {
		f.keys = append(f.keys, []byte(fmt.Sprintf("arch=x%d,datacenter=eu-central-1%c,hostname=host_%d,os=Ubuntu16.%d,rack=%d,region=eu-central-1,service=%d,service_environment=%s,service_version=%d,team=%s",
			i%2*22+64, 'a'+i%3, i, i%2*5+4, i%97, i%19, []string{"test", "staging", "production"}[i%3], i%2, []string{"NYC", "LON", "SF", "CHI"}[i%4])))
	}
	slices.SortFunc(f.keys, bytes.Compare)
	var r column.Rows
	f.rows = func(series int) *column.Rows {
		rnd := rand.New(rand.NewPCG(uint64(series), 1))
		r.Reset(f.fields)
		for i := range rows {
			r.Time = append(r.Time, benchStart+int64(i)*tenSeconds)
		}
		for c := range r.Cols {
			v := rnd.Float64() * 100
			for range rows {
				v = min(max(v+rnd.NormFloat64(), 0), 100)
				r.Cols[c].AppendWord(uint64(int64(v)))
			}
		}
		return &r
	}
	return f
}

// trucks have seven floats of few decimals; some rows are missing.
func trucks(series, rows int) *fleet {
	f := &fleet{}
	decimals := []float64{0, 1, 1, 2, 5, 5, 0} // ascending by name
	for _, name := range []string{"elevation", "fuel_consumption", "grade", "heading", "latitude", "longitude", "velocity"} {
		f.fields = append(f.fields, column.FieldInfo{Name: name, Type: column.Float64})
	}
	for i := range series {
		f.keys = append(f.keys, []byte(fmt.Sprintf("device_version=v2.%d,driver=%s,fleet=%s,model=%s,name=truck_%d",
			i%3, []string{"Albert", "Andy", "Derek", "Rodney", "Trish"}[i%5], []string{"East", "North", "South", "West"}[i%4], []string{"F-150", "G-2000", "H-2"}[i%3], i)))
	}
	slices.SortFunc(f.keys, bytes.Compare)
	steps := []float64{10, 1, 1, 5, 0.001, 0.001, 4}
	tops := []float64{5000, 50, 100, 360, 90, 180, 100}
	var r column.Rows
	f.rows = func(series int) *column.Rows {
		rnd := rand.New(rand.NewPCG(uint64(series), 2))
		r.Reset(f.fields)
		for i := range rows {
			if rnd.IntN(20) > 0 || i == 0 {
				r.Time = append(r.Time, benchStart+int64(i)*tenSeconds)
			}
		}
		for c := range r.Cols {
			v := rnd.Float64() * tops[c]
			p := math.Pow(10, decimals[c])
			for range r.Time {
				v = min(max(v+(rnd.Float64()*2-1)*steps[c], 0), tops[c])
				r.Cols[c].AppendFloat(math.Round(v*p) / p)
			}
		}
		return &r
	}
	return f
}

// devices are many series of few rows.
func devices(series int) *fleet {
	f := &fleet{}
	for i := range 5 {
		f.fields = append(f.fields, column.FieldInfo{Name: fmt.Sprintf("v%d", i), Type: column.Float64})
	}
	for i := range series {
		f.keys = append(f.keys, []byte(fmt.Sprintf("device=dev-%08d,model=m%d,site=site-%d", i*7919%series, i%10, i%1000)))
	}
	slices.SortFunc(f.keys, bytes.Compare)
	var r column.Rows
	rnd := rand.New(rand.NewPCG(1, 3))
	f.rows = func(int) *column.Rows {
		r.Reset(f.fields)
		for i := range 10 {
			r.Time = append(r.Time, benchStart+int64(i)*6*tenSeconds)
		}
		for c := range r.Cols {
			for range 10 {
				r.Cols[c].AppendFloat(math.Round(rnd.NormFloat64()*100) / 10)
			}
		}
		return &r
	}
	return f
}

func (f *fleet) write(t testing.TB, w io.Writer, o WriterOptions) Info {
	sw := NewWriter(w, o)
	must(t, sw.BeginSection("m", f.fields))
	for i, k := range f.keys {
		must(t, sw.Append(k, f.rows(i)))
	}
	must(t, sw.EndSection())
	info, err := sw.Finish()
	must(t, err)
	return info
}

func (f *fleet) open(t testing.TB) *Section {
	var buf bytes.Buffer
	f.write(t, &buf, balanced(0))
	s, _ := open(t, buf.Bytes()).Section("m")
	return s
}

// parts splits the size of a section by what it is spent on.
func (s *Section) parts(t testing.TB) map[string]int64 {
	x, err := s.blockIndex()
	must(t, err)
	p := map[string]int64{"index": int64(s.d.index.len), "footer": int64(s.r.footer.len) + tailSize + int64(len(magic)),
		"filter": int64(s.d.filter.len), "dictionary": int64(s.d.dict.len), "postings": int64(s.d.tags.len)}
	for _, n := range x.headLen {
		p["times"] += int64(n)
	}
	for _, e := range x.spans {
		p["summaries"] += int64(e.len)
	}
	for i := range s.meta.Fields {
		f, err := s.fieldIndex(i, x)
		must(t, err)
		p["index"] += int64(s.d.fields[i].len)
		for _, e := range f.chunks {
			p["columns"] += int64(e.len)
		}
		for _, e := range f.stats {
			p["summaries"] += int64(e.len)
		}
	}
	d, err := s.dictIndex()
	must(t, err)
	for _, e := range d.pages {
		p["dictionary"] += int64(e.len)
	}
	tags, err := s.tagIndex()
	must(t, err)
	for _, k := range tags.keys {
		for _, e := range k.pages {
			p["postings"] += int64(e.len)
		}
	}
	return p
}

// TestSize guards the bars on bytes per value.
func TestSize(t *testing.T) {
	for _, c := range []struct {
		name  string
		fleet *fleet
		bar   map[string]float64 // bytes per value
	}{
		{"hosts", hosts(40, 8640), map[string]float64{"summaries": 0.025, "index": 0.005, "all but columns": 0.05}},
		{"trucks", trucks(40, 8640), map[string]float64{"index": 0.01, "all but columns": 0.12}},
		{"devices", devices(20000), map[string]float64{"index": 0.005}},
	} {
		s := c.fleet.open(t)
		values := float64(s.r.Info().Values)
		parts := s.parts(t)
		sum := int64(0)
		for _, n := range parts {
			sum += n
		}
		if sum != s.r.size {
			t.Errorf("%s: parts are %d of %d bytes", c.name, sum, s.r.size)
		}
		parts["all"], parts["all but columns"] = sum, sum-parts["columns"]
		for _, name := range []string{"all", "all but columns", "columns", "times", "summaries", "index", "dictionary", "postings", "filter", "footer"} {
			per := float64(parts[name]) / values
			t.Logf("%s: %.4f bytes/value for %s", c.name, per, name)
			if bar, ok := c.bar[name]; ok && per > bar {
				t.Errorf("%s: %.4f bytes/value for %s, want at most %g", c.name, per, name, bar)
			}
		}
	}
}

// recorded makes writing measurable without the making of the rows.
func (f *fleet) recorded() *fleet {
	all := make([]column.Rows, len(f.keys))
	for i := range all {
		all[i].Reset(f.fields)
		all[i].Append(f.rows(i))
	}
	f.rows = func(i int) *column.Rows { return &all[i] }
	return f
}

func BenchmarkWrite(b *testing.B) {
	for _, c := range []struct {
		name  string
		fleet *fleet
	}{{"hosts", hosts(40, 8640)}, {"trucks", trucks(40, 8640)}, {"devices", devices(50000)}} {
		c.fleet.recorded()
		for _, level := range []encoding.Level{encoding.LevelFast, encoding.LevelBalanced} {
			b.Run(c.name+"/"+level.String(), func(b *testing.B) {
				o := balanced(0)
				o.Level = level
				b.ReportAllocs()
				var info Info
				for b.Loop() {
					info = c.fleet.write(b, io.Discard, o)
				}
				b.SetBytes(info.Size)
				b.ReportMetric(float64(info.Rows)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mrows/s")
				b.ReportMetric(float64(info.Size)/float64(info.Values), "bytes/value")
			})
		}
	}
}

func BenchmarkRead(b *testing.B) {
	for _, c := range []struct {
		name  string
		fleet *fleet
	}{{"hosts", hosts(40, 8640)}, {"trucks", trucks(40, 8640)}, {"devices", devices(50000)}} {
		s := c.fleet.open(b)
		for _, fields := range []int{1, len(c.fleet.fields)} {
			b.Run(fmt.Sprintf("%s/%d", c.name, fields), func(b *testing.B) {
				b.ReportAllocs()
				bytes := int64(0)
				for b.Loop() {
					c, err := s.Open(fieldNames(c.fleet.fields[:fields]))
					must(b, err)
					for ord := range uint32(s.meta.Series) {
						must(b, c.Seek(ord, math.MinInt64, math.MaxInt64))
						for {
							rows, err := c.Next()
							must(b, err)
							if rows == nil {
								break
							}
						}
					}
					bytes = c.Stats().BytesRead
				}
				b.SetBytes(bytes)
				b.ReportMetric(float64(s.meta.Rows)*float64(fields)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mvalues/s")
			})
		}
	}
}

func BenchmarkOneHour(b *testing.B) {
	s := hosts(40, 8640).open(b)
	for _, fields := range []int{1, 10} {
		b.Run(fmt.Sprint(fields), func(b *testing.B) {
			b.ReportAllocs()
			c, err := s.Open(fieldNames(s.meta.Fields[:fields]))
			must(b, err)
			i := 0
			for b.Loop() {
				from := benchStart + int64(i%23)*3600e9 + 600e9
				must(b, c.Seek(uint32(i*7%s.meta.Series), from, from+3600e9-1))
				i++
				n := 0
				for {
					rows, err := c.Next()
					must(b, err)
					if rows == nil {
						break
					}
					n += rows.Len()
				}
				if n != 360 {
					b.Fatal(n)
				}
			}
		})
	}
}

// BenchmarkOneHourOpened opens a cursor for each hour, as a query does.
func BenchmarkOneHourOpened(b *testing.B) {
	s := hosts(40, 8640).open(b)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		c, err := s.Open([]string{"usage_4"})
		must(b, err)
		from := benchStart + int64(i%23)*3600e9 + 600e9
		must(b, c.Seek(uint32(i*7%s.meta.Series), from, from+3600e9-1))
		i++
		rows, err := c.Next()
		must(b, err)
		if rows == nil {
			b.Fatal("no rows")
		}
		c.Close()
	}
}

func BenchmarkSummaries(b *testing.B) {
	s := hosts(40, 8640).open(b)
	for _, fields := range []int{1, 10} {
		b.Run(fmt.Sprint(fields), func(b *testing.B) {
			b.ReportAllocs()
			spans := 0
			for b.Loop() {
				c, err := s.Open(fieldNames(s.meta.Fields[:fields]))
				must(b, err)
				spans = 0
				for ord := range uint32(s.meta.Series) {
					must(b, c.Seek(ord, math.MinInt64, math.MaxInt64))
					for {
						_, ok, err := c.Span()
						must(b, err)
						if !ok {
							break
						}
						for f := range fields {
							if _, err := c.Summary(f); err != nil {
								b.Fatal(err)
							}
						}
						must(b, c.Skip())
						spans++
					}
				}
			}
			b.ReportMetric(b.Elapsed().Seconds()*1e9/float64(b.N)/float64(spans), "ns/span")
		})
	}
}

func BenchmarkDictionary(b *testing.B) {
	s := devices(100000).open(b)
	b.Run("walk", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			keys := s.Keys()
			for ord := range uint32(s.meta.Series) {
				if _, err := keys.Key(ord); err != nil {
					b.Fatal(err)
				}
			}
		}
		b.ReportMetric(float64(s.meta.Series)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mkeys/s")
	})
	b.Run("lookup", func(b *testing.B) {
		b.ReportAllocs()
		key, err := s.Keys().Key(77777)
		must(b, err)
		for b.Loop() {
			if ord, _, err := s.Lookup(key); err != nil || ord != 77777 {
				b.Fatal(ord, err)
			}
		}
	})
}

func BenchmarkSelect(b *testing.B) {
	s := devices(100000).open(b)
	for name, e := range map[string]*predicate.Expr{
		"one":    predicate.Eq("device", "dev-00004711"),
		"site":   predicate.Eq("site", "site-77"),
		"models": predicate.All(predicate.OneOf("model", "m1", "m5"), predicate.Negate(predicate.Eq("site", "site-5"))),
		"regexp": predicate.Match("device", "777$"),
	} {
		m, err := predicate.Compile(e)
		must(b, err)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if ords, err := s.Select(m); err != nil || len(ords) == 0 {
					b.Fatal(len(ords), err)
				}
			}
		})
	}
}

// BenchmarkFilter reads rows where a value is large, which few are.
func BenchmarkFilter(b *testing.B) {
	s := hosts(40, 8640).open(b)
	b.ReportAllocs()
	for b.Loop() {
		c, err := s.Open([]string{"usage_3"})
		must(b, err)
		c.SetBounds(0, 99, math.MaxInt64)
		for ord := range uint32(s.meta.Series) {
			must(b, c.Seek(ord, math.MinInt64, math.MaxInt64))
			for {
				rows, err := c.Next()
				must(b, err)
				if rows == nil {
					break
				}
			}
		}
	}
	b.ReportMetric(float64(s.meta.Rows)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mrows/s")
}
