package lineproto

import (
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/varvedb/varve/column"
)

var seedFlag = flag.Int64("seed", 0, "seed of the random tests, 0 for a new one")

// random returns a generator and prints how to get it again.
func random(t *testing.T) *rand.Rand {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Int63()
	}
	t.Logf("again with -seed %d", seed)
	return rand.New(rand.NewSource(seed))
}

// bodies are the seeds of the fuzz target and cases for the reference.
var bodies = []string{
	"cpu,host=a,region=b usage=1.5,idle=2i,n=3u,s=\"x\",ok=t 1465839830100400200\n",
	"cpu value=1\ncpu value=2 10\r\ncpu value=3 -10\n\n  \n# comment \"\ncpu value=4",
	"m,b=2,a=1 v=1 1\nm,a=1,b=2 v=2 2\nm,a=1,b=2 v=3 3\nm,b=2,a=1 v=4 4\n",
	`my\ m\,x,t\ k\,\=a=v\ \,\=b f\ \,\=="a\"b\\c\d" 1` + "\n" + `my\ m\,x,t\ k\,\=a=v\ \,\=b f\ \,\=="" 1`,
	"m s=\"line\nbreak, x=\"\" 1\nm s=\"line\nbreak\" 1\n",
	"a,x==y f=1\nb,x=\\ f=1\nc,x=y\\\\ f=1\nd\\ f=1 f=2\n",
	"m a=1\nm b=1\nm a=1,b=2\nm c=\"s\"\nm a=2,c=\"t\",b=3\nm c=\"u\",a=1\n",
	"m a=1\nm a=1i\nm a=\"x\"\nm a=t\nm a=1u\nm a=2\n",
	"m,a=1 b=1\nm,b=1 a=1\nm,c=1 c=1\nm,c=1 d=1\nm,b=2 d=1\nm,d=1 b=2\n",
	"m,time=1 f=1\nm time=1\nm time=1,f=2\nm f=1,time=\"x\"\nm time=x\n",
	"m a=1,a=2\nm a=\"x\",a=\"y\"\nm b=\"x\",b=\"yz\"\nm b=\"\"\nm a=1,a=2i\n",
	"m a=1 1 \nm a=1  1\nm a=1 1 1\nm a=1 x\nm a=1 -\nm a=1 9223372036854775807\nm a=1 99999999999999999999\nm a=1 00000000000000000000001\n",
	",a=1 f=1\n=,a=1 f=1\nm, f=1\nm,a f=1\nm,a= f=1\nm,=1 f=1\nm,a=1\nm,a=1 \nm \nm,a=1,a=2 f=1\nm,b=1,a=1,b=2 f=1\nm,a=b=c f=1\n",
	"m f\nm =1\nm f=\nm f=,g=1\nm f=1,\nm f=1,,g=1\nm f=1, g=1\nm f=1,=2\nm f=x\nm f=\"x\nm g=\"y\n",
	"m f=\"x\"y\nm f=\"x\" \"\n\"\nm f=tru\nm f=nan\nm f=NaN\nm f=inf\nm f=-inf\nm f=+1\nm f=1e400\nm f=1e\nm f=--1\nm f=1.1.1\n",
	"m f=1,g=1.,h=.5,i=1e9,j=-0,k=-.5e-3,l=0.1,m=123456789012345678901234567890,n=1E+5,o=9007199254740993,p=0.30000000000000004\n",
	"m f=9223372036854775807i,g=-9223372036854775808i,h=18446744073709551615u,i=-0i,j=000000000000000000000001i\nm f=9223372036854775808i\nm f=-9223372036854775809i\nm f=18446744073709551616u\nm f=-1u\nm f=1.0i\nm f=i\nm f=-i\nm f=.i\n",
	"\x00\t m \t f=1 \t 1\nm\rx f=1\r\nm f=t\r\nm f=\"\"\r\n\r\nm f=1 1\r",
	"m f=1\\\nm\\\nm f=1\n# x=\"\nm f=2\nm\\ \"x=\"\n\" f=1\n",
	"a b c=\"\n\"\na b=1 c=\"\n\"\na b\\ c=\"\n\"\na ,=\"\n\" \n",
}

func testConfig() Config {
	cfg := Default()
	cfg.SkipBadLines = true
	return cfg
}

