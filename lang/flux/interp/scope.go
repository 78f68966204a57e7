package interp

import (
	"github.com/varvedb/varve/lang/flux/syntax"
	"github.com/varvedb/varve/lang/flux/value"
)

// cell is a variable of a file or package.
type cell struct {
	value   value.Value
	defined bool // the statement that defines it was compiled
}

// module is a package in use, or the script.
type module struct {
	name    string
	cells   map[string]*cell
	native  map[string]value.Value // what the package has built in; cells win
	prelude *module                // nil: this is it
}

func newModule(prelude *module) *module {
	return &module{cells: map[string]*cell{}, prelude: prelude}
}

// cell returns the variable of a name, or nil. A value that is built in becomes
// a cell when it is first asked for, so that an option can replace it.
func (m *module) cell(name string) *cell {
	if c := m.cells[name]; c != nil {
		return c
	}
	if v, ok := m.native[name]; ok {
		c := &cell{value: v, defined: true}
		m.cells[name] = c
		return c
	}
	return nil
}

// define returns the cell that a statement of the module is about to set.
func (m *module) define(name string) *cell {
	c := m.cells[name]
	if c == nil {
		c = &cell{}
		m.cells[name] = c
	}
	c.defined = true
	return c
}

// record returns everything that the module has as a record.
func (m *module) record() value.Value {
	var labels []string
	var values []value.Value
	for name, c := range m.cells {
		labels, values = append(labels, name), append(values, c.value)
	}
	for name, v := range m.native {
		if m.cells[name] == nil {
			labels, values = append(labels, name), append(values, v)
		}
	}
	return value.OfRecord(value.NewRecord(labels, values))
}

// scope is the names of one function while it is compiled: parameters first,
// then what its block defines. A name that is defined again gets a new place.
type scope struct {
	up    *scope
	names []string
}

// find returns where a name is: how many functions up, and the place there.
func (s *scope) find(name string) (up, place int, ok bool) {
	for ; s != nil; s, up = s.up, up+1 {
		for i := len(s.names) - 1; i >= 0; i-- {
			if s.names[i] == name {
				return up, i, true
			}
		}
	}
	return 0, 0, false
}

func (s *scope) define(name string) int {
	s.names = append(s.names, name)
	return len(s.names) - 1
}

// frame is the variables of one call.
type frame struct {
	up     *frame
	values []value.Value
	depth  int         // of nested calls
	called syntax.Span // where the script made this call, or the one that led to it
}

func (f *frame) at(up int) *frame {
	for ; up > 0; up-- {
		f = f.up
	}
	return f
}
