// Package flowtest helps tests of operators: tables as text, and a run of one
// operator over them.
package flowtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// Budget is memory with a limit in bytes; 0: none.
type Budget struct{ Limit, Used, Most int64 }

// ErrOver is what Reserve returns over the limit.
var ErrOver = errors.New("over the limit of memory")

// Reserve implements flow.Memory.
func (b *Budget) Reserve(n int64) error {
	if b.Limit > 0 && b.Used+n > b.Limit {
		return ErrOver
	}
	b.Used += n
	b.Most = max(b.Most, b.Used)
	return nil
}

// Release implements flow.Memory.
func (b *Budget) Release(n int64) { b.Used -= n }

// Parse reads tables, a block each: columns as label:type with * for the group
// key, then rows; _ is a null.
//
//	*host:string n:int
//	a 1
//	a _
func Parse(t testing.TB, text string) []*table.Table {
	t.Helper()
	kinds := map[string]value.Kind{"bool": value.Bool, "int": value.Int, "uint": value.Uint, "float": value.Float, "string": value.String, "time": value.Time}
	var all []*table.Table
	for _, block := range strings.Split(strings.TrimSpace(text), "\n\n") {
		lines := strings.Split(strings.TrimSpace(block), "\n")
		out := &table.Table{}
		var keyed []string
		for _, head := range strings.Fields(lines[0]) {
			label, kind, _ := strings.Cut(head, ":")
			if l, ok := strings.CutPrefix(label, "*"); ok {
				label, keyed = l, append(keyed, l)
			}
			out.Cols = append(out.Cols, table.NewColumn(label, kinds[kind]))
		}
		for _, line := range lines[1:] {
			for i, cell := range strings.Fields(line) {
				out.Cols[i].Append(cellOf(t, out.Cols[i].Kind, cell))
			}
			out.Rows++
		}
		var values []value.Value
		for _, l := range keyed {
			c := out.Col(l)
			if out.Rows == 0 {
				t.Fatalf("a table of no rows has no key: %s", block)
			}
			values = append(values, c.Value(0))
			*c = table.Constant(l, c.Value(0))
		}
		out.Key = table.NewKey(keyed, values)
		all = append(all, out)
	}
	return all
}

func cellOf(t testing.TB, k value.Kind, cell string) value.Value {
	t.Helper()
	if cell == "_" {
		return value.NullOf(k)
	}
	var err error
	switch k {
	case value.Bool:
		return value.OfBool(cell == "true")
	case value.String:
		return value.OfString(cell)
	case value.Float:
		var f float64
		f, err = strconv.ParseFloat(cell, 64)
		if err == nil {
			return value.OfFloat(f)
		}
	case value.Uint:
		var u uint64
		u, err = strconv.ParseUint(cell, 10, 64)
		if err == nil {
			return value.OfUint(u)
		}
	default:
		var i int64
		i, err = strconv.ParseInt(cell, 10, 64)
		if err == nil {
			return value.OfWord(k, uint64(i))
		}
	}
	t.Fatalf("cell %q: %v", cell, err)
	return value.Value{}
}

// Show is the opposite of Parse, of whole tables, with columns in the order of
// their labels.
func Show(tables []*table.Table) string {
	var b strings.Builder
	for n, t := range tables {
		if n > 0 {
			b.WriteString("\n")
		}
		labels := t.Labels()
		slices.Sort(labels)
		for i, l := range labels {
			if i > 0 {
				b.WriteByte(' ')
			}
			if t.Key.Has(l) {
				b.WriteByte('*')
			}
			b.WriteString(l + ":" + t.Col(l).Kind.String())
		}
		b.WriteByte('\n')
		for r := range t.Rows {
			for i, l := range labels {
				if i > 0 {
					b.WriteByte(' ')
				}
				switch v := t.Col(l).Value(r); {
				case v.IsNull():
					b.WriteByte('_')
				case v.Kind() == value.Time:
					fmt.Fprint(&b, v.Time())
				default:
					b.WriteString(v.Text())
				}
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// Cut returns tables in pieces of so many rows; 0: as they are.
func Cut(tables []*table.Table, rows int) []*table.Table {
	if rows == 0 {
		return tables
	}
	var out []*table.Table
	for _, t := range tables {
		for at := 0; at == 0 || at < t.Rows; at += rows {
			out = append(out, t.Slice(at, min(at+rows, t.Rows)))
		}
	}
	return out
}

// NewRun returns a run that began in 1970.
func NewRun(memory flow.Memory) *flow.Run {
	return flow.NewRun(context.Background(), memory, time.Unix(0, 0))
}

// Run reads what op makes of streams, put together to whole tables.
func Run(memory flow.Memory, op flow.Op, in ...[]*table.Table) ([]*table.Table, error) {
	r := NewRun(memory)
	n := &flow.Node{Op: op}
	for _, tables := range in {
		n.In = append(n.In, &flow.Node{Op: source{tables}})
	}
	reader, err := r.Open(n)
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	whole := table.NewWhole(reader, func(int64) error { return nil })
	var out []*table.Table
	for {
		t, err := whole.Next()
		if t == nil || err != nil {
			return out, err
		}
		out = append(out, t)
	}
}

// source is tables that are there already.
type source struct{ tables []*table.Table }

// Name implements flow.Op.
func (source) Name() string { return "source" }

// Details implements flow.Op.
func (source) Details() string { return "" }

// Open implements flow.Op.
func (s source) Open(*flow.Run, []table.Reader) (table.Reader, error) {
	return table.NewList(s.tables...), nil
}

// Case is an operator with what it makes of tables.
type Case struct {
	Name string
	Op   flow.Op
	In   string // streams are divided by ---
	Want string
	Err  string // a part of it
}

// Check runs cases. Every operator must make the same of tables however they are
// cut into pieces, and give back what it reserved.
func Check(t *testing.T, cases []Case) {
	t.Helper()
	for _, c := range cases {
		var in [][]*table.Table
		for _, s := range strings.Split(c.In, "---") {
			in = append(in, Parse(t, s))
		}
		for _, rows := range []int{0, 1, 2, 3} {
			pieces := make([][]*table.Table, len(in))
			for i := range in {
				pieces[i] = Cut(in[i], rows)
			}
			memory := &Budget{}
			got, err := Run(memory, c.Op, pieces...)
			switch {
			case c.Err != "":
				if err == nil || !strings.Contains(err.Error(), c.Err) {
					t.Errorf("%s: %v: want an error with %q", c.Name, err, c.Err)
				}
			case err != nil:
				t.Errorf("%s: %v", c.Name, err)
			default:
				if s := Show(got); s != c.Want {
					t.Errorf("%s, in pieces of %d rows, made\n%s\nof\n%s\nwant\n%s", c.Name, rows, s, c.In, c.Want)
				}
			}
			if memory.Used != 0 {
				t.Errorf("%s: %d bytes were not given back", c.Name, memory.Used)
			}
			if c.Op.Name() == "" {
				t.Errorf("%s: no name", c.Name)
			}
			_ = c.Op.Details()
		}
	}
}
