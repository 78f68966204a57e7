package transform

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// Sort orders the rows of each table by some columns, nulls first. Rows that are
// equal in all of them keep their order; columns that are not there count as
// equal.
type Sort struct {
	Columns []string
	Desc    bool
}

// Name implements flow.Op.
func (*Sort) Name() string { return "sort" }

// Details implements flow.Op.
func (s *Sort) Details() string {
	return fmt.Sprintf("columns: %s, desc: %t", quote(s.Columns), s.Desc)
}

// Open implements flow.Op.
func (s *Sort) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	return &sorting{op: s, run: run, in: in[0], account: run.Account()}, nil
}

// sorting reads the pieces of a table, and then returns them in order. If what it
// takes to order them at once is there, that is done; otherwise they are merged.
type sorting struct {
	op      *Sort
	run     *flow.Run
	in      table.Reader
	account flow.Account
	ahead   *table.Table // of the next table; nil: not read
	ended   bool         // no more is to be read

	parts   []*table.Table
	sorted  bool         // they are in order as they are
	whole   *table.Table // all of them
	items   []item       // the order of its rows, without those that were returned
	merging *mergeSort
}

// Next implements table.Reader.
func (s *sorting) Next() (*table.Table, error) {
	for {
		switch {
		case s.merging != nil:
			if t, err := s.merging.next(); t != nil || err != nil {
				return t, err
			}
			s.merging = nil
		case len(s.items) > 0:
			n := min(len(s.items), sortedRows)
			rows := make([]int, n)
			for i, it := range s.items[:n] {
				rows[i] = int(it.row)
			}
			s.items = s.items[n:]
			return s.whole.Pick(rows), nil
		case s.sorted && len(s.parts) > 0:
			t := s.parts[0]
			s.parts[0] = nil
			s.parts = s.parts[1:]
			return t, nil
		}
		s.whole, s.items, s.parts = nil, nil, nil
		s.account.Clear()
		if err := s.readTable(); err != nil {
			return nil, err
		}
		if len(s.parts) == 0 {
			return nil, nil
		}
		if !s.sorted {
			if err := s.order(); err != nil {
				return nil, err
			}
		}
	}
}

// readTable reads the pieces of the next table.
func (s *sorting) readTable() error {
	s.sorted = true
	for {
		t := s.ahead
		s.ahead = nil
		if t == nil && !s.ended {
			var err error
			if t, err = s.in.Next(); err != nil {
				return err
			}
			s.ended = t == nil
		}
		if t == nil {
			return nil
		}
		if len(s.parts) > 0 && !t.Key.Equal(s.parts[0].Key) {
			s.ahead = t
			return nil
		}
		if err := s.account.Keep(t); err != nil {
			return err
		}
		s.sorted = s.sorted && s.follows(t)
		s.parts = append(s.parts, t)
		if err := s.run.Ended(); err != nil {
			return err
		}
	}
}

// order begins to order the parts.
func (s *sorting) order() error {
	// At first there are the parts, which are reserved, and all rows in one
	// piece; then that and two lists of items; then that, one list and some
	// rows in order.
	var parts int64
	rows := 0
	for _, p := range s.parts {
		parts += p.Memory()
		rows += p.Rows
	}
	whole := table.ConcatMemory(s.parts)
	if whole == 0 {
		whole, parts = parts, 0 // the only one stays
	}
	list := int64(rows) * itemBytes
	if s.account.Add(whole+2*list) != nil {
		var err error
		s.merging, err = newMergeSort(s.op, s.run, &s.account, s.parts)
		s.parts = nil
		return err
	}
	t, err := table.Concat(s.parts[0].Key, s.parts)
	if err != nil {
		return err
	}
	s.parts, s.whole = nil, t
	s.account.Sub(parts)
	cols := slices.DeleteFunc(columnsOf(t, s.op.Columns), func(c *table.Column) bool { return c == nil || c.Same })
	if s.items, err = orderItems(s.run, cols, t.Rows, s.op.Desc); err != nil {
		return err
	}
	s.account.Sub(list)
	return nil
}

// Close implements table.Reader.
func (s *sorting) Close() {
	s.in.Close()
	s.account.Clear()
	s.parts, s.whole, s.items, s.merging = nil, nil, nil, nil
}

