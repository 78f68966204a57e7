package mqtt

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/varvedb/varve/pipeline/declare"
	"github.com/varvedb/varve/protocol/topic"
	"github.com/varvedb/varve/source"
)

// slot is the place of a pipeline in the broker. It is there for as long as a
// source holds it, whether one runs or not, so that a pipeline that is replaced
// loses nothing: what comes in between waits in the lanes.
type slot struct {
	name  string
	lanes []*lane
	used  atomic.Int64 // bytes that wait in them

	// Guarded by Broker.routing.
	holders []*Source // each as often as it holds the slot; never empty
	filters []string  // of all holders

	mu      sync.Mutex    // guards what is below
	now     *occupant     // nil: vacant
	changed chan struct{} // closed when the occupant changes or the slot is retired
	retired bool
	busy    string // why the intake takes nothing at the moment; "" if it does
	told    bool   // the log has been told that it takes nothing
	toldAt  time.Time
	idle    *sync.Cond
}

// occupant is the intake of a pipeline that runs.
type occupant struct {
	owner  *Source
	intake source.Intake
	ctx    context.Context // of calls
	calls  int             // under way; guarded by slot.mu
}

// begin returns the occupant for a call of its intake, which is noted; if there
// is none, wait is what to wait for.
func (s *slot) begin() (o *occupant, wait <-chan struct{}, retired bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now == nil {
		return nil, s.changed, s.retired
	}
	s.now.calls++
	return s.now, nil, false
}

func (s *slot) end(o *occupant, trouble string) {
	s.mu.Lock()
	o.calls--
	s.busy = trouble
	if o.calls == 0 {
		s.idle.Broadcast()
	}
	s.mu.Unlock()
}

// tell reports whether it is news for the log that the intake takes nothing, or
// that it takes again: the first once a minute while it lasts.
func (s *slot) tell(takes bool, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if takes {
		was := s.told
		s.told = false
		return was
	}
	if now.Sub(s.toldAt) < seldomEvery {
		return false
	}
	s.told, s.toldAt = true, now
	return true
}

// occupy puts another intake in place.
func (s *slot) occupy(o *occupant) {
	s.mu.Lock()
	s.now, s.busy = o, ""
	close(s.changed)
	s.changed = make(chan struct{})
	s.mu.Unlock()
}

// vacate lets no further call of an intake begin, and waits for those under way;
// cancel is called when that takes too long.
func (s *slot) vacate(o *occupant, cancel context.CancelFunc) {
	late := time.AfterFunc(vacateGrace, cancel)
	defer late.Stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now == o {
		s.now = nil
	}
	for o.calls > 0 {
		s.idle.Wait()
	}
}

// vacateGrace is how long a call of an intake may take to end when its pipeline
// stops: a commit, or a few.
const vacateGrace = 5 * time.Second

// SourceConfig is what a pipeline reads of the broker.
type SourceConfig struct {
	Topics []string // filters
}

// DeclareSource reads the section of a pipeline's source. Topics may be written
// as filters or as templates.
func DeclareSource(s *declare.Map) SourceConfig {
	var c SourceConfig
	for _, text := range s.Strings("topics") {
		f := text
		if strings.Contains(f, "{") {
			t, err := topic.Parse(f)
			if err != nil {
				s.Fail("topics", "%v", err)
				continue
			}
			f = t.Filter()
		}
		if err := topic.CheckFilter(f); err != nil {
			s.Fail("topics", "%v", err)
		} else if group, _, _ := topic.Shared(f); group != "" {
			s.Fail("topics", "%q: a pipeline has all messages of a topic; write the filter without $share and group", text)
		}
		c.Topics = append(c.Topics, f)
	}
	if len(c.Topics) == 0 {
		s.Fail("topics", "is missing: write filters of topics, such as [\"plant/+/line/+/#\"]")
	}
	return c
}

// Source is what a pipeline reads: it implements source.Source.
type Source struct {
	broker *Broker
	name   string
	config SourceConfig
	slot   atomic.Pointer[slot] // nil: there is none before Run
}

// Source makes the source of a pipeline. Another one of the same name replaces
// it, when that one holds the place or runs, without the loss of a message,
// whether the first has ended by then or not. One that neither holds nor runs
// has no effect: Run may never come, as other pipelines of the same file may not
// open.
func (b *Broker) Source(name string, c SourceConfig) *Source {
	return &Source{broker: b, name: name, config: c}
}

