package merge

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/run"
	"github.com/varvedb/varve/tombstone"
)

// Input is a run of a measurement and the tombstones that apply to it.
type Input struct {
	Run    run.Run
	Hidden *tombstone.Set
}

// Merger goes through all series of several runs in the order of their keys.
type Merger struct {
	fields  []column.FieldInfo
	inputs  []*input // ascending by sequence
	series  *Series
	sources []Source
	key     []byte
}

type input struct {
	Input
	ords   []uint32
	keys   run.KeyCursor
	cursor run.Cursor
	key    []byte // of ords[0]
	hidden []tombstone.Hidden
}

// New returns a merger of inputs, which ascend by sequence. Close gives its
// memory back.
func New(inputs []Input) (*Merger, error) {
	fields, err := Fields(inputs)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.Name
	}
	m := &Merger{fields: fields, series: NewSeries(fields)}
	for _, in := range inputs {
		i := &input{Input: in, keys: in.Run.Keys()}
		if i.ords, err = in.Run.Select(nil); err != nil {
			m.Close()
			return nil, err
		}
		if i.cursor, err = in.Run.Cursor(names); err != nil {
			m.Close()
			return nil, err
		}
		m.inputs = append(m.inputs, i)
		if err := i.readKey(); err != nil {
			m.Close()
			return nil, err
		}
	}
	return m, nil
}

// Fields returns the fields of all inputs, ascending by name.
func Fields(inputs []Input) ([]column.FieldInfo, error) {
	var out []column.FieldInfo
	for _, in := range inputs {
		out = append(out, in.Run.Meta().Fields...)
	}
	slices.SortFunc(out, func(a, b column.FieldInfo) int { return strings.Compare(a.Name, b.Name) })
	out = slices.Compact(out)
	for i := 1; i < len(out); i++ {
		if out[i].Name == out[i-1].Name {
			return nil, fmt.Errorf("field %q is %s in one segment and %s in another", out[i].Name, out[i-1].Type, out[i].Type)
		}
	}
	return out, nil
}

// Fields returns the fields that the rows have, ascending by name.
func (m *Merger) Fields() []column.FieldInfo { return m.fields }

func (i *input) readKey() error {
	i.key = i.key[:0]
	if len(i.ords) == 0 {
		return nil
	}
	key, err := i.keys.Key(i.ords[0])
	if err != nil {
		return err
	}
	i.key = append(i.key, key...)
	return nil
}

// NextSeries goes to the next series and returns its key, valid until the
// next call; ok is false at the end.
func (m *Merger) NextSeries() (key []byte, ok bool, err error) {
	lowest := -1
	for i, in := range m.inputs {
		if len(in.ords) > 0 && (lowest < 0 || bytes.Compare(in.key, m.inputs[lowest].key) < 0) {
			lowest = i
		}
	}
	if lowest < 0 {
		return nil, false, nil
	}
	m.key = append(m.key[:0], m.inputs[lowest].key...)
	m.sources = m.sources[:0]
	for _, in := range m.inputs[lowest:] {
		if len(in.ords) == 0 || !bytes.Equal(in.key, m.key) {
			continue
		}
		if err := in.cursor.Seek(in.ords[0], math.MinInt64, math.MaxInt64); err != nil {
			return nil, false, err
		}
		in.hidden = in.Hidden.For(in.hidden[:0], m.key)
		m.sources = append(m.sources, Source{Cursor: in.cursor, Hidden: in.hidden})
		in.ords = in.ords[1:]
		if err := in.readKey(); err != nil {
			return nil, false, err
		}
	}
	return m.key, true, m.series.Reset(m.sources)
}

// Next returns the next rows of the series, nil at its end. They are valid
// until the next call of any method.
func (m *Merger) Next() (*column.Rows, error) { return m.series.Next() }

// Close closes all cursors.
func (m *Merger) Close() {
	for _, in := range m.inputs {
		if in.cursor != nil {
			in.cursor.Close()
		}
	}
}
