package kafka

import (
	"bytes"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// sameTimes is how often a batch whose checksum is wrong has to come just so before it is
// passed over: what a network did to it goes otherwise the next time. Between the
// fetches are 1, 2, 4 and 8 times examineAgain.
const sameTimes = 5

// lookAgain is how often a batch is fetched once more where unreadable ones stop a
// partition: another replica may lead meanwhile, or the topic not keep it any longer.
const lookAgain = 30 * time.Second

// suspects are the partitions of which the client says that it cannot read what comes
// next, or of which nothing came for too long. The examiner looks at them, and the poller
// does what follows from what was found. It is safe for concurrent use.
type suspects struct {
	again time.Duration // before the second fetch

	mu      sync.Mutex // guards what follows, and suspects
	all     map[place]*suspect
	planned chan struct{} // has a place in it when one is to be examined
}

// suspect is a partition that may not be readable.
type suspect struct {
	place
	// large is what the client said of a batch that unpacks to too much.
	large *kgo.ErrDecompressTooLarge
	// held: nothing is read of it until it is clear what there is.
	held bool
	// due is when it is examined; zero: not, because it was.
	due  time.Time
	wait time.Duration
	// found is what was found from the offset from on, done that it is certain.
	found finding
	from  int64
	done  bool
	// same is how often the batch came just so.
	same int
	// stopped: it stands still because the declaration says so.
	stopped bool
	// cleared: nothing was wrong when it was examined. It stays here until messages come,
	// so that one who is suspected again and again is examined at growing distances.
	cleared bool
	// what is in the way, "" as long as that is not known.
	trouble string
}

func newSuspects(again time.Duration) *suspects {
	return &suspects{again: again, all: map[place]*suspect{}, planned: make(chan struct{}, 1)}
}

// add notes a partition that cannot be read.
func (s *suspects) add(at place, large *kgo.ErrDecompressTooLarge, held bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.all[at]
	switch {
	case o == nil:
		o = &suspect{place: at, wait: s.again}
		s.all[at] = o
		s.examineAt(o, time.Now())
	case o.cleared:
		o.cleared = false
		s.later(o)
	default:
		o.held = o.held || held
		if large != nil {
			o.large = large
		}
		return
	}
	o.large, o.held = large, held
}

// examineAt lets the examiner know when it is to look at o.
func (s *suspects) examineAt(o *suspect, t time.Time) {
	o.due = t
	select {
	case s.planned <- struct{}{}:
	default:
	}
}

// later puts off the next look at o.
func (s *suspects) later(o *suspect) {
	s.examineAt(o, time.Now().Add(o.wait))
	o.wait = min(2*o.wait, lookAgain)
}

// read notes that messages of a partition came.
func (s *suspects) read(at place) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.all[at]; o != nil && !o.held {
		delete(s.all, at)
	}
}

// forget drops partitions that went.
func (s *suspects) forget(places map[string][]int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for topic, all := range places {
		for _, n := range all {
			delete(s.all, place{topic, n})
		}
	}
}

// next returns a partition that is to be examined, as far as it is known, or after which
// time one is.
func (s *suspects) next() (o *suspect, large *kgo.ErrDecompressTooLarge, wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	wait = time.Hour
	for _, o := range s.all {
		if o.due.IsZero() {
			continue
		}
		until := time.Until(o.due)
		if until <= 0 {
			return o, o.large, 0
		}
		wait = min(wait, until)
	}
	return nil, nil, wait
}

// note notes what was found of o from an offset on.
func (s *suspects) note(o *suspect, from int64, f finding, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	same := f.batch != nil && o.found.batch != nil && o.from == from && bytes.Equal(f.batch.raw, o.found.batch.raw)
	o.found, o.from, o.due = f, from, time.Time{}
	switch {
	case err != nil:
		o.trouble = fmt.Sprintf("read %v: %v", o.place, err)
		s.later(o)
		return
	case f.batch == nil:
		o.done = true
		return
	case f.next < 0:
		o.trouble = fmt.Sprintf("read %v: %v: %s; where it ends will be known when another batch is behind it", o.place, f.batch, f.why)
		s.later(o)
		return
	}
	o.trouble = fmt.Sprintf("read %v: %v: %s", o.place, f.batch, f.why)
	if o.same++; !same {
		o.same = 1
	}
	if !f.batch.sound && o.same < sameTimes {
		s.later(o)
		return
	}
	o.done = true
}

// verdict is what is certain of a suspect.
type verdict struct {
	of *suspect
	place
	from  int64
	found finding
	held  bool
	// stopped: it was so before, and stands still for it.
	stopped bool
}

// settled returns those of which it is certain what there is.
func (s *suspects) settled() []verdict {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []verdict
	for _, o := range s.all {
		if o.done {
			all = append(all, verdict{o, o.place, o.from, o.found, o.held, o.stopped})
		}
	}
	return all
}

// stop lets a partition stand still. What is in the way is fetched again now and then.
func (s *suspects) stop(v verdict) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v.of.done, v.of.stopped = false, true
	s.examineAt(v.of, time.Now().Add(lookAgain))
}

// clear notes that nothing is wrong any more.
func (s *suspects) clear(v verdict) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := v.of
	o.done, o.held, o.stopped, o.cleared = false, false, false, true
	o.trouble, o.same, o.found, o.due, o.large = "", 0, finding{}, time.Time{}, nil
}

// redo has one looked at again, because reading of it is elsewhere now.
func (s *suspects) redo(v verdict) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v.of.done = false
	s.later(v.of)
}

// drop forgets one.
func (s *suspects) drop(v verdict) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all[v.place] == v.of {
		delete(s.all, v.place)
	}
}

// text tells of one of them, and how many there are.
func (s *suspects) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	what, n := "", 0
	for _, o := range s.all {
		if o.trouble == "" {
			continue
		}
		if n++; what == "" || o.stopped && o.trouble < what {
			what = o.trouble
		}
	}
	if n > 1 {
		what += fmt.Sprintf(" (and %d others)", n-1)
	}
	return what
}
