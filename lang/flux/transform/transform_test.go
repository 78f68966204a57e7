package transform

import (
	"testing"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/flow/flowtest"
	"github.com/varvedb/varve/lang/flux/value"
)

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
		want: "f:float h:string n:int *u:string\n_ b 4 _\n\nf:float h:string n:int *u:string\n_ a 1 x\n1.5 b 3 x\n\nh:string n:int *u:string\na 2 y\n",
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
	{
		name: "unpivot", in: "*h:string _time:time a:int b:float\nx 1 10 _\nx 2 _ 2.5", op: &Unpivot{[]string{"_time"}},
		want: "*_field:string _time:time _value:int *h:string\na 1 10 x\n\n*_field:string _time:time _value:float *h:string\nb 2 2.5 x\n",
	},
	{
		name: "unpivot into one table", in: "*h:string u:string a:int b:int\nx 1 10 11", op: &Unpivot{[]string{"u", "_field"}},
		want: "_field:string _value:int *h:string u:string\na 10 x 1\nb 11 x 1\n",
	},
	{name: "unpivot of two kinds into one table", in: "a:int b:string\n1 x", op: &Unpivot{[]string{"_field"}}, err: "both of type int and string"},
	{
		name: "alignTime", in: "*h:string _time:time\nx 100\nx _\nx 103\n\n*h:string _time:time\ny 7", op: &AlignTime{To: 50},
		want: "_time:time *h:string\n50 x\n_ x\n53 x\n\n_time:time *h:string\n50 y\n",
	},
	{
		name: "group that extends", in: "*h:string n:int\nx 1\nx 2\nx 1", op: &ExtendGroup{[]string{"n"}},
		want: "*h:string *n:int\nx 1\nx 1\n\n*h:string *n:int\nx 2\n",
	},
	{
		name: "preview", in: "*h:string n:int\na 1\na 2\na 3\n\n*h:string n:int\nb 1\n\n*h:string n:int\nc 1", op: &Preview{Rows: 2, Tables: 2},
		want: "*h:string n:int\na 1\na 2\n\n*h:string n:int\nb 1\n",
	},
	{
		name: "diff", in: "*h:string n:int\na 1\na 2\na 3\na 5\n\n*h:string n:int\nb 1\n---\n*h:string n:int\na 1\na 3\na 4\na 5\n\n*h:string n:int\nb 1\n\n*h:string n:int\nc 1", op: &Diff{Function: "diff"},
		want: "_diff:string *h:string n:int\n a 1\n- a 2\n a 3\n+ a 4\n a 5\n\n_diff:string *h:string n:int\n+ c 1\n",
	},
	{name: "chain", in: "n:int\n1\n---\nn:int\n2\n3", op: &Chain{}, want: "n:int\n2\n3\n"},
	{name: "yield", in: "n:int\n1", op: &Yield{"a"}, want: "n:int\n1\n"},
	{name: "pivot without a column", in: "n:int\n1", op: &Pivot{[]string{"t"}, []string{"n"}, "v"}, err: "specified column does not exist in table: t"},
}

func TestOperators(t *testing.T) {
	list := make([]flowtest.Case, len(cases))
	for i, c := range cases {
		list[i] = flowtest.Case{Name: c.name, Op: c.op, In: c.in, Want: c.want, Err: c.err}
	}
	flowtest.Check(t, list)
}
