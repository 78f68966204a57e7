package storage_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/storage"
	"github.com/varvedb/varve/lang/flux/storage/storagetest"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// tables is an operator that returns tables that are there.
type tables []*table.Table

func (tables) Name() string    { return "tables" }
func (tables) Details() string { return "" }
func (t tables) Open(*flow.Run, []table.Reader) (table.Reader, error) {
	return table.NewList(t...), nil
}

// tableOf makes a table of records, with a key.
func tableOf(t *testing.T, key []string, rows ...map[string]any) *table.Table {
	t.Helper()
	var values []value.Value
	for _, k := range key {
		values = append(values, value.OfString(rows[0][k].(string)))
	}
	b := table.NewBuilder(table.NewKey(key, values))
	for _, r := range rows {
		for name, v := range r {
			of := value.Value{}
			switch v := v.(type) {
			case time.Time:
				of = value.OfTime(v.UnixNano())
			case bool:
				of = value.OfBool(v)
			case nil:
				continue
			default:
				of = valueOf(v)
			}
			c, err := b.Column(name, of.Kind())
			if err != nil {
				t.Fatal(err)
			}
			b.Set(c, of)
		}
		b.EndRow()
	}
	return b.Table()
}

// written renders what was written, a row a line.
func written(h *storagetest.Host) string {
	var b strings.Builder
	for _, batch := range h.Written {
		for _, m := range batch.Tables {
			for i := range m.Time {
				fmt.Fprintf(&b, "%s,%s", m.Measurement, m.Series.Key(int(m.Row[i])))
				for f := range m.Fields {
					c := table.OfVector(m.Fields[f].Name, m.Fields[f].Vector)
					if !c.Null(i) {
						fmt.Fprintf(&b, " %s=%s", c.Label, c.Value(i).Text())
					}
				}
				fmt.Fprintf(&b, " %d\n", m.Time[i])
			}
		}
	}
	return b.String()
}

func TestTo(t *testing.T) {
	at := func(s int64) time.Time { return time.Unix(s, 0) }
	bucket := storage.Bucket{ID: 2, Name: "empty"}
	in := []*table.Table{
		tableOf(t, []string{"_measurement", "host"},
			map[string]any{"_measurement": "m", "host": "a", "_time": at(1), "_field": "x", "_value": 1.5},
			map[string]any{"_measurement": "m", "host": "a", "_time": nil, "_field": "x", "_value": 9.5},
			map[string]any{"_measurement": "m", "host": "a", "_time": at(2), "_field": "y", "_value": 2.5},
			map[string]any{"_measurement": "m", "host": "a", "_time": at(3), "_field": "y", "_value": nil}),
		tableOf(t, []string{"_measurement"},
			map[string]any{"_measurement": "n", "_time": at(4), "_field": "s", "_value": "text"}),
	}
	for name, c := range map[string]struct {
		to   storage.To
		in   []*table.Table
		want string
		err  string
	}{
		"narrow": {storage.To{TimeColumn: "_time", Measurement: "_measurement"}, in,
			"m,host=a x=1.5 1000000000\nm,host=a y=2.5 2000000000\nn, s=text 4000000000\n", ""},
		"no tags": {storage.To{TimeColumn: "_time", Measurement: "_measurement", Tags: []string{}}, in[:1],
			"m, x=1.5 1000000000\nm, y=2.5 2000000000\n", ""},
		"wide": {storage.To{TimeColumn: "_time", Measurement: "_measurement", Wide: true},
			[]*table.Table{tableOf(t, []string{"_measurement", "host"}, map[string]any{"_measurement": "m", "host": "a", "_time": at(1), "x": 1.5, "ok": true})},
			"m,host=a x=1.5 ok=true 1000000000\n", ""},
		"no measurement": {storage.To{TimeColumn: "_time", Measurement: "kind"}, in, "", "no column with label kind exists"},
		"no time":        {storage.To{TimeColumn: "when", Measurement: "_measurement"}, in, "", "no column with label when exists"},
		"time of text":   {storage.To{TimeColumn: "host", Measurement: "_measurement"}, in, "", "is not of type time"},
		"two types": {storage.To{TimeColumn: "_time", Measurement: "_measurement"},
			append(in[:1:1], tableOf(t, []string{"_measurement"}, map[string]any{"_measurement": "m", "_time": at(4), "_field": "x", "_value": int64(1)})),
			"", `field "x" has values of type float and of type integer`},
	} {
		t.Run(name, func(t *testing.T) {
			h := storagetest.New(t, nil, 1)
			c.to.Bucket = bucket
			rows := 0
			err := h.NewRun(t.Context(), at(0)).Each(&flow.Node{Op: &c.to, In: []*flow.Node{{Op: tables(c.in)}}}, func(t *table.Table) error {
				rows += t.Rows
				return nil
			})
			switch {
			case c.err != "":
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("error %v, want %q", err, c.err)
				}
				return
			case err != nil:
				t.Fatal(err)
			}
			want := 0
			for _, p := range c.in {
				want += p.Rows
			}
			if rows != want {
				t.Errorf("%d rows were handed on, want %d", rows, want)
			}
			got := written(h)
			if name == "wide" {
				got = strings.Replace(got, "ok=true x=1.5", "x=1.5 ok=true", 1) // columns came in the order of a map
			}
			if got != c.want {
				t.Errorf("wrote\n%swant\n%s", got, c.want)
			}
		})
	}
}

func TestUnboundedRead(t *testing.T) {
	h := storagetest.New(t, nil, 1)
	_, err := h.NewRun(t.Context(), time.Time{}).Open(&flow.Node{Op: &storage.From{Bucket: storage.Bucket{Name: "x"}}})
	if want := `cannot submit unbounded read to "x"; try bounding 'from' with a call to 'range'`; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestBuckets(t *testing.T) {
	h := storagetest.New(t, nil, 1)
	got := text(t, h.NewRun(t.Context(), time.Time{}), &storage.Buckets{})
	want := "{organizationID=000000000000000a}\n" +
		" name=b id=0000000000000001 retentionPolicy= retentionPeriod=0\n" +
		" name=empty id=0000000000000002 retentionPolicy= retentionPeriod=3600000000000\n"
	if got != want {
		t.Errorf("got\n%s want\n%s", got, want)
	}
}
