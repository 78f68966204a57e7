package transform

import (
	"container/heap"
	"slices"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
)

// mergeSort orders the rows of a table that is too large to be put together and
// ordered at once: its parts are ordered one by one, and merged as they are read.
// Beside the parts it takes as much as one of them, and one piece of the result.
type mergeSort struct {
	op   *Sort
	run  *flow.Run
	runs []*sortedRun // a heap by the rows that are next
	key  *table.Key
}

// sortedRun is rows in order, of which those from next on are still to come.
type sortedRun struct {
	table *table.Table
	cols  []*table.Column
	next  int
	place int // among the runs: equal rows keep their order
}

// newMergeSort orders parts, whose memory is reserved. It takes them out of the
// list, so that what was ordered anew can go.
func newMergeSort(op *Sort, run *flow.Run, account *flow.Account, parts []*table.Table) (*mergeSort, error) {
	m := &mergeSort{op: op, run: run, key: parts[0].Key}
	for len(parts) > 0 {
		n, rows := 1, parts[0].Rows
		for n < len(parts) && rows+parts[n].Rows <= sortedRows {
			rows += parts[n].Rows
			n++
		}
		t, err := m.order(account, parts[:n])
		if err != nil {
			return nil, err
		}
		clear(parts[:n])
		parts = parts[n:]
		if t.Rows > 0 {
			m.runs = append(m.runs, &sortedRun{table: t, cols: columnsOf(t, op.Columns), place: len(m.runs)})
		}
	}
	heap.Init(m)
	return m, nil
}

// order returns the rows of parts in order, and reserves what they take instead of
// the parts.
func (m *mergeSort) order(account *flow.Account, parts []*table.Table) (*table.Table, error) {
	var before int64
	for _, p := range parts {
		before += p.Memory()
	}
	whole := table.ConcatMemory(parts)
	if whole == 0 {
		whole = before
	}
	rows := 0
	for _, p := range parts {
		rows += p.Rows
	}
	work := whole + int64(rows)*(2*itemBytes+8) // all rows once more, and their order
	if err := account.Add(whole + work); err != nil {
		return nil, err
	}
	defer account.Sub(before + work)
	t, err := table.Concat(m.key, parts)
	if err != nil {
		return nil, err
	}
	cols := slices.DeleteFunc(columnsOf(t, m.op.Columns), func(c *table.Column) bool { return c == nil || c.Same })
	order, err := OrderRows(m.run, cols, t.Rows, m.op.Desc)
	if err != nil {
		return nil, err
	}
	return t.Pick(order), nil
}

// Len, Less, Swap, Push and Pop implement heap.Interface.

func (m *mergeSort) Len() int { return len(m.runs) }

func (m *mergeSort) Less(i, j int) bool {
	a, b := m.runs[i], m.runs[j]
	if c := CompareRows(a.cols, a.next, b.cols, b.next, m.op.Desc); c != 0 {
		return c < 0
	}
	return a.place < b.place
}

func (m *mergeSort) Swap(i, j int) { m.runs[i], m.runs[j] = m.runs[j], m.runs[i] }

func (m *mergeSort) Push(any) { panic("BUG: a sort gets a run while it is read") }

func (m *mergeSort) Pop() any {
	last := m.runs[len(m.runs)-1]
	m.runs = m.runs[:len(m.runs)-1]
	return last
}

// mergedRows is how many rows a piece has that is merged: far fewer than a part,
// as every part may have some of them.
const mergedRows = 1 << 14

// next returns the next rows in order, nil behind the last.
func (m *mergeSort) next() (*table.Table, error) {
	if err := m.run.Ended(); err != nil {
		return nil, err
	}
	// The rows of each run in this piece are next to each other in it. They are
	// put together run by run, and then into the order in which they came.
	type share struct {
		run  *sortedRun
		from int
	}
	var shares []share
	index := map[*sortedRun]int{}
	var of []int32 // the share of each row, in order
	for len(of) < mergedRows && len(m.runs) > 0 {
		r := m.runs[0]
		at, ok := index[r]
		if !ok {
			at = len(shares)
			index[r] = at
			shares = append(shares, share{r, r.next})
		}
		of = append(of, int32(at))
		if r.next++; r.next == r.table.Rows {
			heap.Pop(m)
		} else {
			heap.Fix(m, 0)
		}
	}
	if len(of) == 0 {
		return nil, nil
	}
	parts, begins, rows := make([]*table.Table, len(shares)), make([]int, len(shares)), 0
	for i, s := range shares {
		parts[i], begins[i] = s.run.table.Slice(s.from, s.run.next), rows
		rows += parts[i].Rows
	}
	t, err := table.Concat(m.key, parts)
	if err != nil {
		return nil, err
	}
	order := make([]int, rows)
	for i, at := range of {
		order[i] = begins[at]
		begins[at]++
	}
	return t.Pick(order), nil
}