// follows reports whether t is in order and belongs behind the parts there are.
func (s *sorting) follows(t *table.Table) bool {
	if t.Rows == 0 {
		return true
	}
	cols := columnsOf(t, s.op.Columns)
	for i := len(s.parts) - 1; i >= 0; i-- {
		if p := s.parts[i]; p.Rows > 0 {
			if CompareRows(columnsOf(p, s.op.Columns), p.Rows-1, cols, 0, s.op.Desc) > 0 {
				return false
			}
			break
		}
	}
	vary := slices.DeleteFunc(cols, func(c *table.Column) bool { return c == nil || c.Same })
	for i := 1; i < t.Rows && len(vary) > 0; i++ {
		if CompareRows(vary, i-1, vary, i, s.op.Desc) > 0 {
			return false
		}
	}
	return true
}

func columnsOf(t *table.Table, labels []string) []*table.Column {
	cols := make([]*table.Column, len(labels))
	for i, l := range labels {
		cols[i] = t.Col(l)
	}
	return cols
}

// CompareRows orders row i of columns a and row j of columns b, where nil stands
// for a column of nulls.
func CompareRows(a []*table.Column, i int, b []*table.Column, j int, desc bool) int {
	for n := range a {
		x, y := a[n], b[n]
		switch nx, ny := x == nil || x.Null(i), y == nil || y.Null(j); {
		case nx && ny:
			continue
		case nx:
			return -1
		case ny:
			return 1
		}
		var c int
		switch {
		case x.Kind != y.Kind:
			c = cmp.Compare(x.Kind, y.Kind) // an error that end finds
		case x.Kind == value.String:
			c = bytes.Compare(x.Bytes(i), y.Bytes(j))
		default:
			c = cmp.Compare(OrderOf(x.Kind, x.Word(i)), OrderOf(y.Kind, y.Word(j)))
		}
		if desc {
			c = -c
		}
		if c != 0 {
			return c
		}
	}
	return 0
}

// sortedRows is how many rows a piece of a sorted table has.
const sortedRows = 1 << 16

// item is a row that is being sorted: by key, which orders like the cells of a
// column or at least like their beginnings, then by at, where it was before.
type item struct {
	key uint64
	row uint32
	at  uint32
}

const itemBytes = 16

// OrderOf maps the word of a cell to one that orders as the cells do. NaN comes
// before all other floats.
func OrderOf(k value.Kind, w uint64) uint64 {
	switch k {
	case value.Int, value.Time:
		return w ^ 1<<63
	case value.Float:
		f := math.Float64frombits(w)
		switch {
		case f != f:
			return 0
		case f == 0:
			return 1 << 63 // of -0 too
		case w>>63 != 0:
			return ^w
		}
		return w | 1<<63
	}
	return w
}

// OrderRows returns the places of rows in the order of their cells in cols, of
// which none is Same. It sorts by the last column first and is stable, so that
// what the columns before it say holds in the end.
func OrderRows(run *flow.Run, cols []*table.Column, rows int, desc bool) ([]int, error) {
	items, err := orderItems(run, cols, rows, desc)
	if err != nil {
		return nil, err
	}
	order := make([]int, rows)
	for i := range items {
		order[i] = int(items[i].row)
	}
	return order, nil
}

func orderItems(run *flow.Run, cols []*table.Column, rows int, desc bool) ([]item, error) {
	if rows > math.MaxUint32 {
		return nil, fmt.Errorf("a table of more than %d rows cannot be sorted", math.MaxUint32)
	}
	items, spare := make([]item, rows), make([]item, rows)
	for i := range items {
		items[i].row = uint32(i)
	}
	for _, c := range slices.Backward(cols) {
		if err := run.Ended(); err != nil {
			return nil, err
		}
		var err error
		if items, spare, err = orderBy(run, c, items, spare, desc); err != nil {
			return nil, err
		}
	}
	return items, nil
}

// orderBy sorts items by one column, and returns them and the other slice.
func orderBy(run *flow.Run, c *table.Column, items, spare []item, desc bool) (sorted, other []item, err error) {
	if !c.Vec.Valid.All() {
		// Nulls go first, the others follow in the order they have.
		n := 0
		for _, it := range items {
			if c.Null(int(it.row)) {
				spare[n] = it
				n++
			}
		}
		at := n
		for _, it := range items {
			if !c.Null(int(it.row)) {
				spare[at] = it
				at++
			}
		}
		items, spare = spare, items
		valid, rest, err := orderValid(run, c, items[n:], spare[n:], desc)
		if len(valid) > 0 && &valid[0] != &items[n] {
			copy(rest, valid)
		}
		return items, spare, err
	}
	return orderValid(run, c, items, spare, desc)
}

