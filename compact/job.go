package compact

import (
	"context"
	"fmt"
	"slices"
	"sort"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/merge"
	"github.com/varvedb/varve/segment"
)

// Section is a measurement and the runs that hold its rows, ascending by
// sequence.
type Section struct {
	Measurement string
	Inputs      []merge.Input
}

// Output is one segment under construction.
type Output struct {
	Min, Max int64 // bounds of its partition, inclusive
	Writer   *segment.Writer
	open     bool // a section of the present measurement is open
}

// Job writes the merged rows of some sections into segments by partition.
type Job struct {
	Sections []Section // ascending by measurement
	// Open returns the output for the partition that holds time t. It is
	// called once for each partition that rows fall into.
	Open func(t int64) (*Output, error)
	// Horizon is where retention begins: older rows are dropped.
	Horizon int64
	// Pause is called every few thousand rows; it may wait to let others go
	// first, and its error ends the job.
	Pause func(ctx context.Context) error

	outputs []*Output // ascending by time
	// Rows counts rows written.
	Rows int64
}

// Run does the job. The outputs are complete but for Finish, which is the
// caller's, as is cleaning up after an error.
func (j *Job) Run(ctx context.Context) error {
	for _, s := range j.Sections {
		if err := j.section(ctx, s); err != nil {
			return fmt.Errorf("measurement %q: %w", s.Measurement, err)
		}
	}
	return nil
}

// Outputs returns the segments that rows fell into.
func (j *Job) Outputs() []*Output { return j.outputs }

// pauseRows is how many rows are written between two calls of Pause: about a
// millisecond of work.
const pauseRows = 4096

func (j *Job) section(ctx context.Context, s Section) error {
	m, err := merge.New(s.Inputs)
	if err != nil {
		return err
	}
	defer m.Close()
	since := 0
	for {
		key, ok, err := m.NextSeries()
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		for {
			rows, err := m.Next()
			if err != nil {
				return err
			}
			if rows == nil {
				break
			}
			if err := j.append(s.Measurement, m.Fields(), key, rows); err != nil {
				return err
			}
			if since += len(rows.Time); since >= pauseRows {
				since = 0
				if err := j.Pause(ctx); err != nil {
					return err
				}
			}
		}
	}
	for _, o := range j.outputs {
		if o.open {
			o.open = false
			if err := o.Writer.EndSection(); err != nil {
				return err
			}
		}
	}
	return nil
}

// append writes rows of one series to the partitions that they fall into.
func (j *Job) append(measurement string, fields []column.FieldInfo, key []byte, rows *column.Rows) error {
	lo, n := 0, len(rows.Time)
	if rows.Time[0] < j.Horizon {
		lo = sort.Search(n, func(i int) bool { return rows.Time[i] >= j.Horizon })
	}
	var part column.Rows
	for lo < n {
		o, err := j.output(rows.Time[lo])
		if err != nil {
			return err
		}
		hi := n
		if rows.Time[n-1] > o.Max {
			hi = lo + sort.Search(n-lo, func(i int) bool { return rows.Time[lo+i] > o.Max })
		}
		if !o.open {
			if err := o.Writer.BeginSection(measurement, fields); err != nil {
				return err
			}
			o.open = true
		}
		write := rows
		if hi-lo < n {
			rows.SliceInto(&part, lo, hi)
			write = &part
		}
		if err := o.Writer.Append(key, write); err != nil {
			return err
		}
		j.Rows += int64(hi - lo)
		lo = hi
	}
	return nil
}

func (j *Job) output(t int64) (*Output, error) {
	i := sort.Search(len(j.outputs), func(i int) bool { return j.outputs[i].Max >= t })
	if i < len(j.outputs) && j.outputs[i].Min <= t {
		return j.outputs[i], nil
	}
	o, err := j.Open(t)
	if err != nil {
		return nil, err
	}
	if t < o.Min || t > o.Max {
		return nil, fmt.Errorf("a row at %d lies outside its partition, from %d to %d", t, o.Min, o.Max)
	}
	j.outputs = slices.Insert(j.outputs, i, o)
	return o, nil
}
