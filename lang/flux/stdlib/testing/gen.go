package testing

import (
	"fmt"
	"math/rand"
	"time"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/lib"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// generator returns internal/gen.
func generator() *lib.Package {
	return lib.New("internal/gen").Func("tables", "n: int, ?nulls: float, ?tags: [record], ?seed: int", generate)
}

// maxSeries is more than a test wants.
const maxSeries = 1 << 20

func generate(c *value.Call) (value.Value, error) {
	run := flow.RunOf(c)
	g := &Generated{N: c.Int("n", 0), Nulls: c.Float("nulls", 0), Seed: c.Int("seed", run.Now)}
	if g.N < 0 {
		return value.Value{}, c.Errorf("n must not be negative")
	}
	g.Start = time.Unix(0, run.Now).UTC().Truncate(genPeriod).UnixNano() - g.N*int64(genPeriod)
	series := int64(1)
	if c.Has("tags") {
		for _, t := range c.Arg("tags").Array() {
			name, _ := t.Record().Get("name")
			n, _ := t.Record().Get("cardinality")
			if name.Kind() != value.String || n.Kind() != value.Int || n.Int() < 0 || n.Int() > maxSeries {
				return value.Value{}, c.Errorf("a tag is a record like {name: \"t0\", cardinality: 3}")
			}
			if n.Int() == 0 {
				continue
			}
			if series *= n.Int(); series > maxSeries {
				return value.Value{}, c.Errorf("that would be more than %d series", maxSeries)
			}
			g.Tags = append(g.Tags, GenTag{name.Str(), int(n.Int())})
		}
	}
	return flow.New(c, g), nil
}

// Generated is tables of random floats, one for each combination of tag values.
type Generated struct {
	N     int64 // rows of a table
	Nulls float64
	Seed  int64
	Start int64 // the time of the first row, in nanoseconds since 1970
	Tags  []GenTag
}

// GenTag is a tag and how many values it has.
type GenTag struct {
	Name        string
	Cardinality int
}

const (
	genPeriod = 10 * time.Second
	genRows   = 1024 // in a piece
)

// Name implements flow.Op.
func (*Generated) Name() string { return "gen.tables" }

// Details implements flow.Op.
func (g *Generated) Details() string { return fmt.Sprintf("n: %d, seed: %d", g.N, g.Seed) }

// Open implements flow.Op.
func (g *Generated) Open(run *flow.Run, _ []table.Reader) (table.Reader, error) {
	rng := rand.New(rand.NewSource(g.Seed))
	keys := []*table.Key{table.NewKey(nil, nil)}
	for _, t := range g.Tags {
		texts := make([]string, t.Cardinality)
		for i := range texts {
			texts[i] = genText(rng)
		}
		var next []*table.Key
		for _, k := range keys {
			for _, v := range texts {
				next = append(next, k.Set(t.Name, value.OfString(v)))
			}
		}
		keys = next
	}
	return &generating{g: g, rng: rng, keys: keys}, nil
}

// genText returns 3 to 7 letters and digits.
func genText(rng *rand.Rand) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	text := make([]byte, rng.Intn(5)+3)
	for i := range text {
		n := len(letters)
		if i == 0 {
			n -= 10 // no digit
		}
		text[i] = letters[rng.Intn(n)]
	}
	return string(text)
}

// generating is the reader of generated tables. The table of the first key comes
// first, the others from the last to the second: a seed means the same tables
// as it does in influxdata/flux.
type generating struct {
	g    *Generated
	rng  *rand.Rand
	keys []*table.Key
	done int64 // rows of the present table
}

// Next implements table.Reader.
func (r *generating) Next() (*table.Table, error) {
	if len(r.keys) == 0 {
		return nil, nil
	}
	n := min(r.g.N-r.done, genRows)
	times, values := table.NewColumn("_time", value.Time), table.NewColumn("_value", value.Float)
	for i := range n {
		times.Vec.AppendWord(uint64(r.g.Start + (r.done+i)*int64(genPeriod)))
		if r.g.Nulls > 0 && r.g.Nulls > r.rng.Float64() {
			values.Vec.AppendNulls(1)
			continue
		}
		values.Vec.AppendFloat(r.rng.NormFloat64() * 50)
	}
	t := (&table.Table{Rows: int(n), Cols: []table.Column{times, values}}).WithKey(r.keys[0])
	if r.done += n; r.done >= r.g.N {
		last := len(r.keys) - 1
		r.keys[0], r.done = r.keys[last], 0
		r.keys = r.keys[:last]
	}
	return t, nil
}

// Close implements table.Reader.
func (r *generating) Close() { r.keys = nil }
