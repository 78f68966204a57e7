package scan

import (
	"context"
	"sync"

	"github.com/varvedb/varve/column"
)

// openRows begins to return rows as they are.
func (s *Scan) openRows(src *source) error {
	want := s.plan.Rows.Fields
	if len(want) == 0 {
		want = src.fieldsOf(func(column.Type) bool { return true })
	}
	for _, f := range want {
		src.reads(f)
	}
	cols := len(src.names) // those that only the condition reads come behind
	if cols == 0 {
		return nil
	}
	if err := src.bind(s.plan.Where); err != nil {
		return err
	}
	s.prune(src)
	j, err := s.divide(src)
	if err != nil || len(j.units) == 0 {
		return err
	}
	s.run(j, false, func(r *reader) unitWorker { return &rowsWorker{scan: s, r: r, cols: cols} })
	return nil
}

// run starts workers on a job.
func (s *Scan) run(j *job, spans bool, newWorker func(*reader) unitWorker) {
	var mu sync.Mutex // guards readers
	var readers []*reader
	s.feed = startPipeline(s.ctx, len(j.units), s.cfg.Parallel, func() unitWorker {
		r := newReader(j, spans)
		mu.Lock()
		readers = append(readers, r)
		mu.Unlock()
		return newWorker(r)
	}, func() {
		for _, r := range readers {
			s.stats.add(&r.stats)
		}
	})
}

// rowsWorker returns the rows of its units' series.
type rowsWorker struct {
	scan  *Scan
	r     *reader
	cols  int
	batch *Batch
	emit  func(*Batch) error
	at    int64 // rows of the present series so far
	tail  column.Rows
	// tail, last row first, and what is reserved for both.
	turned column.Rows
	held   int64
	open   bool // the present series has a group in the batch
}

func (w *rowsWorker) end() {
	w.scan.budget.release(w.held)
	w.r.close()
}

func (w *rowsWorker) do(ctx context.Context, unit int, emit func(*Batch) error) error {
	w.emit = emit
	if err := w.r.walker.begin(w.r.job, unit, nil); err != nil {
		return err
	}
	for {
		ok, err := w.r.next(ctx)
		if err != nil {
			return err
		}
		if !ok {
			return w.flush()
		}
		if err := w.r.series(); err != nil {
			return err
		}
		w.at, w.open = 0, false
		if w.scan.plan.Desc {
			err = w.backward(ctx)
		} else {
			_, err = w.forward(ctx, w.r.job.src.first, w.r.job.src.last, w.add)
		}
		if err != nil {
			return err
		}
	}
}

// forward calls fn with the rows between lo and hi that are in question,
// until it returns false.
func (w *rowsWorker) forward(ctx context.Context, lo, hi int64, fn func(*column.Rows) (bool, error)) (int, error) {
	w.r.seek(lo, hi)
	n := 0
	for {
		rows, _, _, err := w.r.stream.next()
		if err != nil || rows == nil {
			return n, err
		}
		if err := context.Cause(ctx); err != nil {
			return n, err
		}
		if rows = w.r.where(rows); rows.Len() == 0 {
			continue
		}
		if set := w.r.some(rows, w.cols); set != nil {
			rows = w.r.pick(&w.r.present, rows, set)
		}
		n += rows.Len()
		if more, err := fn(rows); err != nil || !more {
			return n, err
		}
	}
}

// add returns rows of the present series, as far as its page goes.
func (w *rowsWorker) add(rows *column.Rows) (bool, error) {
	page := w.scan.plan.Each
	lo, hi := page.Cut(w.at, rows.Len())
	w.at += int64(rows.Len())
	for lo < hi {
		b := w.room()
		to := min(hi, lo+max(batchRows-b.Rows(), 1))
		g := &b.Groups[len(b.Groups)-1]
		b.Time = append(b.Time, rows.Time[lo:to]...)
		for c := range b.Columns {
			if rows.Cols[c].Type == 0 {
				b.Columns[c].AppendNulls(to - lo)
				continue
			}
			part := rows.Cols[c].Slice(lo, to)
			b.Columns[c].Append(&part)
		}
		g.To += to - lo
		lo = to
		if g.To >= batchRows {
			if err := w.flush(); err != nil {
				return false, err
			}
		}
	}
	return page.Limit == 0 || w.at < page.End(), nil
}

// room returns the batch with a group for the present series.
func (w *rowsWorker) room() *Batch {
	if w.batch == nil {
		src := w.r.job.src
		w.batch = &Batch{Measurement: src.measurement, Columns: make([]Column, w.cols)}
		for i := range w.batch.Columns {
			c := &w.batch.Columns[i]
			c.Field, c.Type = src.read[i].Name, src.read[i].Type
		}
		w.open = false
	}
	if !w.open {
		w.batch.begin(w.r.walker.key)
		w.open = true
	}
	return w.batch
}

func (w *rowsWorker) flush() error {
	b := w.batch
	if b == nil {
		return nil
	}
	w.batch = nil
	b.reserved = b.Bytes()
	if err := w.scan.budget.reserve(b.reserved); err != nil {
		return err
	}
	return w.emit(b)
}

// backward returns the rows of the present series newest first.
func (w *rowsWorker) backward(ctx context.Context) error {
	lo, hi, rows := w.r.extent()
	steps := newBackward(lo, hi, rows)
	for {
		lo, hi, ok := steps.next()
		if !ok {
			return nil
		}
		w.tail.Reset(w.r.job.src.read)
		n, err := w.forward(ctx, lo, hi, func(rows *column.Rows) (bool, error) {
			appendRows(&w.tail, rows, 0, rows.Len())
			return true, w.hold()
		})
		if err != nil {
			return err
		}
		steps.found(n)
		w.reverse()
		if more, err := w.add(&w.turned); err != nil || !more {
			return err
		}
	}
}

// reverse makes turned the rows of tail in the opposite order.
func (w *rowsWorker) reverse() {
	w.turned.Reset(w.r.job.src.read)
	for i := w.tail.Len() - 1; i >= 0; i-- {
		w.turned.Time = append(w.turned.Time, w.tail.Time[i])
		for c := range w.turned.Cols {
			w.turned.Cols[c].AppendRow(&w.tail.Cols[c], i)
		}
	}
}

// hold reserves the memory of tail and turned.
func (w *rowsWorker) hold() error {
	n := int64(w.tail.Len()) * 8
	for i := range w.tail.Cols {
		v := &w.tail.Cols[i]
		n += int64(len(v.Words))*8 + int64(len(v.Ends))*4 + int64(len(v.Data))
	}
	if n *= 2; n <= w.held {
		return nil
	}
	more := n - w.held
	if err := w.scan.budget.reserve(more); err != nil {
		return err
	}
	w.held = n
	return nil
}
