package live

import (
	"sync"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/protocol/jsonpoints"
)

// chunkBytes is about how large a chunk is: small beside a queue, and large
// enough that its handling does not count.
const chunkBytes = 32 << 10

// chunk is some points. All subscribers of a feed share it.
type chunk struct {
	points int
	bytes  int64 // of its lines, about; its rows take less

	once  sync.Once
	table *column.Table // nil once there are lines
	lines []byte
}

func newChunk(t *column.Table) *chunk {
	return &chunk{points: len(t.Time), bytes: lineBytes(t) * int64(len(t.Time)), table: t}
}

// text returns the points as lines of JSON, each with a line break.
func (c *chunk) text() []byte {
	c.once.Do(func() {
		c.lines = jsonpoints.AppendLines(make([]byte, 0, c.bytes), &column.Batch{Tables: []*column.Table{c.table}})
		c.table = nil
	})
	return c.lines
}

// lineBytes is about how long a row of t is as JSON. It does not count what
// escapes add.
func lineBytes(t *column.Table) int64 {
	// Time, names of the parts, brackets.
	n := int64(96 + len(t.Measurement))
	if s := t.Series.Len(); s > 0 {
		n += int64(len(t.Series.Keys)/s + 6*len(t.TagKeys))
	}
	for i := range t.Fields {
		f := &t.Fields[i]
		n += int64(len(f.Name) + 4)
		switch {
		case f.Type != column.String:
			n += 18 // digits of a float; most have less
		case len(f.Ends) > 0:
			n += int64(len(f.Data)/len(f.Ends) + 2)
		}
	}
	return n
}
