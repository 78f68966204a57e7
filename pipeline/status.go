package pipeline

import (
	"slices"
	"sort"

	"github.com/varvedb/varve/pipeline/detect"
	"github.com/varvedb/varve/source"
)

// Status is how a pipeline fares.
type Status struct {
	Name   string
	Source string // its kind
	source.Status
	// Messages came in, of which Records were made. Stored went through all sinks,
	// Dropped were left out on purpose, Refused were kept with their reason.
	Messages, Records, Stored, Dropped, Refused uint64
	// Failures is how often messages could not be taken and were handed over again.
	Failures uint64
	Steps    []StepStatus
	// Events are what the source counts beyond these.
	Events []source.Count
}

// StepStatus is what a step, the decoder or a sink did.
type StepStatus struct {
	Name                              string
	Passed, Changed, Dropped, Refused uint64
	Reasons                           []ReasonCount // of dropped and refused
	// Memory is how full the state of a step is that remembers; nil: it does not.
	Memory *detect.Stats
}

// ReasonCount is how often a reason was given.
type ReasonCount struct {
	Reason string
	Count  uint64
}

// Status returns how all pipelines fare, in the order of the file.
func (s *Set) Status() []Status {
	s.mu.Lock()
	all := slices.Clone(s.running)
	s.mu.Unlock()
	out := make([]Status, 0, len(all))
	for _, r := range all {
		out = append(out, r.status())
	}
	return out
}

func (r *running) status() Status {
	st := Status{Name: r.name, Source: r.kind, Status: r.source.Status()}
	if t := r.trouble.Load(); t != nil {
		st.Connected, st.Trouble = false, *t
	}
	r.mu.Lock()
	p := r.current.Pipeline
	r.mu.Unlock()
	c := p.stats
	st.Messages, st.Records, st.Stored = c.messages.Load(), c.records.Load(), c.stored.Load()
	st.Dropped, st.Refused, st.Failures = c.dropped.Load(), c.refused.Load(), c.failures.Load()
	st.Steps = p.stepStatus()
	if c, ok := r.source.(source.Counter); ok {
		st.Events = c.Counts()
	}
	return st
}

// stepStatus lists decoder, steps and sinks.
func (p *Pipeline) stepStatus() []StepStatus {
	places := map[string][]ReasonCount{}
	p.stats.mu.Lock()
	passed := map[string]uint64{}
	for key, n := range p.stats.places {
		if key[1] == "" {
			passed[key[0]] = n
		} else {
			places[key[0]] = append(places[key[0]], ReasonCount{key[1], n})
		}
	}
	p.stats.mu.Unlock()
	var all []StepStatus
	place := func(name string) {
		st := StepStatus{Name: name, Passed: passed[name], Reasons: sorted(places[name])}
		for _, r := range st.Reasons {
			st.Refused += r.Count
		}
		all = append(all, st)
	}
	if p.format != nil || len(places[placeDecode]) > 0 { // a source that brings points decodes itself
		place(placeDecode)
	}
	for _, s := range p.steps {
		c := s.Counts()
		st := StepStatus{Name: s.Name, Passed: c.Passed, Changed: c.Changed, Dropped: c.Dropped, Refused: c.Refused}
		for reason, n := range c.Reasons {
			st.Reasons = append(st.Reasons, ReasonCount{reason, n})
		}
		st.Reasons, st.Memory = sorted(st.Reasons), s.Memory()
		all = append(all, st)
	}
	for _, s := range p.sinks {
		place(s.Name())
	}
	return all
}

func sorted(all []ReasonCount) []ReasonCount {
	sort.Slice(all, func(i, j int) bool { return all[i].Reason < all[j].Reason })
	return all
}
