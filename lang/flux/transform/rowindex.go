package transform

import (
	"slices"

	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// rowIndex finds rows by the cells in some columns.
type rowIndex interface {
	// find returns the place of the row with the cells that row i of keys has,
	// among those in have, which are rows in number. If there is none it
	// returns rows: the caller appends it.
	find(keys []*table.Column, i int, have []table.Column, rows int) int
	// reserved is what the caller has reserved for it.
	reserved() *int64
}

func newRowIndex(keys []*table.Column) rowIndex {
	if len(keys) == 1 && keys[0].Kind != value.String {
		return &wordIndex{null: -1, ascending: true}
	}
	return &cellIndex{places: map[string]int{}}
}

// cellIndex is an index of any columns.
type cellIndex struct {
	places map[string]int
	cell   []byte
	bytes  int64
}

func (x *cellIndex) reserved() *int64 { return &x.bytes }

func (x *cellIndex) find(keys []*table.Column, i int, _ []table.Column, rows int) int {
	x.cell = x.cell[:0]
	for _, k := range keys {
		x.cell = table.AppendCell(x.cell, k.Value(i))
	}
	at, ok := x.places[string(x.cell)]
	if !ok {
		at = rows
		x.places[string(x.cell)] = at
	}
	return at
}

// wordIndex is an index of one column that is not of strings. Mostly that is a
// column of times, and the tables are aligned: the next row to look for is the
// one behind that found last. As long as the rows are ascending a search finds
// them; a map is made when they are not any more.
type wordIndex struct {
	next      int // the place that the next row probably has
	null      int // the row whose cell is null; -1: none
	ascending bool
	places    map[uint64]int
	bytes     int64
}

func (x *wordIndex) reserved() *int64 { return &x.bytes }

func (x *wordIndex) find(keys []*table.Column, i int, have []table.Column, rows int) int {
	key := keys[0]
	if key.Null(i) {
		if x.null < 0 {
			x.null = rows
			x.toMap(have, rows)
		}
		return x.null
	}
	w := key.Word(i)
	words := have[0].Vec.Words
	if x.next < rows && words[x.next] == w && x.next != x.null {
		x.next++
		return x.next - 1
	}
	at := rows
	if x.ascending {
		order := OrderOf(key.Kind, w)
		if rows > 0 && order <= OrderOf(key.Kind, words[rows-1]) {
			found, ok := slices.BinarySearchFunc(words[:rows], order, func(w, order uint64) int {
				switch o := OrderOf(key.Kind, w); {
				case o < order:
					return -1
				case o > order:
					return 1
				}
				return 0
			})
			if ok && words[found] == w {
				at = found
			} else {
				x.toMap(have, rows)
				x.places[w] = rows
			}
		}
	} else if found, ok := x.places[w]; ok {
		at = found
	} else {
		x.places[w] = rows
	}
	x.next = at + 1
	return at
}

// toMap makes a map of the rows there are.
func (x *wordIndex) toMap(have []table.Column, rows int) {
	if !x.ascending {
		return
	}
	x.ascending = false
	x.places = make(map[uint64]int, rows)
	for i, w := range have[0].Vec.Words[:rows] {
		x.places[w] = i
	}
}
