package transform

import (
	"iter"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// endedEvery is after how many rows a loop asks whether the run has ended: a
// millisecond of work or less.
const endedEvery = 4096

// partition tells rows apart by their cells in some columns.
type partition struct {
	run    *flow.Run
	group  []uint32 // of each row, numbered as they first come
	groups int
}

// of finds the groups by columns.
func (p *partition) of(cols []*table.Column) error {
	if len(cols) != 1 {
		return p.cells(cols)
	}
	c := cols[0]
	null := -1
	if c.Kind == value.String {
		index := map[string]uint32{}
		return p.each(func(i int) uint32 {
			if c.Null(i) {
				return p.null(&null)
			}
			s := c.Vec.Str(i)
			n, ok := index[string(s)]
			if !ok {
				n = p.next()
				index[string(s)] = n
			}
			return n
		}, cols)
	}
	index := map[uint64]uint32{}
	return p.each(func(i int) uint32 {
		if c.Null(i) {
			return p.null(&null)
		}
		n, ok := index[c.Vec.Words[i]]
		if !ok {
			n = p.next()
			index[c.Vec.Words[i]] = n
		}
		return n
	}, cols)
}

// cells finds the groups by any number of columns.
func (p *partition) cells(cols []*table.Column) error {
	index := map[string]uint32{}
	var cell []byte
	return p.each(func(i int) uint32 {
		cell = cell[:0]
		for _, c := range cols {
			cell = table.AppendCell(cell, c.Value(i))
		}
		n, ok := index[string(cell)]
		if !ok {
			n = p.next()
			index[string(cell)] = n
		}
		return n
	}, cols)
}

func (p *partition) next() uint32 {
	p.groups++
	return uint32(p.groups - 1)
}

// null returns the group of nulls.
func (p *partition) null(at *int) uint32 {
	if *at < 0 {
		*at = int(p.next())
	}
	return uint32(*at)
}

// each calls find with the rows that differ from the one before.
func (p *partition) each(find func(i int) uint32, cols []*table.Column) error {
	for i := range p.group {
		if i%endedEvery == 0 {
			if err := p.run.Ended(); err != nil {
				return err
			}
		}
		if i > 0 && sameCells(cols, i, i-1) {
			p.group[i] = p.group[i-1]
			continue
		}
		p.group[i] = find(i)
	}
	return nil
}

// parts returns the rows of each group, in order. What it yields is valid until
// it ends.
func (p *partition) parts() iter.Seq[[]int] {
	ends := make([]int, p.groups)
	for _, g := range p.group {
		ends[g]++
	}
	sum := 0
	for g, n := range ends {
		ends[g] = sum // where the group begins, for now
		sum += n
	}
	rows := make([]int, sum)
	for i, g := range p.group {
		rows[ends[g]] = i
		ends[g]++
	}
	return func(yield func([]int) bool) {
		begin := 0
		for _, end := range ends {
			if !yield(rows[begin:end]) {
				return
			}
			begin = end
		}
	}
}

// sameCells reports whether two rows have equal cells in all of some columns.
func sameCells(cols []*table.Column, i, j int) bool {
	for _, c := range cols {
		if !c.SameCell(i, c, j) {
			return false
		}
	}
	return true
}
