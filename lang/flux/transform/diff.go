package transform

import (
	"math"
	"slices"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// diffLabel is the column that says what became of a row.
const diffLabel = "_diff"

// Diff compares the tables of two streams, the first of which is what is wanted.
// For keys whose tables differ it makes a table with their rows and a column
// _diff: "-" for what only the first has, "+" for what only the second has, ""
// for the rest.
type Diff struct {
	Function  string  // that made it, for messages
	Epsilon   float64 // floats so close to each other are equal
	NaNsEqual bool
}

// Name implements flow.Op.
func (d *Diff) Name() string { return d.Function }

// Details implements flow.Op.
func (*Diff) Details() string { return "" }

// Open implements flow.Op.
func (d *Diff) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	return flow.AtOnce(run, in, func(account *flow.Account, emit func(*table.Table) error) error {
		var keys []*table.Key
		var tables [2]map[string]*table.Table
		for side := range in {
			tables[side] = map[string]*table.Table{}
			whole := table.NewWhole(in[side], account.Add)
			for {
				t, err := whole.Next()
				if err != nil {
					return err
				}
				if t == nil {
					break
				}
				if err := account.Keep(t); err != nil {
					return err
				}
				if tables[0][t.Key.ID()] == nil && tables[1][t.Key.ID()] == nil {
					keys = append(keys, t.Key)
				}
				tables[side][t.Key.ID()] = t
			}
		}
		for _, k := range keys {
			out, err := d.compare(run, account, k, tables[0][k.ID()], tables[1][k.ID()])
			if err != nil {
				return err
			}
			if out != nil {
				if err := emit(out); err != nil {
					return err
				}
			}
		}
		return nil
	}), nil
}

// edit is a stretch of rows that is in both tables, or in one of them.
type edit struct {
	mark     string // as in column _diff
	from, to int    // rows of the first table, or of the second if only that has them
}

// compare returns the difference of two tables, nil if there is none. One that
// is not there is nil.
func (d *Diff) compare(run *flow.Run, account *flow.Account, key *table.Key, want, got *table.Table) (*table.Table, error) {
	none := &table.Table{Key: key}
	if want == nil {
		want = none
	}
	if got == nil {
		got = none
	}
	edits, err := script(run, account, want.Rows, got.Rows, d.rowsEqual(want, got))
	if err != nil {
		return nil, err
	}
	changed := slices.ContainsFunc(edits, func(e edit) bool { return e.mark != "" })
	if !changed {
		return nil, nil
	}
	b := table.NewBuilder(key)
	marks := table.NewColumn(diffLabel, value.String)
	for _, e := range edits {
		from := want
		if e.mark == "+" {
			from = got
		}
		if err := b.AppendRows(from, e.from, e.to); err != nil {
			return nil, err
		}
		for range e.to - e.from {
			marks.Append(value.OfString(e.mark))
		}
	}
	if err := account.Add(b.Memory()); err != nil {
		return nil, err
	}
	out := b.Table()
	out.Cols = append([]table.Column{marks}, out.Cols...)
	return out, nil
}

// rowsEqual returns whether row i of want is row j of got. A column that a table
// does not have is null.
func (d *Diff) rowsEqual(want, got *table.Table) func(i, j int) bool {
	type pair struct{ a, b *table.Column }
	var pairs []pair
	for i := range want.Cols {
		pairs = append(pairs, pair{&want.Cols[i], got.Col(want.Cols[i].Label)})
	}
	for i := range got.Cols {
		if want.Find(got.Cols[i].Label) < 0 {
			pairs = append(pairs, pair{nil, &got.Cols[i]})
		}
	}
	return func(i, j int) bool {
		for _, p := range pairs {
			switch {
			case p.a == nil:
				if !p.b.Null(j) {
					return false
				}
			case p.b == nil:
				if !p.a.Null(i) {
					return false
				}
			case p.a.SameCell(i, p.b, j) && p.a.Kind != value.Float:
			case p.a.Kind != value.Float || p.b.Kind != value.Float || !d.floatsEqual(p.a, i, p.b, j):
				return false
			}
		}
		return true
	}
}

func (d *Diff) floatsEqual(a *table.Column, i int, b *table.Column, j int) bool {
	if a.Null(i) || b.Null(j) {
		return a.Null(i) && b.Null(j)
	}
	x, y := a.Float(i), b.Float(j)
	if math.IsNaN(x) || math.IsNaN(y) {
		return d.NaNsEqual && math.IsNaN(x) && math.IsNaN(y)
	}
	return x == y || math.Abs(x-y) <= d.Epsilon
}

// script returns the shortest way from n rows to m rows, by the greedy algorithm
// of Myers ("An O(ND) Difference Algorithm and Its Variations", 1986). What goes
// comes before what takes its place.
func script(run *flow.Run, account *flow.Account, n, m int, equal func(i, j int) bool) ([]edit, error) {
	head := 0
	for head < n && head < m && equal(head, head) {
		head++
	}
	// reach[d][k+d] is how far in the first table one gets with d edits on the
	// diagonal k, the number of rows taken from the first table more than from
	// the second.
	var reach [][]int
	var held int64
	d, done := 0, false
	for ; !done; d++ {
		if err := run.Ended(); err != nil {
			return nil, err
		}
		bytes := int64(2*d+1) * 8
		if err := account.Add(bytes); err != nil {
			return nil, err
		}
		held += bytes
		row := make([]int, 2*d+1)
		for k := -d; k <= d; k += 2 {
			x := head
			switch {
			case d == 0:
			case k == -d || k != d && reach[d-1][k-1+d-1] < reach[d-1][k+1+d-1]:
				x = reach[d-1][k+1+d-1]
			default:
				x = reach[d-1][k-1+d-1] + 1
			}
			for x < n && x-k < m && x-k >= 0 && equal(x, x-k) {
				x++
			}
			row[k+d] = x
			if x >= n && x-k >= m {
				done = true
				break
			}
		}
		reach = append(reach, row)
	}
	defer account.Sub(held)

	// Back from the end, one edit at a time.
	var edits []edit
	add := func(mark string, from, to int) {
		if from == to {
			return
		}
		if last := len(edits) - 1; last >= 0 && edits[last].mark == mark && edits[last].from == to {
			edits[last].from = from
			return
		}
		edits = append(edits, edit{mark, from, to})
	}
	x, y := n, m
	for d--; d > 0; d-- {
		k := x - y
		before := reach[d-1]
		down := k == -d || k != d && before[k-1+d-1] < before[k+1+d-1]
		px := before[max(k-1+d-1, 0)]
		pk := k - 1
		if down {
			pk = k + 1
			px = before[pk+d-1]
		}
		py := px - pk
		if down {
			add("", px, x)
			add("+", py, py+1)
		} else {
			add("", px+1, x)
			add("-", px, px+1)
		}
		x, y = px, py
	}
	add("", 0, x)
	slices.Reverse(edits)
	return edits, nil
}