func TestReference(t *testing.T) {
	for _, unit := range []Precision{Nanosecond, Microsecond, Millisecond, Second} {
		p := NewParser(testConfig()) // one for all bodies: what it keeps must not show
		for round := range 2 {
			for i, body := range bodies {
				if err := compare(p, []byte(body), unit, -1234567890123456789); err != nil {
					t.Errorf("unit %d, round %d, body %d: %v\n%s", unit, round, i, err, body)
				}
			}
			all := strings.Join(bodies, "\n")
			if err := compare(p, []byte(all), unit, 99); err != nil {
				t.Errorf("unit %d, round %d: %v", unit, round, err)
			}
		}
	}
}

// TestRandomReference mutates the bodies and puts lines of random series and
// fields between them.
func TestRandomReference(t *testing.T) {
	rng := random(t)
	rounds := 20000
	if testing.Short() {
		rounds = 2000
	}
	small := testConfig()
	small.CacheBytes, small.MaxNulls, small.MaxErrorText = 2000, 30, 10
	small.MaxTags, small.MaxFields, small.MaxLineBytes = 5, 6, 80
	parsers := []*Parser{NewParser(testConfig()), NewParser(small)}
	for range rounds {
		body := randomBody(rng)
		for i, p := range parsers {
			if err := compare(p, body, Millisecond, 1e18); err != nil {
				t.Fatalf("parser %d: %v\n%q", i, err, body)
			}
		}
	}
}

func randomBody(rng *rand.Rand) []byte {
	var b []byte
	for range rng.Intn(30) {
		switch rng.Intn(4) {
		case 0:
			lines := strings.SplitAfter(bodies[rng.Intn(len(bodies))], "\n")
			b = append(b, lines[rng.Intn(len(lines))]...)
		default:
			b = fmt.Appendf(b, "m%d", rng.Intn(3))
			for range rng.Intn(4) {
				b = fmt.Appendf(b, ",t%d=%d", rng.Intn(6), rng.Intn(3))
			}
			b = append(b, ' ')
			for i := range 1 + rng.Intn(4) {
				if i > 0 {
					b = append(b, ',')
				}
				name := rng.Intn(10)
				b = fmt.Appendf(b, "%s%d=", []string{"f", "a_rather_long_name_of_a_field", "t"}[min(name%7, 2)/(1+rng.Intn(20))], name)
				if rng.Intn(30) == 0 {
					name++
				}
				switch name % 5 {
				case 0:
					b = fmt.Appendf(b, "%di", rng.Int63()>>uint(rng.Intn(64))-rng.Int63()>>1)
				case 1:
					b = strconv.AppendFloat(b, rng.NormFloat64()*100, "gfe"[rng.Intn(3)], rng.Intn(8)-1, 64)
				case 2:
					b = fmt.Appendf(b, "%q", "some \"text\" "[rng.Intn(12):])
				case 3:
					b = append(b, []string{"t", "FALSE", "true"}[rng.Intn(3)]...)
				case 4:
					b = fmt.Appendf(b, "%du", rng.Uint64()>>uint(rng.Intn(64)))
				}
			}
			if rng.Intn(3) > 0 {
				b = fmt.Appendf(b, " %d", rng.Int63()>>uint(20+rng.Intn(40)))
			}
			b = append(b, '\n')
		}
	}
	if len(b) > 0 && rng.Intn(3) == 0 {
		for range 1 + rng.Intn(3) {
			const special = "\\\"\n ,=#\r\t1-.ie"
			b[rng.Intn(len(b))] = special[rng.Intn(len(special))]
		}
	}
	return b
}

