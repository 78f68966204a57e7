package table

// List is a reader of tables that are there already.
type List struct {
	tables []*Table
}

// NewList returns a reader of tables, in order.
func NewList(tables ...*Table) *List { return &List{tables} }

// Next implements Reader.
func (l *List) Next() (*Table, error) {
	if len(l.tables) == 0 {
		return nil, nil
	}
	t := l.tables[0]
	l.tables = l.tables[1:]
	return t, nil
}

// Close implements Reader.
func (l *List) Close() { l.tables = nil }

// Whole is a reader that puts the pieces of a table together.
type Whole struct {
	in      Reader
	reserve func(bytes int64) error
	ahead   *Table
	ended   bool
}

// NewWhole returns a reader of the tables of in, each in one piece. reserve is
// called before pieces are put together, with what they and the copy take.
func NewWhole(in Reader, reserve func(bytes int64) error) *Whole {
	return &Whole{in: in, reserve: reserve}
}

// Next implements Reader.
func (w *Whole) Next() (*Table, error) {
	first := w.ahead
	w.ahead = nil
	if first == nil {
		var err error
		if first, err = w.read(); first == nil || err != nil {
			return nil, err
		}
	}
	parts := []*Table{first}
	for {
		t, err := w.read()
		if err != nil {
			return nil, err
		}
		if t == nil || !t.Key.Equal(first.Key) {
			w.ahead = t
			break
		}
		if len(parts) == 1 {
			if err := w.reserve(first.Memory()); err != nil {
				return nil, err
			}
		}
		if err := w.reserve(t.Memory()); err != nil {
			return nil, err
		}
		parts = append(parts, t)
	}
	if len(parts) > 1 {
		if err := w.reserve(ConcatMemory(parts)); err != nil {
			return nil, err
		}
	}
	return Concat(first.Key, parts)
}

func (w *Whole) read() (*Table, error) {
	if w.ended {
		return nil, nil
	}
	t, err := w.in.Next()
	if t == nil || err != nil {
		w.ended = true
	}
	return t, err
}

// Close implements Reader.
func (w *Whole) Close() { w.in.Close() }
