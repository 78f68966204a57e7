package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/source"
)

// Parts are what pipelines stand on.
type Parts struct {
	Store Store
	Log   *slog.Logger
	Now   func() time.Time
	// Memory is how many bytes the records that are under way should take, of all
	// pipelines together; 0 for as many as are useful.
	Memory int64
}

// Set runs pipelines with their sources and changes them while they run. Its
// methods are safe for concurrent use.
type Set struct {
	parts Parts
	last  *atomic.Int64 // time of the last point of a refused message

	changing sync.Mutex // held while pipelines are started, changed and stopped; before mu

	mu      sync.Mutex // guards what follows
	running []*running
	closed  bool
}

// NewSet returns a set that runs nothing yet.
func NewSet(parts Parts) *Set { return &Set{parts: parts, last: new(atomic.Int64)} }

// running is a pipeline under way. It is the intake of its source, which stays
// when what is behind it changes.
type running struct {
	name    string
	kind    string
	source  source.Source
	log     *slog.Logger
	cancel  context.CancelFunc
	done    chan struct{}
	release func()                 // gives up what the source holds for its senders (source.Holder); not nil
	trouble atomic.Pointer[string] // why the source does not run; nil if it does

	mu          sync.Mutex // guards what follows
	declaration *Declaration
	current     *inUse
}

// inUse is a pipeline and who uses it.
type inUse struct {
	*Pipeline
	ctx    context.Context // ends when those who still use it have to give up
	cancel context.CancelFunc
	users  sync.WaitGroup
}

func newInUse(p *Pipeline) *inUse {
	ctx, cancel := context.WithCancel(context.Background())
	return &inUse{Pipeline: p, ctx: ctx, cancel: cancel}
}

// drainTime is how long what is under way in a pipeline that was changed may take
// to end; then it is handed over again, to the new one.
const drainTime = 5 * time.Second

// retire waits for those who use u, and lets go of it.
func (u *inUse) retire() error {
	timer := time.AfterFunc(drainTime, u.cancel)
	u.users.Wait()
	timer.Stop()
	u.cancel()
	return u.Pipeline.Close()
}

// use returns the present pipeline until done is called.
func (r *running) use(ctx context.Context) (p *inUse, _ context.Context, done func()) {
	r.mu.Lock()
	p = r.current
	p.users.Add(1)
	r.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(p.ctx, cancel)
	return p, ctx, func() {
		stop()
		cancel()
		p.users.Done()
	}
}

// Take implements source.Intake.
func (r *running) Take(ctx context.Context, messages []source.Message) (source.Result, error) {
	p, ctx, done := r.use(ctx)
	defer done()
	result, err := p.Take(ctx, messages)
	return result, changed(p, err)
}

// TakeBatch implements source.Intake.
func (r *running) TakeBatch(ctx context.Context, bucket uint64, b *column.Batch, m *source.Message) (source.Result, error) {
	p, ctx, done := r.use(ctx)
	defer done()
	result, err := p.TakeBatch(ctx, bucket, b, m)
	return result, changed(p, err)
}

// changed makes of an error that came because p was changed one that lets the
// source hand over again.
func changed(p *inUse, err error) error {
	if err != nil && p.ctx.Err() != nil {
		return &source.BusyError{Reason: "the pipeline was changed", Err: err}
	}
	return err
}

// build opens what a declaration names, and takes over the decoder and the steps of
// before that are the same, with what they remember and have counted.
func (s *Set) build(d, before *Declaration, stats *counters) (_ *Pipeline, err error) {
	p := &Pipeline{name: d.Name, format: d.Format, steps: d.Steps, now: s.parts.Now, stats: stats,
		workers: newWorkers()}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("pipeline %s: %w", d.Name, err), p.Close())
		}
	}()
	if before != nil {
		for i := 0; i < min(len(d.stepTexts), len(before.stepTexts)) && d.stepTexts[i] == before.stepTexts[i]; i++ {
			if i == 0 { // the decoder
				d.Format, p.format = before.Format, before.Format
			} else {
				d.Steps[i-1] = before.Steps[i-1]
			}
		}
	}
	p.dead = append(p.dead, &deadBucket{store: s.parts.Store, org: d.dead.org, bucket: d.dead.bucket, last: s.last})
	if d.dead.open != nil {
		producer, err := d.dead.open()
		if err != nil {
			return nil, fmt.Errorf("dead_letter: %w", err)
		}
		p.dead = append(p.dead, &deadTopic{producer, s.parts.Log.With("pipeline", d.Name)})
	}
	for i := range d.sinks {
		spec := &d.sinks[i]
		if spec.store != nil {
			sink := &storeSink{store: s.parts.Store, org: spec.store.org, bucket: spec.store.bucket, fields: spec.store.fields, plain: spec.store.plain}
			if _, err := sink.target(0); err != nil {
				s.parts.Log.Warn("a pipeline cannot store as it is; its messages will wait", "pipeline", d.Name, "sink", sink.Name(), "err", err)
			}
			p.sinks = append(p.sinks, sink)
			continue
		}
		producer, err := spec.open()
		if err != nil {
			return nil, fmt.Errorf("sink %s: %w", spec.name, err)
		}
		p.sinks = append(p.sinks, &forwardSink{name: spec.name, encoding: spec.encoding, producer: producer})
	}
	return p, nil
}

// change is what Apply does to one pipeline.
type change struct {
	declaration *Declaration
	have        *running // nil: it is new
	pipeline    *Pipeline
	source      source.Source // nil: that of have stays
	release     func()        // of what source holds; nil if it holds nothing
}