func FuzzParse(f *testing.F) {
	for _, b := range bodies {
		f.Add([]byte(b), uint8(0))
	}
	f.Fuzz(func(t *testing.T, body []byte, mode uint8) {
		unit := []Precision{Nanosecond, Microsecond, Millisecond, Second}[mode%4]
		cfg := testConfig()
		if mode&4 != 0 {
			cfg.CacheBytes, cfg.MaxNulls, cfg.MaxLineBytes = 0, 4, 64
		}
		p := NewParser(cfg)
		for range 2 {
			if err := compare(p, body, unit, 1e18+1); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestReasons(t *testing.T) {
	p := NewParser(Default())
	for line, want := range map[string]string{
		"cpu":                               missingFields,
		"cpu,host=a":                        missingFields,
		"cpu,host==":                        missingFields,
		"=":                                 missingFields,
		",host=a v=1":                       missingMeasurement,
		"cpu, v=1":                          missingTagKey,
		"cpu,=a v=1":                        missingTagKey,
		"cpu,host v=1":                      missingTagValue,
		"cpu,host= v=1":                     missingTagValue,
		"cpu,host=a=b v=1":                  invalidTag,
		"cpu,a=1,a=2 v=1":                   duplicateTags,
		"cpu =1":                            missingFieldKey,
		"cpu v=1,=2":                        missingFieldKey,
		"cpu v=":                            missingFieldValue,
		"cpu v=,w=1":                        missingFieldValue,
		"cpu v":                             invalidField,
		"cpu 123456":                        invalidField,
		"cpu v=1,":                          invalidField,
		"cpu v=1a":                          invalidNumber,
		"cpu v=NaN":                         invalidNumber,
		"cpu v=-Inf":                        invalidNumber,
		"cpu v=Inf":                         invalidBoolean,
		"cpu v=yes":                         invalidBoolean,
		"cpu v=1e999":                       invalidFloat,
		"cpu v=\"x":                         unbalancedQuotes,
		"cpu v=1 x":                         badTimestamp,
		"cpu v=1 1.5":                       badTimestamp,
		"cpu v=1 1 2":                       invalidPoint,
		"cpu v=1 9223372036854775807":       "time outside range -9223372036854775806 - 9223372036854775806",
		"cpu v=9223372036854775808i":        `unable to parse integer 9223372036854775808: strconv.ParseInt: parsing "9223372036854775808": value out of range`,
		"cpu v=18446744073709551616u":       `unable to parse unsigned 18446744073709551616: strconv.ParseUint: parsing "18446744073709551616": value out of range`,
		strings.Repeat("x", 65536) + " v=1": "max key length exceeded: 65536 > 65535",
		"m" + strings.Repeat("x", 65527) + " vvvvv=1": "max key length exceeded: 65537 > 65535",
	} {
		_, err := p.Parse([]byte("a b=1\n"+line), Nanosecond, 0)
		var e *ParseError
		if !errors.As(err, &e) || len(e.Lines) != 1 || e.Lines[0].Line != 2 || e.Lines[0].Reason != want {
			t.Errorf("%.80s: got %.200v, want %s", line, err, want)
		}
	}
	_, err := p.Parse([]byte("cpu\nm v=1\n\n  cpu,host=a v= 1 \r\nm v=\"\n\" 1\n x"), Nanosecond, 0)
	want := "unable to parse 'cpu': missing fields\nunable to parse 'cpu,host=a v= 1 ': missing field value\nunable to parse 'x': missing fields"
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
	if e := err.(*ParseError); e.Lines[2].Line != 7 {
		t.Errorf("last error in line %d, want 7", e.Lines[2].Line)
	}
}

func TestErrorsAreBounded(t *testing.T) {
	cfg := Default()
	cfg.MaxErrors, cfg.MaxErrorText = 3, 5
	_, err := NewParser(cfg).Parse([]byte(strings.Repeat("a bad line\n", 10)), Nanosecond, 0)
	e := err.(*ParseError)
	if len(e.Lines) != 3 || e.More != 7 || string(e.Lines[0].Text) != "a bad" || !strings.HasSuffix(err.Error(), "and 7 more lines") {
		t.Errorf("got %+v", e)
	}
}

func TestConflicts(t *testing.T) {
	p := NewParser(Default())
	body := "m,h=a x=1.0,y=1i 1\nm,h=a x=1i,y=2i 2\nm,h=a x=2i 3\nm,h=a x=\"s\" 4\nm h=1 5\nm,x=1 y=1i 6\nm,time=1 y=1i 7\nm time=1 8\nm,h=a x=2,y=3i 9\n"
	b, err := p.Parse([]byte(body), Nanosecond, 0)
	if err != nil {
		t.Fatal(err)
	}
	want := []Conflict{
		{TypeConflict, "m", "x", column.Int64, column.Float64, 2},
		{TypeConflict, "m", "x", column.String, column.Float64, 1},
		{NameConflict, "m", "h", 0, 0, 1},
		{NameConflict, "m", "x", 0, 0, 1},
		{TimeTag, "m", "time", 0, 0, 1},
		{TimeField, "m", "time", 0, 0, 1},
	}
	if d := cmp.Diff(want, p.Conflicts()); d != "" {
		t.Error(d)
	}
	if got, want := p.Conflicts()[0].String(), `field type conflict: input field "x" on measurement "m" is type integer, already exists as type float`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if p.Dropped() != 7 {
		t.Errorf("%d rows dropped, want 7", p.Dropped())
	}
	if d := cmp.Diff([]int64{1, 9}, b.Tables[0].Time); d != "" {
		t.Error(d)
	}
}

// TestNumbers compares every way to write a number with strconv.
func TestNumbers(t *testing.T) {
	rng := random(t)
	rounds := 1000000
	if testing.Short() {
		rounds = 100000
	}
	var b []byte
	for range rounds {
		b = b[:0]
		switch rng.Intn(3) {
		case 0:
			b = strconv.AppendFloat(b, math.Float64frombits(rng.Uint64()), "efg"[rng.Intn(3)], rng.Intn(22)-1, 64)
		case 1:
			b = strconv.AppendFloat(b, rng.NormFloat64()*math.Pow(10, float64(rng.Intn(20)-8)), 'f', rng.Intn(18)-1, 64)
		case 2:
			for range rng.Intn(24) {
				b = append(b, "01234567899999."[rng.Intn(15)])
			}
		}
		want, err := strconv.ParseFloat(string(b), 64)
		if err != nil || math.IsNaN(want) || math.IsInf(want, 0) {
			continue
		}
		n := len(b)
		b = append(b, ",another=1"[:rng.Intn(10)]...)
		if len(b) == n+1 {
			b = b[:n]
		}
		if len(b) > n {
			b[n] = ','
		}
		w, typ, end := number(b, 0)
		if typ == 0 {
			var reason string
			if w, typ, end, reason = slowNumber(b, 0); reason != "" {
				t.Fatalf("%s: %s", b, reason)
			}
		}
		if typ != column.Float64 || w != math.Float64bits(want) || end != n {
			t.Fatalf("%s: got %v %v to %d, want %v to %d", b, typ, math.Float64frombits(w), end, want, n)
		}
	}
}

func TestSparseTablesAreContinued(t *testing.T) {
	cfg := testConfig()
	cfg.MaxNulls = 1000
	p := NewParser(cfg)
	var body []byte
	for i := range 1000 {
		body = fmt.Appendf(body, "m,h=%d f%d=1,always=%d %d\n", i%3, i, i, i)
	}
	if err := compare(p, body, Nanosecond, 0); err != nil {
		t.Fatal(err)
	}
	b, _ := p.Parse(body, Nanosecond, 0)
	cells := 0
	for _, tab := range b.Tables {
		cells += len(tab.Time) * len(tab.Fields)
	}
	if len(b.Tables) < 2 || cells > cfg.MaxNulls+(nullsPerValue+2)*2*b.Rows() {
		t.Errorf("%d tables, %d cells for %d rows", len(b.Tables), cells, b.Rows())
	}
	// A type stands for the whole body.
	body = append(body, "m f0=1i\n"...)
	if err := compare(p, body, Nanosecond, 0); err != nil {
		t.Fatal(err)
	}
	if len(p.Conflicts()) != 1 {
		t.Errorf("conflicts: %v", p.Conflicts())
	}
}

// TestLeft: rows that contradict others are there as lines with their reasons, as
// many as the limit says, and the memory of many is given back.
func TestLeft(t *testing.T) {
	cfg := Default()
	cfg.MaxLeft, cfg.CacheBytes = 150, 16<<10
	p := NewParser(cfg)
	lines := func(body []byte) (all []string) {
		for why, line := range p.Left(body).Each {
			all = append(all, fmt.Sprintf("%s (%s is %v)", line, why.Name, why.Got))
		}
		return all
	}
	body := []byte("m,h=a x=1 1\r\nm,h=a\\ b x=1i,y=\"a\nb\" 2\r\n  m,h=a x=t\nm x=\"7\" \nm x=2u")
	b, err := p.Parse(body, Second, 5e9+1)
	if err != nil || b.Rows() != 1 {
		t.Fatalf("%d rows, %v", b.Rows(), err)
	}
	want := []string{"m,h=a\\ b x=1i,y=\"a\nb\" 2000000000 (x is integer)", "m,h=a x=t 5000000000 (x is boolean)",
		"m x=\"7\" 5000000000 (x is string)", "m x=2u 5000000000 (x is unsigned)"}
	if d := cmp.Diff(want, lines(body)); d != "" {
		t.Errorf("left out (-want +got):\n%s", d)
	}
	if n := testing.AllocsPerRun(10, func() { p.Left(body) }); n > 0 {
		t.Errorf("%v allocations", n)
	}

	// 120 kinds, of which each row has its own, twice; those that are told stay a
	// hundred, and count.
	var many []byte
	for _, value := range []string{"1", "1i", "1i"} {
		for i := range 120 {
			many = fmt.Appendf(many, "m f%d=%s 1\n", i, value)
		}
	}
	if _, err := p.Parse(many, Nanosecond, 0); err != nil {
		t.Fatal(err)
	}
	left := p.Left(many)
	counted := 0
	for _, c := range left.Conflicts {
		counted += c.Rows
	}
	all := lines(many)
	if len(left.Conflicts) != maxConflicts || counted != 2*maxConflicts || left.Rows != 240 || len(all) != 150 || all[110] != "m f110=1i 1 (f110 is integer)" || all[149] != "m f29=1i 1 (f29 is integer)" {
		t.Errorf("%d conflicts, %d rows counted, %d in all, %d told, %q, %q", len(left.Conflicts), counted, left.Rows, len(all), all[110], all[149])
	}
	before := p.MemoryBytes()
	if _, err := p.Parse([]byte("m f0=1 1"), Nanosecond, 0); err != nil {
		t.Fatal(err)
	}
	if got := before - p.MemoryBytes(); p.Left(nil).Rows != 0 || got < 150*leftBytes {
		t.Errorf("%d bytes were given back", got)
	}
}

func TestLimits(t *testing.T) {
	cfg := Default()
	cfg.MaxTables, cfg.MaxColumns = 3, 10
	p := NewParser(cfg)
	for range 3 {
		if _, err := p.Parse([]byte("a f=1\nb f=1\nc f=1\na f=1\n"), Nanosecond, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Parse([]byte("a f=1\nb f=1\nc f=1\nd f=1\n"), Nanosecond, 0); err == nil || !strings.Contains(err.Error(), "too many measurements") {
			t.Errorf("got %v", err)
		}
		var body []byte
		for i := range 11 {
			body = fmt.Appendf(body, "a f%d=1\n", i)
		}
		if _, err := p.Parse(body, Nanosecond, 0); err == nil || !strings.Contains(err.Error(), "too many field and tag keys") {
			t.Errorf("got %v", err)
		}
		body = body[:0]
		for i := range 11 {
			body = fmt.Appendf(body, "a,t%d=1 f=1\n", i)
		}
		if _, err := p.Parse(body, Nanosecond, 0); err == nil || !strings.Contains(err.Error(), "too many field and tag keys") {
			t.Errorf("got %v", err)
		}
	}
	if err := (Config{}).Validate(); err == nil {
		t.Error("a config of zeros is valid")
	}
	if err := Default().Validate(); err != nil {
		t.Error(err)
	}
}

// TestMemoryIsBounded feeds ever new series, measurements and names.
func TestMemoryIsBounded(t *testing.T) {
	cfg := Default()
	cfg.CacheBytes = 1 << 20
	p := NewParser(cfg)
	var body []byte
	for round := range 300 {
		body = body[:0]
		for i := range 100 {
			body = fmt.Appendf(body, "m%d,host=h%d_%d,t%d=1 f%d=1\n", round*100+i, round, i, i, round)
		}
		if _, err := p.Parse(body, Nanosecond, 0); err != nil {
			t.Fatal(err)
		}
		if n := p.MemoryBytes(); n > 3*cfg.CacheBytes {
			t.Fatalf("round %d: %d bytes", round, n)
		}
	}
}

func TestNothingAllocated(t *testing.T) {
	for name, body := range map[string][]byte{
		"fleet": fleetBody(1000, 100),
		"three": threeTagBody(1000),
		"mixed": []byte(strings.Repeat("m,b=1,a=2 x=1,s=\"a\\\"b\" 1\nm\\ x,a=1 x=2i,time=2 3\nm,a=1 y=1.25e3,s=\"b\" 2\n", 100)),
	} {
		p := NewParser(Default())
		parse := func() {
			if _, err := p.Parse(body, Nanosecond, 1); err != nil {
				t.Fatal(err)
			}
		}
		parse()
		if n := testing.AllocsPerRun(10, parse); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// TestTimeIsLinear feeds bodies that would take minutes if each line looked
// at the rest of the body.
func TestTimeIsLinear(t *testing.T) {
	p := NewParser(Default())
	for _, line := range []string{"a\n", "a\\ \\ ", "a\\ \n", "a b=\"\n", "a b=1\"\n", "a b=\"\\\"", "# \"\n", "a b=\"\" \"\n"} {
		body := []byte(strings.Repeat(line, 8<<20/len(line)))
		start := time.Now()
		_, _ = p.Parse(body, Nanosecond, 0)
		if d := time.Since(start); d > 10*time.Second {
			t.Errorf("%q: %v for %d bytes", line, d, len(body))
		}
	}
}
