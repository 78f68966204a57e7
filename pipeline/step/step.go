// Package step has what a pipeline does to a record between decoder and sinks:
// checks, changes, tags. A step is declared as a mapping of its kind to its
// settings,
//
//   - range: {field: value, min: -50, max: 100}
//     when: sensor_type == "temperature"
//     name: temperature range
//
// read once, and then applied to record after record. Each counts what it
// passed, changed, dropped and refused, by reason.
//
// Steps are safe for concurrent use. Those that remember something of a series
// (package detect) bound how much; the others remember nothing.
package step

import (
	"errors"
	"sort"
	"strings"
	"sync"
	"sync/atomic"

	"go.yaml.in/yaml/v4"

	"github.com/varvedb/varve/pipeline/declare"
	"github.com/varvedb/varve/pipeline/detect"
	"github.com/varvedb/varve/pipeline/record"
	"github.com/varvedb/varve/pipeline/rule"
)

// Outcome is what a step did with a record.
type Outcome int

// The outcomes.
const (
	Pass    Outcome = iota // it is as it was
	Changed                // and goes on
	Drop                   // it ends here, on purpose
	Refuse                 // it ends here, and is kept with its reason
)

func (o Outcome) String() string {
	return [...]string{"passed", "changed", "dropped", "refused"}[o]
}

// Context is what applying steps takes; it belongs to one goroutine.
type Context struct {
	*rule.Scratch
	// Arrived is when the messages came, in nanoseconds since 1970.
	Arrived int64
	// Outcome is that of the step that ended the last record; Reason and Detail say
	// why.
	Outcome        Outcome
	Reason, Detail string
}

// NewContext returns an empty one.
func NewContext() *Context { return &Context{Scratch: rule.NewScratch()} }

// refuse notes why a record is refused.
func (c *Context) refuse(reason, detail string) Outcome {
	c.Reason, c.Detail = reason, detail
	return Refuse
}

// reasonRule is why a record is refused for which an expression has no answer.
const reasonRule = "rule_error"

// Step is what a kind does.
type Step interface {
	// Apply looks at r and may change it. If it refuses r, c says why.
	Apply(c *Context, r *record.Record) Outcome
}

// Declared is a step of a pipeline.
type Declared struct {
	Kind string
	Name string // for people and metrics, unique in its pipeline
	when *rule.Rule
	// One of the two: a step that remembers is a detector.
	step     Step
	detector detect.Detector
	counts
}

// counts are what became of records.
type counts struct {
	passed, changed, dropped, refused atomic.Uint64

	mu      sync.Mutex // guards what follows
	reasons map[string]uint64
}

// Counts is what became of the records that a step was applied to.
type Counts struct {
	Passed, Changed, Dropped, Refused uint64
	// Reasons counts the dropped and refused by reason.
	Reasons map[string]uint64
}

// Counts returns what d has done since the start.
func (d *Declared) Counts() Counts {
	c := Counts{Passed: d.passed.Load(), Changed: d.changed.Load(), Dropped: d.dropped.Load(), Refused: d.refused.Load(),
		Reasons: map[string]uint64{}}
	d.mu.Lock()
	defer d.mu.Unlock()
	for reason, n := range d.reasons {
		c.Reasons[reason] = n
	}
	return c
}

// Memory returns how full the state of d is, nil if it remembers nothing.
func (d *Declared) Memory() *detect.Stats {
	if d.detector == nil {
		return nil
	}
	s := d.detector.Stats()
	return &s
}

// Anew returns a step like d that remembers and has counted nothing.
func (d *Declared) Anew() *Declared {
	n := &Declared{Kind: d.Kind, Name: d.Name, when: d.when, step: d.step}
	if d.detector != nil {
		n.detector = d.detector.Anew()
	}
	return n
}

// Run is a step at work on the records of one call. It belongs to one goroutine.
type Run struct {
	*Declared
	pass detect.Pass // of a step that remembers
	// What is not counted yet: it may have to be done again.
	passed, changed, dropped, refused uint64
	reasons                           []reasonCount
}

// reasonCount is how often something was dropped or refused for a reason.
type reasonCount struct {
	reason string
	n      uint64
}

// Begin begins a run, which has to End.
func (d *Declared) Begin() Run {
	r := Run{Declared: d}
	if d.detector != nil {
		r.pass = d.detector.Begin()
	}
	return r
}

// Forget says that a step behind or a sink refused rec.
func (r *Run) Forget(rec *record.Record) {
	if r.pass != nil {
		r.pass.Forget(rec.ID)
	}
}

// End says whether the records are safe: stored and passed on, or kept. Those that
// are not come again, and are counted then.
func (r *Run) End(safe bool) {
	if safe {
		r.Declared.add(r)
	}
	if r.pass != nil {
		r.pass.End(safe)
	}
	*r = Run{}
}

