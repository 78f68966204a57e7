package pipeline

import (
	"fmt"
	"slices"
	"time"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/pipeline/batch"
	"github.com/varvedb/varve/pipeline/record"
	"github.com/varvedb/varve/pipeline/step"
	"github.com/varvedb/varve/source"
)

// Explanation is what a pipeline would do with a message.
type Explanation struct {
	Message int // from 0
	// Why it is refused as a whole; nil if it is not.
	Refused *record.Refusal
	Records []Story
}

// Story is what a pipeline would do with a record.
type Story struct {
	Decoded string // as line protocol
	Steps   []StepStory
	// Refused or Dropped say that, where and why it ended before the sinks.
	Refused, Dropped *Ending
	Deleted          bool
	Stored           []string // the point of each store, as line protocol
	Passed           []string // what would be passed on, as JSON
}

// StepStory is what a step would do.
type StepStory struct {
	Name    string
	Outcome step.Outcome
	Changes []string
}

// Ending is where and why a record ends.
type Ending struct {
	Place string
	record.Refusal
}

// Explainer runs a pipeline on samples, without its source and sinks. Steps that
// remember begin with nothing, and go on from sample to sample.
type Explainer struct {
	d      *Declaration
	worker *worker
	p      *Pipeline
}

// Explain returns an explainer of d; now is the time of arrival of all samples.
func (d *Declaration) Explain(now func() time.Time) *Explainer {
	p := &Pipeline{name: d.Name, format: d.Format, now: now, stats: new(counters)}
	for _, s := range d.Steps {
		p.steps = append(p.steps, s.Anew())
	}
	return &Explainer{d, p.newWorker(), p}
}

// Message explains what would be done with a message.
func (e *Explainer) Message(m *source.Message, n int) Explanation {
	x := Explanation{Message: n}
	w := e.worker
	e.p.begin(w)
	e.p.next(w)
	defer e.p.end(w, 1, source.Result{})
	w.context.Topic, w.context.Client = m.Topic, m.Client
	if w.decoder == nil {
		x.Refused = &record.Refusal{Reason: "no_decoder", Detail: "the source, " + e.d.Kind + ", decodes by itself: there is nothing to try a sample on"}
		return x
	}
	if err := w.decode(m, n); err != nil {
		x.Refused = refusal(err)
		return x
	}
	for i := range w.list.Len() {
		x.Records = append(x.Records, e.record(w.list.At(i), m))
	}
	return x
}

// record tells the story of a record.
func (e *Explainer) record(r *record.Record, m *source.Message) Story {
	w := e.worker
	s := Story{Decoded: line(r, r.Time), Deleted: r.Delete}
	for k := range w.runs {
		before := copyOf(r)
		o := w.runs[k].Apply(w.context, r)
		st := StepStory{Name: e.p.steps[k].Name, Outcome: o}
		end := &Ending{st.Name, record.Refusal{Reason: w.context.Reason, Detail: w.context.Detail}}
		switch o {
		case step.Changed:
			st.Changes = changes(before, r)
		case step.Refuse:
			s.Refused = end
		case step.Drop:
			s.Dropped = end
		}
		s.Steps = append(s.Steps, st)
		if o == step.Refuse {
			w.forget(r)
		}
		if o >= step.Drop {
			return s
		}
	}
	at := w.context.Arrived
	if r.Timed {
		at = r.Time
	}
	for i := range e.d.sinks {
		spec := &e.d.sinks[i]
		if spec.store == nil {
			s.Passed = append(s.Passed, string(spec.encoding.append(nil, r, at, w.context.Arrived)))
			continue
		}
		sw := storeWorker{builder: batch.NewBuilder()}
		o := r
		if !spec.store.plain {
			o = sw.only(r, spec.store.fields)
		}
		if !r.Delete {
			if name := conflict(o); name != "" {
				s.Refused = &Ending{spec.store.Name(), record.Refusal{Reason: reasonName, Detail: name}}
				return s
			}
			sw.builder.Begin(func(_, _ string) column.Type { return 0 })
			if err := sw.builder.Add(o, at, 0); err != nil {
				s.Refused = &Ending{spec.store.Name(), *refusal(err)}
				w.forget(r)
				return s
			}
		}
		s.Stored = append(s.Stored, line(o, at))
	}
	return s
}

// reasonName is why the store refuses a point whose names cannot be.
const reasonName = "name_conflict"

// conflict says which name of r the store would not take, "" if it takes all of
// them: as far as can be told without knowing what is stored already.
func conflict(r *record.Record) string {
	for i := range r.Tags {
		switch key := r.Tags[i].Key; {
		case key == "time":
			return "no tag can be called time"
		case r.Field(key).Type != 0:
			return fmt.Sprintf("%q is both a tag and a field", key)
		}
	}
	if r.Field("time").Type != 0 {
		return "no field can be called time"
	}
	return ""
}

func copyOf(r *record.Record) *record.Record {
	c := *r
	c.Tags, c.Fields = slices.Clone(r.Tags), slices.Clone(r.Fields)
	return &c
}

// changes lists what is different in b.
func changes(a, b *record.Record) []string {
	var all []string
	if a.Measurement != b.Measurement {
		all = append(all, "measurement = "+b.Measurement)
	}
	if a.Time != b.Time || a.Timed != b.Timed {
		all = append(all, "time = "+time.Unix(0, b.Time).UTC().Format(time.RFC3339Nano))
	}
	for _, t := range b.Tags {
		if a.Tag(t.Key) != t.Value {
			all = append(all, "tag "+t.Key+" = "+t.Value)
		}
	}
	for _, t := range a.Tags {
		if b.Tag(t.Key) == "" {
			all = append(all, "without tag "+t.Key)
		}
	}
	for _, f := range b.Fields {
		if a.Field(f.Name) != f.Value {
			all = append(all, f.Name+" = "+shown(f.Value))
		}
	}
	for _, f := range a.Fields {
		if b.Field(f.Name).Type == 0 {
			all = append(all, "without "+f.Name)
		}
	}
	return all
}

func shown(v record.Value) string {
	if v.Type == column.String {
		return fmt.Sprintf("%q", v.Str)
	}
	return v.Text()
}
