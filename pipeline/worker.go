package pipeline

import (
	"context"
	"runtime"
	"sync"

	"github.com/varvedb/varve/pipeline/decode"
	"github.com/varvedb/varve/pipeline/record"
	"github.com/varvedb/varve/pipeline/step"
	"github.com/varvedb/varve/source"
)

// What comes in one call is handled in parts, so that records take little memory
// whatever they are made of: three bytes of JSON can be a record, which takes a
// hundred times as much.
const (
	// smallPart and largePart are how many records are under way in a call at once,
	// but for those of the message with which the number is reached.
	smallPart = 4 << 10
	largePart = 32 << 10
	// smallMessages and smallBytes bound the calls that make do with a small part.
	smallMessages = smallPart / 4
	smallBytes    = 256 << 10
	// maxMessageRecords is how many records a message may make: more than the
	// lines of the largest.
	maxMessageRecords = 128 << 10
	// recordBytes is what a record takes, more or less.
	recordBytes = 320
)

// worker is what one call of Take takes.
type worker struct {
	context *step.Context
	decoder decode.Decoder
	small   record.List
	list    *record.List // small, or a large one of the pipeline
	part    int          // after how many records they are passed on
	live    []int
	runs    []step.Run
	refused []Refused
	total   int // of refused, those that are not listed included
	behind  int // of them behind the decoder
	records int // of the parts that are safe
	tally   []tally
	lines   liner
	gone    []int           // records that sinks refused
	points  *source.Message // that a batch came with
	size    int             // bytes of refused points of it
	reason  string          // why the source left out the first of what it left out
}

// tally is what is to be counted when a call is safe.
type tally struct {
	place, reason string // reason "": passed
	n             uint64
}

// count notes that n were refused at a place that is no step, or, without a
// reason, passed it.
func (w *worker) count(place, reason string, n int) {
	for i := range w.tally {
		if t := &w.tally[i]; t.place == place && t.reason == reason {
			t.n += uint64(n)
			return
		}
	}
	w.tally = append(w.tally, tally{place, reason, uint64(n)})
}

// workers are those of a pipeline that do nothing at the moment.
type workers struct {
	small chan *worker
	large chan *record.List // nil where one was let go of

	mu    sync.Mutex // guards what follows
	lists int        // large ones, those in use included
	debt  int        // of those in use, how many are not wanted back
}

// mostLists is how many large lists keep the processors busy while others wait for
// the disk.
func mostLists() int { return 2*runtime.GOMAXPROCS(0) + 2 }

func newWorkers() *workers {
	return &workers{small: make(chan *worker, maxIdleWorkers), large: make(chan *record.List, mostLists())}
}

// share sets how many large lists there are to those of one of so many pipelines,
// which have memory bytes for records together; 0 for as much as is useful.
func (w *workers) share(memory int64, pipelines int) {
	most := cap(w.large)
	if memory > 0 {
		most = int(max(1, min(int64(most), memory/int64(pipelines)/(largePart*recordBytes))))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for ; w.lists < most; w.lists++ {
		if w.debt > 0 {
			w.debt--
		} else {
			w.large <- nil // there is room: no more than cap are there
		}
	}
	for ; w.lists > most; w.lists-- {
		select {
		case <-w.large:
		default:
			w.debt++
		}
	}
}

// giveBack takes a large list back.
func (w *workers) giveBack(l *record.List) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.debt > 0 {
		w.debt--
		return
	}
	w.large <- l // there is room
}

// newWorker returns a worker that is good for a small part.
func (p *Pipeline) newWorker() *worker {
	w := &worker{context: step.NewContext(), part: smallPart}
	w.list = &w.small
	if p.format != nil {
		w.decoder = p.format.Decoder()
		w.context.TimeName = p.format.Names().Time
	}
	return w
}

// take returns a worker for a call of so many messages or rows with so many bytes.
// If it is large it waits until there is memory for it.
func (p *Pipeline) take(ctx context.Context, messages, bytes int) (*worker, error) {
	var w *worker
	select {
	case w = <-p.workers.small:
	default:
		w = p.newWorker()
	}
	w.list, w.part, w.size = &w.small, smallPart, 0
	if messages <= smallMessages && bytes <= smallBytes {
		return w, nil
	}
	select {
	case w.list = <-p.workers.large:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if w.part = largePart; w.list == nil {
		w.list = new(record.List)
	}
	return w, nil
}

// give takes a worker back, without the memory that few calls need.
func (p *Pipeline) give(w *worker) {
	if w.list != &w.small {
		if w.list.Cap() > 2*largePart {
			w.list = nil
		}
		p.workers.giveBack(w.list)
		w.list = nil
	}
	if w.small.Cap() > 2*smallPart {
		w.small = record.List{}
	}
	if cap(w.refused) > 2*smallPart {
		w.refused = nil
	}
	if cap(w.live) > 2*largePart {
		w.live = nil
	}
	clear(w.refused)
	w.points, w.lines.record = nil, record.Record{}
	select {
	case p.workers.small <- w:
	default:
	}
}

// begin makes w ready for a call: what steps remember of it they do when all of it is
// safe, since all of it comes again if some is not.
func (p *Pipeline) begin(w *worker) {
	w.runs, w.tally, w.records = w.runs[:0], w.tally[:0], 0
	for _, s := range p.steps {
		w.runs = append(w.runs, s.Begin())
	}
}

// next makes w ready for the next part of a call.
func (p *Pipeline) next(w *worker) {
	w.list.Reset()
	w.live, w.refused, w.gone = w.live[:0], w.refused[:0], w.gone[:0]
	w.total, w.behind, w.reason = 0, 0, ""
	now := p.now()
	w.context.Now, w.context.Arrived = now, now.UnixNano()
}

// forget tells the steps that r was refused.
func (w *worker) forget(r *record.Record) {
	for k := range w.runs {
		w.runs[k].Forget(r)
	}
}

// end ends a call of which all is safe, and counts what became of it.
func (p *Pipeline) end(w *worker, messages int, result source.Result) {
	for k := range w.runs {
		w.runs[k].End(true)
	}
	p.stats.add(messages, w.records, result, w.tally)
}

// fail ends a call of which some is not safe: all of it comes again, and is counted
// then.
func (p *Pipeline) fail(w *worker) {
	for k := range w.runs {
		w.runs[k].End(false)
	}
	p.stats.failures.Add(1)
}

// full reports whether a part is as large as it should become.
func (w *worker) full() bool { return w.list.Len() >= w.part || len(w.refused) >= w.part }
