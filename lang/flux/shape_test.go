package flux

import (
	"context"
	"strings"
	"testing"
)

// What functions that reshape tables make of them, as lines of CSV without the
// annotations and the first two columns, and how they say that they cannot.
func TestShapes(t *testing.T) {
	const data = `import "array" import "experimental" import "experimental/table" import j "join"
		t = array.from(rows: [{h: "a", n: 1}, {h: "a", n: 2}, {h: "b", n: 3}]) |> group(columns: ["h"])
		show = (v=<-) => array.from(rows: [{v: display(v: v)}])
		`
	for src, want := range map[string]string{
		`t |> tableFind(fn: (key) => key.h == "a") |> getColumn(column: "n") |> show()`: "v\n[1, 2]",
		`t |> tableFind(fn: (key) => key.h == "b") |> getRecord(idx: 0) |> show()`:      "v\n{h: b, n: 3}",
		`t |> tableFind(fn: (key) => key.h == "a") |> getRecord(idx: 2)`:                "! getRecord: index out of bounds: 2",
		`t |> tableFind(fn: (key) => key.h == "a") |> getColumn(column: "x")`:           "! getColumn: cannot find column x",
		`t |> tableFind(fn: (key) => key.h == "z")`:                                     "! tableFind: no table found",
		`t |> tableFind(fn: (x) => true)`:                                               "! tableFind: fn must have a parameter key",
		`t |> getColumn(column: "n")`:                                                   "! getColumn: argument table must be a table as tableFind returns it",
		`t |> findColumn(fn: (key) => key.h == "a", column: "n") |> show()`:             "v\n[1, 2]",
		`t |> findColumn(fn: (key) => key.h == "z", column: "n") |> show()`:             "v\n[]",
		`t |> findRecord(fn: (key) => key.h == "a", idx: 1) |> show()`:                  "v\n{h: a, n: 2}",
		`t |> findRecord(fn: (key) => key.h == "z", idx: 0) |> show()`:                  "v\n{}",
		`t |> filter(fn: (r) => r.h == "b", onEmpty: "keep") |> table.fill()`:           "h,n\na,\nb,3",
		`t |> filter(fn: (r) => true, onEmpty: "maybe")`:                                `! onEmpty must be keep or drop, not "maybe"`,
		`t |> limit(n: -1)`:                                                                     "! limit: n and offset must not be negative",
		`t |> fill(value: 1, usePrevious: true)`:                                                "! fill: fill requires exactly one of value or usePrevious",
		`t |> fill(column: "n", value: "x")`:                                                    "! fill column type mismatch: int/string",
		`t |> group(mode: "sideways")`:                                                          `! group: mode must be by or except, not "sideways"`,
		`t |> drop()`:                                                                           "! drop error: neither column list nor predicate function provided",
		`t |> keep(columns: ["n"], fn: (column) => true)`:                                       "! keep error: both column list and predicate provided",
		`t |> rename(columns: {n: 1})`:                                                          "! rename error: columns object contains non-string value of type int",
		`t |> rename(fn: (column) => column + "_x") |> limit(n: 1)`:                             "h_x,n_x\na,1\nb,3",
		`t |> range(start: 2020-01-01T00:00:00Z, stop: 2019-01-01T00:00:00Z)`:                   "! cannot query an empty range",
		`t |> range(start: 0)`:                                                                  "! range error: supplied time column _time doesn't exist",
		`union(tables: [t])`:                                                                    "! union requires at least two streams of tables",
		`t |> pivot(rowKey: ["h"], columnKey: ["h"], valueColumn: "n")`:                         "! column name found in both rowKey and colKey: h",
		`t |> ungroup()`:                                                                        "h,n\na,1\na,2\nb,3",
		`t |> map(fn: (r) => ({r with n: 1 / (r.n - 2)}))`:                                      "! cannot divide by zero",
		`t |> map(fn: (r) => r.n)`:                                                              "! the function must return a record, not int",
		`t |> experimental.group(columns: ["n"], mode: "by")`:                                   "! mode must be extend",
		`t |> experimental.set(o: {h: "z", m: 1.5}) |> group()`:                                 "h,n,m\nz,1,1.5\nz,2,1.5\nz,3,1.5",
		`experimental.chain(first: t, second: t |> limit(n: 1)) |> group()`:                     "h,n\na,1\nb,3",
		`join(tables: {a: t, b: t}, on: [])`:                                                    "! at least one column in 'on' column list is required",
		`join(tables: {a: t, b: t}, on: ["h"], method: "outer")`:                                "! outer is not a valid join type",
		`join(tables: {a: t}, on: ["h"])`:                                                       "! tables must have two streams, not 1",
		`j.tables(left: t, right: t, on: (l, r) => l.n < r.n, as: (l, r) => l, method: "left")`: "! the condition of the join has < in it",
		`j.tables(left: t, right: t, on: (l, r) => l.n == r.n, as: (l, r) => l, method: "up")`:  `! invalid join method "up"`,
		`j.inner(left: t, right: t, on: (l, r) => r.n == l.n and l.h == r.h, as: (l, r) => ({l with m: r.n * 2})) |> group()`: "h,n,m\na,1,2\na,2,4\nb,3,6",
		`j.time(left: t, right: t, as: (l, r) => l)`: "! table is missing column '_time'",
	} {
		out, err := run(context.Background(), data+src)
		if message, bad := strings.CutPrefix(want, "!"); bad {
			if err == nil || !strings.Contains(err.Error(), strings.TrimSpace(message)) {
				t.Errorf("%s\ngave %v: want an error with %q", src, err, message)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s\n%v", src, err)
			continue
		}
		var lines []string
		for _, line := range strings.Split(strings.ReplaceAll(string(out), "\r", ""), "\n") {
			cells := strings.SplitN(line, ",", 4)
			if strings.HasPrefix(line, "#") || len(cells) < 4 {
				continue
			}
			if rest := strings.Trim(cells[3], `"`); len(lines) == 0 || rest != lines[0] {
				lines = append(lines, rest)
			}
		}
		if got := strings.Join(lines, "\n"); got != want {
			t.Errorf("%s\nmade\n%s\nwant\n%s", src, got, want)
		}
	}
}