// add counts what a run did.
func (d *Declared) add(r *Run) {
	d.passed.Add(r.passed)
	d.changed.Add(r.changed)
	d.dropped.Add(r.dropped)
	d.refused.Add(r.refused)
	if len(r.reasons) == 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.reasons == nil {
		d.reasons = map[string]uint64{}
	}
	for _, c := range r.reasons {
		d.reasons[c.reason] += c.n
	}
}

// Apply applies the step to a record and counts what became of it.
func (r *Run) Apply(c *Context, rec *record.Record) Outcome {
	o := r.apply(c, rec)
	switch o {
	case Pass:
		r.passed++
	case Changed:
		r.changed++
	case Drop:
		r.dropped++
		r.reason(c.Reason)
	case Refuse:
		r.refused++
		r.reason(c.Reason)
	}
	return o
}

func (r *Run) reason(reason string) {
	for i := range r.reasons {
		if c := &r.reasons[i]; c.reason == reason {
			c.n++
			return
		}
	}
	r.reasons = append(r.reasons, reasonCount{reason, 1})
}

func (r *Run) apply(c *Context, rec *record.Record) Outcome {
	if rec.Delete {
		return Pass // there is no reading to judge
	}
	if r.when != nil {
		yes, err := r.when.Holds(c.Scratch, rec)
		if err != nil {
			return c.refuse(reasonRule, "when: "+err.Error())
		}
		if !yes {
			return Pass
		}
	}
	if r.pass == nil {
		return r.step.Apply(c, rec)
	}
	o := r.pass.Apply(rec, c.Arrived)
	c.Reason, c.Detail = o.Reason, o.Detail
	return outcomes[o.Verdict]
}

// outcomes are the verdicts of detectors.
var outcomes = [...]Outcome{detect.Passed: Pass, detect.Changed: Changed, detect.Dropped: Drop, detect.Refused: Refuse}

// kinds are the steps that there are. Each reads its settings from key of s, and
// changes names to those that records have behind it.
func kinds() map[string]func(s *declare.Map, key string, names *rule.Names) Step {
	return map[string]func(s *declare.Map, key string, names *rule.Names) Step{
		"require":     declareRequire,
		"type":        declareType,
		"range":       declareRange,
		"rule":        declareRule,
		"convert":     declareConvert,
		"rename":      declareRename,
		"set":         declareSet,
		"set_tag":     declareSetTag,
		"measurement": declareMeasurement,
		"remove":      declareRemove,
		"keep":        declareKeep,
		"drop":        declareDrop,
	}
}

// Kinds returns the names of the kinds, sorted.
func Kinds() []string {
	var all []string
	for k := range kinds() {
		all = append(all, k)
	}
	all = append(all, detect.Kinds()...)
	sort.Strings(all)
	return all
}

// Declare reads a step and changes names to those that records have behind it.
func Declare(n *yaml.Node, path string, names *rule.Names) (*Declared, error) {
	s := declare.Section(n, path)
	d := &Declared{Name: s.Text("name", "")}
	if s.Has("when") {
		d.when = expression(s, "when", s.Text("when", ""), rule.Condition, *names)
	}
	before := names.Clone()
	all := kinds()
	for kind, read := range all {
		if !s.Has(kind) {
			continue
		}
		if d.Kind != "" {
			s.Fail(kind, "a step has one kind, and this one is %s already", d.Kind)
			break
		}
		d.Kind = kind
		d.step = read(s, kind, names)
	}
	for _, kind := range detect.Kinds() {
		if !s.Has(kind) {
			continue
		}
		if d.Kind != "" {
			s.Fail(kind, "a step has one kind, and this one is %s already", d.Kind)
			break
		}
		d.Kind = kind
		d.detector = declareDetector(s, kind, names)
	}
	if d.when != nil {
		*names = names.Or(before) // it may have applied, or not
	}
	if d.Name == "" {
		d.Name = d.Kind
	}
	if d.Kind == "" && s.Err() == nil {
		return nil, declare.At(n, path, "a step needs a kind: one of %s", strings.Join(Kinds(), ", "))
	}
	return d, s.Err()
}

// expression compiles the text of a key; what is wrong is noted in s, at its
// place.
func expression(s *declare.Map, key, text string, kind rule.Kind, names rule.Names) *rule.Rule {
	r, err := rule.Compile(text, kind, names)
	if err == nil {
		return r
	}
	var e *rule.Error
	n := s.Node(key)
	if n == nil || !errors.As(err, &e) {
		s.Fail(key, "%s", err)
		return nil
	}
	s.Add(declare.Within(n, s.Path(key), e.Line, e.Column, e.Problem))
	return nil
}
