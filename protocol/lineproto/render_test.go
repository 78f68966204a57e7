package lineproto

import (
	"bytes"
	"strings"
	"testing"

	"github.com/varvedb/varve/column"
)

func parseBody(t testing.TB, text string) *column.Batch {
	t.Helper()
	b, err := NewParser(Default()).Parse([]byte(text), Nanosecond, 0)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAppendLines(t *testing.T) {
	text := `m\,1\ x=y,a\ b\,c\=d=v\ 1\,2\=3\4 f\ 1\,2\=3=-0,i=-9223372036854775808i,u=18446744073709551615u 1` + "\n" +
		`m\,1\ x=y b=true,s="q\" b\\ n` + "\n" + `, = x" -9223372036854775806` + "\n" +
		`m\,1\ x=y,k=C:\dir\,x f\ 1\,2\=3=1e+300,b=false,s="" 9223372036854775806` + "\n"
	got, err := AppendLines(nil, parseBody(t, text))
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != text {
		t.Errorf("lines are\n%swant\n%s", got, text)
	}
}

func TestAppendLinesRefuses(t *testing.T) {
	make1 := func(measurement, tag, field string, v float64) *column.Batch {
		tb := &column.Table{Measurement: measurement, Row: []uint32{0}, Time: []int64{1}}
		key, err := column.AppendSeriesKey(nil, []column.Tag{{Key: []byte("k"), Value: []byte(tag)}})
		if err != nil {
			t.Fatal(err)
		}
		tb.Series.Add(key, 0)
		f := column.Field{Name: field, Vector: column.Vector{Type: column.Float64}}
		f.AppendFloat(v)
		tb.Fields = []column.Field{f}
		return &column.Batch{Tables: []*column.Table{tb}}
	}
	zero := 0.0
	for want, b := range map[string]*column.Batch{
		"ends in a backslash": make1("m", `C:\`, "f", 1),
		"holds a newline":     make1("m", "a\nb", "f", 1),
		"comment":             make1("#m", "a", "f", 1),
		"is empty":            make1("", "a", "f", 1),
		"is NaN":              make1("m", "a", "f", zero/zero),
		`field name "f\\"`:    make1("m", "a", `f\`, 1),
	} {
		if got, err := AppendLines(nil, b); err == nil || !strings.Contains(err.Error(), want) || len(got) != 0 {
			t.Errorf("error is %v with %q, want %s", err, got, want)
		}
	}
}

// FuzzAppendLines renders a point and reads it back.
func FuzzAppendLines(f *testing.F) {
	f.Add("m", "k", "v", "f", "string")
	f.Add(`a\,b =`, `\=`, `\\x`, `"q"`, "\"\\\n")
	f.Fuzz(func(t *testing.T, measurement, key, value, field, text string) {
		if key == "time" || field == "time" || key == field || value == "" || len(measurement)+len(key)+len(value)+len(field) > 1000 {
			return
		}
		series, err := column.AppendSeriesKey(nil, []column.Tag{{Key: []byte(key), Value: []byte(value)}})
		if err != nil {
			return
		}
		table := &column.Table{Measurement: measurement, Row: []uint32{0}, Time: []int64{7}}
		table.Series.Add(series, 0)
		v := column.Field{Name: field, Vector: column.Vector{Type: column.String}}
		v.AppendString([]byte(text))
		table.Fields = []column.Field{v}
		lines, err := AppendLines(nil, &column.Batch{Tables: []*column.Table{table}})
		if err != nil {
			return // it says that it cannot
		}
		b, err := NewParser(Default()).Parse(lines, Nanosecond, 0)
		if err != nil || len(b.Tables) != 1 {
			t.Fatalf("%q: %v", lines, err)
		}
		got := b.Tables[0]
		if got.Measurement != measurement || !bytes.Equal(got.Series.Key(0), series) || len(got.Fields) != 1 ||
			got.Fields[0].Name != field || string(got.Fields[0].Str(0)) != text || got.Time[0] != 7 {
			t.Fatalf("%q came back as %q %q %q", lines, got.Measurement, got.Series.Key(0), got.Fields[0].Name)
		}
	})
}