// Apply runs what f declares instead of what ran before. What is the same goes on;
// where only the rules have changed, the source goes on and hands over to the new
// ones. If something cannot be opened nothing changes.
func (s *Set) Apply(f *File) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	s.mu.Lock()
	have := map[string]*running{}
	for _, r := range s.running {
		have[r.name] = r
	}
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return errors.New("the server stops")
	}

	// 1. Open everything that is new.
	var changes []*change
	for _, d := range f.Pipelines {
		c := &change{declaration: d, have: have[d.Name]}
		changes = append(changes, c)
		if err := s.prepare(c); err != nil {
			for _, c := range changes {
				if c.pipeline != nil {
					err = errors.Join(err, c.pipeline.Close())
				}
			}
			return err
		}
		delete(have, d.Name)
	}

	// 2. From here on nothing can fail. Divide the memory anew. What comes for a new
	// source waits for it.
	for _, c := range changes {
		p := c.pipeline
		if p == nil {
			c.have.mu.Lock()
			p = c.have.current.Pipeline
			c.have.mu.Unlock()
		}
		p.workers.share(s.parts.Memory, len(changes))
		if h, ok := c.source.(source.Holder); ok {
			c.release = h.Hold()
		}
	}

	// 3. Put new rules in the place of those of before, and stop what is gone and the
	// sources that another takes the place of. All at once, so that none is without
	// a source, or a sink, for as long as a slow one takes.
	var all, gone []*running
	var retiring, stopping sync.WaitGroup
	for _, r := range have {
		gone = append(gone, r)
	}
	for _, c := range changes {
		switch {
		case c.pipeline == nil:
		case c.source == nil:
			retiring.Go(func() { s.exchange(c) })
		case c.have != nil:
			gone = append(gone, c.have)
		}
	}
	for _, r := range gone {
		stopping.Go(r.stop)
	}
	stopping.Wait()

	// 4. Start the new sources.
	for _, c := range changes {
		if c.source == nil {
			all = append(all, c.have)
		} else {
			all = append(all, s.start(c))
		}
	}
	s.mu.Lock()
	s.running = all
	s.mu.Unlock()
	for _, r := range gone {
		r.release()
	}
	retiring.Wait()
	return nil
}

// prepare opens what c needs.
func (s *Set) prepare(c *change) (err error) {
	var before *Declaration
	same, stats := false, new(counters)
	if c.have != nil {
		c.have.mu.Lock()
		before, stats = c.have.declaration, c.have.current.stats
		c.have.mu.Unlock()
		if before.text == c.declaration.text {
			return nil
		}
		same = before.sourceText == c.declaration.sourceText
	}
	if c.pipeline, err = s.build(c.declaration, before, stats); err != nil {
		return err
	}
	if same {
		return nil
	}
	if c.source, err = c.declaration.Source.Open(c.declaration.Name); err != nil {
		return fmt.Errorf("pipeline %s: source %s: %w", c.declaration.Name, c.declaration.Kind, err)
	}
	return nil
}

// exchange puts the pipeline of c behind the source that stays, and waits for
// those who use the one of before.
func (s *Set) exchange(c *change) {
	old := c.have.swap(c.declaration, c.pipeline)
	s.parts.Log.Info("pipeline is changed", "pipeline", c.declaration.Name)
	if err := old.retire(); err != nil {
		s.parts.Log.Warn("a sink that is not used any more did not close", "pipeline", c.declaration.Name, "err", err)
	}
}

// start runs the source of c.
func (s *Set) start(c *change) *running {
	r := &running{name: c.declaration.Name, kind: c.declaration.Kind, source: c.source, declaration: c.declaration, release: c.release,
		current: newInUse(c.pipeline), done: make(chan struct{}), log: s.parts.Log.With("pipeline", c.declaration.Name)}
	if r.release == nil {
		r.release = func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go r.run(ctx)
	s.parts.Log.Info("pipeline is started", "pipeline", r.name, "source", r.kind)
	return r
}

// swap puts a pipeline in the place of the present one, which it returns.
func (r *running) swap(d *Declaration, p *Pipeline) *inUse {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.current
	r.declaration, r.current = d, newInUse(p)
	return old
}

// The waits between two tries to run a source.
const (
	firstWait = time.Second
	lastWait  = 30 * time.Second
)

// run runs the source until ctx ends. One that fails is tried again: what is
// wrong may be put right without a change of the file.
func (r *running) run(ctx context.Context) {
	defer close(r.done)
	for wait := firstWait; ; wait = min(2*wait, lastWait) {
		err := r.source.Run(ctx, r)
		if ctx.Err() != nil {
			return
		}
		text := "the source ended"
		if err != nil {
			text = err.Error()
		}
		r.trouble.Store(&text)
		r.log.Error("source does not run", "source", r.kind, "err", text, "again_in", wait)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		r.trouble.Store(nil)
	}
}

// stop ends the source, then lets go of the pipeline.
func (r *running) stop() {
	r.cancel()
	<-r.done
	r.mu.Lock()
	p := r.current
	r.mu.Unlock()
	if err := p.retire(); err != nil {
		r.log.Warn("a sink did not close", "err", err)
	}
}

// Close stops all sources and lets go of all sinks. What sources hold for their
// senders stays held: nothing is to go past the rules while the server stops.
func (s *Set) Close() {
	s.changing.Lock()
	defer s.changing.Unlock()
	s.mu.Lock()
	all := s.running
	s.running, s.closed = nil, true
	s.mu.Unlock()
	var wait sync.WaitGroup
	for _, r := range all {
		wait.Go(r.stop)
	}
	wait.Wait()
}
