package aggregate

import (
	"iter"
	"slices"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// Mode is the value that is most frequent in a column, or those that are, in
// order, in the column _value. If all values are equally frequent there is none,
// and the result is null; that of a column of the group key is its value.
type Mode struct{ By }

// Name implements flow.Op.
func (*Mode) Name() string { return "mode" }

// Open implements flow.Op.
func (m *Mode) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	return flow.PerTable(run, in[0], func(account *flow.Account) flow.TableState {
		return &modeState{label: m.Column, account: account, memory: advance{account: account}, words: map[uint64]int64{}, places: map[string]int{}}
	}), nil
}

// modeState counts values: those of strings at their places in counts.
type modeState struct {
	label   string
	first   *table.Table
	kind    value.Kind // Absent: no piece had the column so far
	account *flow.Account
	memory  advance
	words   map[uint64]int64
	places  map[string]int
	counts  []int64
}

// Piece implements flow.TableState.
func (s *modeState) Piece(t *table.Table, _ func(*table.Table)) error {
	if s.first == nil || s.first.Rows == 0 {
		s.first = t
	}
	c := t.Col(s.label)
	switch {
	case c == nil:
		return nil
	case s.kind == value.Absent:
		s.kind = c.Kind
	case s.kind != c.Kind:
		return &table.KindError{Label: c.Label, A: s.kind, B: c.Kind}
	}
	for i := range t.Rows {
		if c.Null(i) {
			continue
		}
		if c.Kind == value.String {
			if err := s.text(c.Bytes(i)); err != nil {
				return err
			}
			continue
		}
		before := len(s.words)
		if s.words[c.Word(i)]++; len(s.words) > before {
			if err := s.memory.take(cellBytes); err != nil {
				return err
			}
		}
	}
	return nil
}

// text counts a string.
func (s *modeState) text(text []byte) error {
	at, ok := s.places[string(text)]
	if !ok {
		if err := s.memory.take(textBytes + 16 + int64(len(text))); err != nil {
			return err
		}
		at = len(s.counts)
		s.places[string(text)] = at
		s.counts = append(s.counts, 0)
	}
	s.counts[at]++
	return nil
}

// End implements flow.TableState.
func (s *modeState) End(emit func(*table.Table)) error {
	if s.kind == value.Absent {
		return noColumn(s.label)
	}
	values := table.NewColumn(valueLabel, s.kind)
	if s.first.Rows > 0 {
		modes, err := s.modes()
		if err != nil {
			return err
		}
		for _, v := range modes {
			values.Append(v)
		}
	}
	key := s.first.Key.Keep(func(label string) bool { return label != valueLabel })
	t := &table.Table{Key: key, Rows: values.Vec.Len()}
	for _, c := range keyColumns(s.first) {
		if c.Label != valueLabel {
			t.Cols = append(t.Cols, c)
		}
	}
	t.Cols = append(t.Cols, values)
	emit(t)
	return nil
}

// modes returns the most frequent values, or a null.
func (s *modeState) modes() ([]value.Value, error) {
	if v, ok := s.first.Key.Get(s.label); ok {
		return []value.Value{v}, nil
	}
	top, many := int64(0), 0
	for _, n := range s.all() {
		if n > top {
			top, many = n, 0
		}
		if n == top {
			many++
		}
	}
	if many == len(s.words)+len(s.places) {
		return []value.Value{value.NullOf(s.kind)}, nil
	}
	const valueBytes = 64 // in a list and in a column
	if err := s.account.Add(int64(many) * valueBytes); err != nil {
		return nil, err
	}
	most := make([]value.Value, 0, many)
	for v, n := range s.all() {
		if n == top {
			most = append(most, v)
		}
	}
	slices.SortFunc(most, func(a, b value.Value) int {
		c, _ := value.Compare(a, b)
		return c
	})
	return most, nil
}

// all goes through the values and how often each came.
func (s *modeState) all() iter.Seq2[value.Value, int64] {
	return func(yield func(value.Value, int64) bool) {
		for w, n := range s.words {
			if !yield(value.OfWord(s.kind, w), n) {
				return
			}
		}
		for text, at := range s.places {
			if !yield(value.OfString(text), s.counts[at]) {
				return
			}
		}
	}
}