func orderValid(run *flow.Run, c *table.Column, items, spare []item, desc bool) (sorted, other []item, err error) {
	flip := uint64(0)
	if desc {
		flip = ^flip
	}
	switch {
	case c.Kind != value.String:
		for i := range items {
			items[i].key = OrderOf(c.Kind, c.Vec.Words[items[i].row]) ^ flip
		}
	case rankTexts(c, items):
		for i := range items {
			items[i].key ^= flip
		}
	default:
		return orderTexts(run, c, items, spare, desc)
	}
	return radix(run, items, spare)
}

// sliceRows is how many rows a sort goes through before it asks whether the run
// has ended: some milliseconds of work.
const sliceRows = 1 << 16

// radix sorts items by their keys, byte by byte from the last, and leaves out
// the bytes that all keys have in common.
func radix(run *flow.Run, items, spare []item) (sorted, other []item, err error) {
	var counts [8][256]uint32
	for slice := range slices.Chunk(items, sliceRows) {
		if err := run.Ended(); err != nil {
			return nil, nil, err
		}
		for i := range slice {
			k := slice[i].key
			for b := range 8 {
				counts[b][byte(k>>(8*b))]++
			}
		}
	}
	for b := range 8 {
		shift := 8 * b
		if len(items) == 0 || int(counts[b][byte(items[0].key>>shift)]) == len(items) {
			continue
		}
		var at [256]uint32
		sum := uint32(0)
		for v, n := range counts[b] {
			at[v] = sum
			sum += n
		}
		for slice := range slices.Chunk(items, sliceRows) {
			if err := run.Ended(); err != nil {
				return nil, nil, err
			}
			for i := range slice {
				v := byte(slice[i].key >> shift)
				spare[at[v]] = slice[i]
				at[v]++
			}
		}
		items, spare = spare, items
	}
	return items, spare, nil
}

// fewTexts is up to how many different strings it pays to look each row's up.
const fewTexts = 1 << 13

// rankTexts sets the keys of items to the ranks of their strings, and reports
// whether there are few different ones.
func rankTexts(c *table.Column, items []item) bool {
	numbers := map[string]uint32{}
	var texts []string
	var last []byte
	for i := range items {
		s := c.Vec.Str(int(items[i].row))
		if i > 0 && bytes.Equal(s, last) {
			items[i].key = items[i-1].key
			continue
		}
		last = s
		n, ok := numbers[string(s)]
		if !ok {
			if len(texts) == fewTexts {
				return false
			}
			n = uint32(len(texts))
			texts = append(texts, string(s))
			numbers[texts[n]] = n
		}
		items[i].key = uint64(n)
	}
	slices.Sort(texts)
	ranks := make([]uint64, len(texts))
	for rank, s := range texts {
		ranks[numbers[s]] = uint64(rank)
	}
	for i := range items {
		items[i].key = ranks[items[i].key]
	}
	return true
}

// orderTexts sorts items by a column of strings, mostly by their first 8 bytes:
// slices of them, which it then merges, two and two.
func orderTexts(run *flow.Run, c *table.Column, items, spare []item, desc bool) (sorted, other []item, err error) {
	compare := func(a, b item) int {
		o := cmp.Compare(a.key, b.key)
		if o == 0 {
			o = bytes.Compare(c.Vec.Str(int(a.row)), c.Vec.Str(int(b.row)))
		}
		if desc {
			o = -o
		}
		return o
	}
	at := uint32(0)
	for slice := range slices.Chunk(items, sliceRows) {
		if err := run.Ended(); err != nil {
			return nil, nil, err
		}
		for i := range slice {
			var first [8]byte
			copy(first[:], c.Vec.Str(int(slice[i].row)))
			slice[i].key, slice[i].at = binary.BigEndian.Uint64(first[:]), at
			at++
		}
		slices.SortFunc(slice, func(a, b item) int {
			if o := compare(a, b); o != 0 {
				return o
			}
			return cmp.Compare(a.at, b.at)
		})
	}
	for width := sliceRows; width < len(items); width *= 2 {
		for from := 0; from < len(items); from += 2 * width {
			middle, end := min(from+width, len(items)), min(from+2*width, len(items))
			a, b := items[from:middle], items[middle:end]
			for to := from; to < end; to++ {
				if to%sliceRows == 0 {
					if err := run.Ended(); err != nil {
						return nil, nil, err
					}
				}
				if len(b) == 0 || len(a) > 0 && compare(a[0], b[0]) <= 0 {
					spare[to], a = a[0], a[1:]
				} else {
					spare[to], b = b[0], b[1:]
				}
			}
		}
		items, spare = spare, items
	}
	return items, spare, nil
}