// Hold implements source.Holder. Messages of the source's topics wait in its
// place. From then on a source that runs there is handed no more of them: they
// are for the one that follows. While both hold the place, so do the topics of
// both: a topic that goes from one pipeline to another is nobody's at no time.
func (s *Source) Hold() (release func()) {
	s.broker.routing.Lock()
	defer s.broker.routing.Unlock()
	at := s.broker.place(s)
	at.freeze(s)
	return sync.OnceFunc(func() { s.broker.giveUp(s, at) })
}

// slotOf returns the slot of a name; nil if there is none. Broker.routing is
// held.
func (b *Broker) slotOf(name string) *slot {
	for _, s := range *b.slots.Load() {
		if s.name == name {
			return s
		}
	}
	return nil
}

// place returns the slot of a source, made if there is none, which the source
// holds until it gives it up. Broker.routing is held.
func (b *Broker) place(source *Source) *slot {
	s := b.slotOf(source.name)
	if s == nil {
		s = &slot{name: source.name, changed: make(chan struct{})}
		s.idle = sync.NewCond(&s.mu)
		// One lane decodes while another waits for the disk; more would make commits
		// smaller.
		for range max(2, runtime.GOMAXPROCS(0)) {
			l := newLane(b, s)
			s.lanes = append(s.lanes, l)
			b.lanes.Go(l.run)
		}
		all := append(slices.Clone(*b.slots.Load()), s)
		b.slots.Store(&all)
		b.room.divide(len(all))
	}
	s.holders = append(s.holders, source)
	s.refilter()
	source.slot.Store(s)
	b.changed()
	return s
}

// giveUp ends what place began. A slot that nobody holds is removed; what waits in
// it is not acknowledged (lane.forsake).
func (b *Broker) giveUp(source *Source, s *slot) {
	b.routing.Lock()
	defer b.routing.Unlock()
	i := slices.Index(s.holders, source)
	s.holders = slices.Delete(s.holders, i, i+1)
	s.refilter()
	if len(s.holders) == 0 {
		s.mu.Lock()
		s.retired = true
		close(s.changed)
		s.mu.Unlock()
		left := slices.DeleteFunc(slices.Clone(*b.slots.Load()), func(o *slot) bool { return o == s })
		b.slots.Store(&left)
		b.room.divide(len(left))
		b.log.Info("a pipeline that read from MQTT is gone", "pipeline", s.name)
	}
	b.changed()
}

// refilter lists the topics of the holders. Broker.routing is held.
func (s *slot) refilter() {
	s.filters = nil
	for _, h := range s.holders {
		for _, f := range h.config.Topics {
			if !slices.Contains(s.filters, f) {
				s.filters = append(s.filters, f)
			}
		}
	}
}

// freeze lets no further call begin of an intake that is not next's.
func (s *slot) freeze(next *Source) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now != nil && s.now.owner != next {
		s.now = nil
	}
}

// Run implements source.Source.
func (s *Source) Run(ctx context.Context, intake source.Intake) error {
	calls, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	o := &occupant{owner: s, intake: intake, ctx: calls}
	s.broker.routing.Lock()
	at := s.broker.place(s)
	at.occupy(o)
	s.broker.routing.Unlock()
	<-ctx.Done()
	at.vacate(o, cancel)
	s.broker.giveUp(s, at)
	return nil
}

// Status implements source.Source.
func (s *Source) Status() source.Status {
	at := s.slot.Load()
	if at == nil {
		return source.Status{}
	}
	waiting := 0
	for _, l := range at.lanes {
		waiting += l.waiting()
	}
	at.mu.Lock()
	defer at.mu.Unlock()
	runs := at.now != nil && at.now.owner == s
	return source.Status{Connected: runs && !s.broker.stopping.Load(), Trouble: at.busy, Lag: int64(waiting)}
}

// changed lets connections look up anew who reads a topic and who may publish to
// it, those that wait for room too.
func (b *Broker) changed() {
	b.generation.Add(1)
	b.room.wake()
}

// routes returns the slots that read a topic.
func (b *Broker) routes(name string) []*slot {
	b.routing.Lock()
	defer b.routing.Unlock()
	var all []*slot
	for _, s := range *b.slots.Load() {
		if slices.ContainsFunc(s.filters, func(f string) bool { return topic.Matches(f, name) }) {
			all = append(all, s)
		}
	}
	return all
}

// laneOf is the lane of a client: always the same, so that its messages stay in
// order.
func (s *slot) laneOf(client string) *lane {
	h := fnv.New32a()
	io.WriteString(h, client) // never fails
	return s.lanes[h.Sum32()%uint32(len(s.lanes))]
}

// trouble words an error of an intake for people.
func trouble(err error) string {
	var busy *source.BusyError
	if errors.As(err, &busy) {
		return busy.Reason
	}
	return fmt.Sprint(err)
}
