package transform

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

// budget is memory with a limit in bytes; 0: none.
type budget struct{ limit, used, most int64 }

var errOver = errors.New("over the limit of memory")

func (b *budget) Reserve(n int64) error {
	if b.limit > 0 && b.used+n > b.limit {
		return errOver
	}
	b.used += n
	b.most = max(b.most, b.used)
	return nil
}

func (b *budget) Release(n int64) { b.used -= n }

// parse reads tables, a block each: columns as label:type with * for the group
// key, then rows; _ is a null.
//
//	*host:string n:int
//	a 1
//	a _
func parse(t testing.TB, text string) []*table.Table {
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

// show is the opposite of parse, of whole tables, with columns in the order of
// their labels.
func show(tables []*table.Table) string {
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

// cut returns tables in pieces of so many rows; 0: as they are.
func cut(tables []*table.Table, rows int) []*table.Table {
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

// run reads what op makes of streams, put together to whole tables.
func run(memory flow.Memory, op flow.Op, in ...[]*table.Table) ([]*table.Table, error) {
	r := flow.NewRun(context.Background(), memory, time.Unix(0, 0))
	n := &flow.Node{Op: op}
	for _, tables := range in {
		n.In = append(n.In, &flow.Node{Op: &Tables{List: tables}})
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

// native is a function that a script could have written.
func native(do func(v value.Value) (value.Value, error), param string) *value.Func {
	return &value.Func{
		Params: []value.Param{{Name: param, Kinds: value.AnyKind}},
		Do:     func(c *value.Call) (value.Value, error) { return do(c.Args[0]) },
	}
}

func get(r value.Value, label string) value.Value {
	v, ok := r.Record().Get(label)
	if !ok {
		return value.NullOf(value.Null)
	}
	return v
}

// cases are operators with what they make of tables.
var cases = []struct {
	name string
	op   flow.Op
	in   string // streams are divided by ---
	want string
	err  string
}{
	{
		name: "filter", in: "*h:string n:int\na 1\na 5\na _\n\n*h:string n:int\nb 1",
		op: &Filter{Fn: native(func(r value.Value) (value.Value, error) {
			return value.Greater.Apply(get(r, "n"), value.OfInt(2))
		}, "r")},
		want: "*h:string n:int\na 5\n",
	},
	{
		name: "filter keeps empty tables", in: "*h:string n:int\na 1\na 5\n\n*h:string n:int\nb 1",
		op: &Filter{KeepEmpty: true, Fn: native(func(r value.Value) (value.Value, error) {
			return value.Greater.Apply(get(r, "n"), value.OfInt(2))
		}, "r")},
		want: "*h:string n:int\na 5\n\n*h:string n:int\n",
	},
	{
		name: "filter by what is not a bool", in: "n:int\n1", err: "must return bool, not int",
		op: &Filter{Fn: native(func(r value.Value) (value.Value, error) { return get(r, "n"), nil }, "r")},
	},
	{
		name: "map with a column of the key that changes", in: "*h:string n:int\na 1\na 2\na 3\n\n*h:string n:int\nx 7",
		op: &Map{Fn: native(func(r value.Value) (value.Value, error) {
			h := "x"
			if get(r, "n").Int() == 2 {
				h = "y"
			}
			return value.OfRecord(r.Record().With([]string{"h"}, []value.Value{value.OfString(h)})), nil
		}, "r")},
		want: "*h:string n:int\nx 1\nx 3\nx 7\n\n*h:string n:int\ny 2\n",
	},
	{
		name: "map without the columns of the key", in: "*h:string n:int\na 1\n\n*h:string n:int\nb 2",
		op: &Map{Fn: native(func(r value.Value) (value.Value, error) {
			return value.OfRecord(value.NewRecord([]string{"m"}, []value.Value{get(r, "n")})), nil
		}, "r")},
		want: "m:int\n1\n2\n",
	},
	{
		name: "map that merges the key", in: "*h:string n:int\na 1\n\n*h:string n:int\nb 2",
		op: &Map{MergeKey: true, Fn: native(func(r value.Value) (value.Value, error) {
			return value.OfRecord(value.NewRecord([]string{"m"}, []value.Value{get(r, "n")})), nil
		}, "r")},
		want: "*h:string m:int\na 1\n\n*h:string m:int\nb 2\n",
	},
	{
		name: "map to nulls of no known kind", in: "n:int\n1\n2",
		op: &Map{Fn: native(func(r value.Value) (value.Value, error) {
			m := value.NullOf(value.Null)
			if get(r, "n").Int() == 2 {
				m = value.OfFloat(1.5)
			}
			return value.OfRecord(value.NewRecord([]string{"m", "none"}, []value.Value{m, value.NullOf(value.Null)})), nil
		}, "r")},
		want: "m:float\n_\n1.5\n",
	},
	{
		name: "group", in: "*h:string n:int u:string\na 1 x\na 2 y\n\n*h:string n:int f:float u:string\nb 3 1.5 x\nb 4 _ _",
		op:   &Group{Columns: []string{"u", "nowhere"}},
		want: "f:float h:string n:int *u:string\n_ a 1 x\n1.5 b 3 x\n\nh:string n:int *u:string\na 2 y\n\nf:float h:string n:int *u:string\n_ b 4 _\n",
	},
	{
		name: "group except", in: "*h:string n:int u:string\na 1 x\na 2 x\na 3 y", op: &Group{Columns: []string{"n", "h"}, Except: true},
		want: "h:string n:int *u:string\na 1 x\na 2 x\n\nh:string n:int *u:string\na 3 y\n",
	},
	{
		name: "group of columns of two kinds", in: "*h:string n:int\na 1\n\n*h:string n:float\nb 1", op: &Group{},
		err: `column "n" is both of type int and float`,
	},
	{
		name: "drop", in: "*h:string n:int\na 1\n\n*h:string n:int\nb 2", op: &Select{Drop: true, Columns: []string{"h", "nowhere"}},
		want: "n:int\n1\n2\n",
	},
	{
		name: "keep", in: "*h:string n:int m:int\na 1 2", op: &Select{Columns: []string{"m", "nowhere"}}, want: "m:int\n2\n",
	},
	{
		name: "drop by function", in: "*h:string n:int\na 1", want: "*h:string\na\n",
		op: &Select{Drop: true, Fn: native(func(v value.Value) (value.Value, error) { return value.OfBool(v.Str() == "n"), nil }, "column")},
	},
	{
		name: "rename", in: "*h:string n:int\na 1\n\n*h:string n:int\nb 1", op: &Rename{Columns: map[string]string{"h": "host", "n": "m"}},
		want: "*host:string m:int\na 1\n\n*host:string m:int\nb 1\n",
	},
	{
		name: "rename what is not there", in: "n:int\n1", op: &Rename{Columns: map[string]string{"m": "x"}},
		err: `rename error: column "m" doesn't exist`,
	},
	{
		name: "rename to what is there", in: "n:int m:int\n1 2", op: &Rename{Columns: map[string]string{"m": "n"}},
		err: `would both be called "n"`,
	},
	{
		name: "rename by function", in: "*h:string n:int\na 1", want: "*h_x:string n_x:int\na 1\n",
		op: &Rename{Fn: native(func(v value.Value) (value.Value, error) { return value.OfString(v.Str() + "_x"), nil }, "column")},
	},
	{
		name: "duplicate", in: "*h:string n:int\na 1", op: &Duplicate{"n", "m"}, want: "*h:string m:int n:int\na 1 1\n",
	},
	{
		name: "duplicate over a column of the key", in: "*h:string n:int\na 1\na 2", op: &Duplicate{"n", "h"}, want: "h:int n:int\n1 1\n2 2\n",
	},
	{
		name: "set", in: "*h:string n:int\na 1\n\n*h:string n:int\nb 2",
		op:   &Set{[]SetColumn{{"u", value.OfString("x")}}},
		want: "*h:string n:int u:string\na 1 x\n\n*h:string n:int u:string\nb 2 x\n",
	},
	{
		name: "set of a column of the key", in: "*h:string n:int\na 1\n\n*h:string n:int\nb 2",
		op:   &Set{[]SetColumn{{"h", value.OfString("x")}}},
		want: "*h:string n:int\nx 1\nx 2\n",
	},
	{name: "limit", in: "*h:string n:int\na 1\na 2\na 3\na 4\n\n*h:string n:int\nb 2", op: &Limit{N: 2, Offset: 1}, want: "*h:string n:int\na 2\na 3\n\n*h:string n:int\n"},
	{name: "tail", in: "*h:string n:int\na 1\na 2\na 3\na 4\n\n*h:string n:int\nb 2", op: &Tail{N: 2, Offset: 1}, want: "*h:string n:int\na 2\na 3\n\n*h:string n:int\n"},
	{name: "tail of all", in: "n:int\n1\n2\n3", op: &Tail{N: 20}, want: "n:int\n1\n2\n3\n"},
	{
		name: "sort", in: "n:int s:string\n3 c\n1 b\n_ z\n2 a\n1 a\n-4 q", op: &Sort{Columns: []string{"n"}},
		want: "n:int s:string\n_ z\n-4 q\n1 b\n1 a\n2 a\n3 c\n",
	},
	{
		name: "sort descending", in: "n:int s:string\n3 c\n1 b\n_ z\n2 a\n1 a", op: &Sort{Columns: []string{"n", "nowhere"}, Desc: true},
		want: "n:int s:string\n_ z\n3 c\n2 a\n1 b\n1 a\n",
	},
	{
		name: "sort by two columns", in: "f:float s:string\n3 ab\n-1 b\n3 _\nNaN x\n3 aa\n-2 longer_than_eight\n-2 longer_than_ei", op: &Sort{Columns: []string{"f", "s"}},
		want: "f:float s:string\nNaN x\n-2 longer_than_ei\n-2 longer_than_eight\n-1 b\n3 _\n3 aa\n3 ab\n",
	},
	{name: "sort what is sorted", in: "n:int\n1\n2\n3", op: &Sort{Columns: []string{"n"}}, want: "n:int\n1\n2\n3\n"},
	{
		name: "union", in: "*h:string n:int\na 1\n\n*h:string n:int\nb 1\n---\n*h:string m:int\na 2", op: &Union{},
		want: "*h:string m:int n:int\na _ 1\na 2 _\n\n*h:string n:int\nb 1\n",
	},
	{
		name: "range", in: "_time:time n:int\n5 1\n10 2\n_ 3\n19 4\n20 5\n12 6", op: &Range{Start: 10, Stop: 20},
		want: "*_start:time *_stop:time _time:time n:int\n10 20 10 2\n10 20 19 4\n10 20 12 6\n",
	},
	{
		name: "range in a range", in: "*_start:time *_stop:time _time:time\n0 15 11\n0 15 2\n\n*_start:time *_stop:time _time:time\n5 15 12", op: &Range{Start: 10, Stop: 20},
		want: "*_start:time *_stop:time _time:time\n10 15 11\n10 15 12\n",
	},
	{
		name: "range without times", in: "_time:int\n5", op: &Range{Start: 10, Stop: 20}, err: "range error: provided column _time is not of type time",
	},
	{name: "fill", in: "n:int\n_\n3\n_", op: &Fill{Column: "n", Value: value.OfInt(7)}, want: "n:int\n7\n3\n7\n"},
	{name: "fill what is not there", in: "n:int\n1", op: &Fill{Column: "s", Value: value.OfString("x")}, want: "n:int s:string\n1 x\n"},
	{name: "fill with another kind", in: "n:int\n1", op: &Fill{Column: "n", Value: value.OfString("x")}, err: "fill column type mismatch: int/string"},
	{name: "fill a column of the key", in: "*h:string n:int\n_ 1\n\n*h:string n:int\nx 2", op: &Fill{Column: "h", Value: value.OfString("x")}, want: "*h:string n:int\nx 1\nx 2\n"},
	{
		name: "fill with the value before", in: "*h:string s:string\na _\na x\na _\na _\na y\n\n*h:string s:string\nb _", op: &Fill{Column: "s"},
		want: "*h:string s:string\na _\na x\na x\na x\na y\n\n*h:string s:string\nb _\n",
	},
	{name: "keys", in: "*h:string *g:string n:int\na b 1\na b 2", op: &Labels{Column: "_value", Keys: true}, want: "_value:string *g:string *h:string\ng b a\nh b a\n"},
	{name: "columns", in: "*h:string n:int\na 1\na 2", op: &Labels{Column: "_value"}, want: "_value:string *h:string\nh a\nn a\n"},
	{
		name: "keyValues", in: "*h:string u:string v:string\na x p\na y p\na x p", op: &KeyValues{Columns: []string{"u", "v", "nowhere"}},
		want: "_key:string _value:string *h:string\nu x a\nv p a\nu y a\n",
	},
	{
		name: "pivot of aligned tables", op: &Pivot{[]string{"_time"}, []string{"_field"}, "_value"},
		in:   "*_field:string *h:string _time:time _value:int\nf a 1 10\nf a 2 20\n\n*_field:string *h:string _time:time _value:float\ng a 1 1.5\ng a 2 2.5",
		want: "_time:time f:int g:float *h:string\n1 10 1.5 a\n2 20 2.5 a\n",
	},
	{
		name: "pivot of what is not aligned", op: &Pivot{[]string{"_time"}, []string{"_field"}, "_value"},
		in:   "*_field:string _time:time _value:string\nf 2 b\nf 4 d\nf 2 c\n\n*_field:string _time:time _value:string\ng 4 D\ng 3 C\ng 3 _\ng _ N",
		want: "_time:time f:string g:string\n2 c _\n4 d D\n3 _ _\n_ _ N\n",
	},
	{
		name: "pivot of rows", op: &Pivot{[]string{"h", "u"}, []string{"a", "b"}, "n"},
		in:   "*h:string u:string a:string b:int n:int gone:int\nx p k 1 10 0\nx q k 1 20 0\nx p l _ 30 0",
		want: "*h:string k_1:int l_null:int u:string\nx 10 30 p\nx 20 _ q\n",
	},
	{name: "pivot without a column", in: "n:int\n1", op: &Pivot{[]string{"t"}, []string{"n"}, "v"}, err: "specified column does not exist in table: t"},
}

// Every operator makes the same of tables however they are cut into pieces, and
// gives back what it reserved.
func TestOperators(t *testing.T) {
	for _, c := range cases {
		var in [][]*table.Table
		for _, s := range strings.Split(c.in, "---") {
			in = append(in, parse(t, s))
		}
		for _, rows := range []int{0, 1, 2, 3} {
			pieces := make([][]*table.Table, len(in))
			for i := range in {
				pieces[i] = cut(in[i], rows)
			}
			memory := &budget{}
			got, err := run(memory, c.op, pieces...)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("%s: %v: want an error with %q", c.name, err, c.err)
				}
			} else if err != nil {
				t.Errorf("%s: %v", c.name, err)
			} else if s := show(got); s != c.want {
				t.Errorf("%s, in pieces of %d rows, made\n%s\nof\n%s\nwant\n%s", c.name, rows, s, c.in, c.want)
			}
			if memory.used != 0 {
				t.Errorf("%s: %d bytes were not given back", c.name, memory.used)
			}
			if c.op.Name() == "" {
				t.Errorf("%s: no name", c.name)
			}
			_ = c.op.Details()
		}
	}
}
