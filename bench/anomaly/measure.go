// Package anomaly measures the detectors of pipelines on series whose anomalies
// people have labelled. The readings go through the detectors as they do in a
// pipeline: declared in YAML, one record after the other. `varve bench anomaly`
// is its caller.
package anomaly

import (
	"fmt"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/varvedb/varve/pipeline/declare"
	"github.com/varvedb/varve/pipeline/detect"
	"github.com/varvedb/varve/pipeline/record"
)

// Quiet is how long nothing has to be found for the next find to be another
// alarm: what a person who is woken up would call one. With readings every five
// minutes it is twelve of them.
const Quiet = time.Hour

// Candidate is a detector as it is declared in a pipeline.
type Candidate struct {
	Name    string
	Declare string // such as "zscore: {field: value, threshold: 4, flag: found}"
}

// found is the field that a candidate has to set to true for what it finds.
const found = "found"

// Candidates are the detectors that are compared unless others are given: the
// defaults, what textbooks say, and windows of the same hour of other days.
func Candidates() []Candidate {
	return []Candidate{
		{"zscore", "zscore: {field: value, flag: found}"},
		{"zscore of textbooks", "zscore: {field: value, flag: found, window: 100, threshold: 3}"},
		{"zscore by hour", "zscore: {field: value, flag: found, window: 240, threshold: 5, season: 24h, outliers: leave_out}"},
		{"mad", "mad: {field: value, flag: found}"},
		{"mad of textbooks", "mad: {field: value, flag: found, window: 100, threshold: 3.5}"},
		{"mad by hour", "mad: {field: value, flag: found, window: 60, threshold: 12, season: 24h}"},
	}
}

// detector returns the detector of c, which has seen nothing.
func (c *Candidate) detector() (detect.Detector, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(c.Declare), &doc); err != nil {
		return nil, fmt.Errorf("detector %q: %w", c.Declare, err)
	}
	if len(doc.Content) != 1 {
		return nil, fmt.Errorf("detector %q: want one such as zscore: {field: value, flag: found}", c.Declare)
	}
	top := declare.Section(doc.Content[0], "")
	kinds := top.Keys()
	if len(kinds) != 1 {
		return nil, fmt.Errorf("detector %q: want one such as zscore: {field: value, flag: found}", c.Declare)
	}
	s := top.Section(kinds[0])
	d := detect.Declare(kinds[0], s)
	if d == nil {
		return nil, fmt.Errorf("detector %q: there is no detector %s; known are %v", c.Declare, kinds[0], detect.Kinds())
	}
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("detector %q: %w", c.Declare, err)
	}
	if s.Text("flag", "") != found {
		return nil, fmt.Errorf("detector %q: it has to say flag: %s, which is what is counted", c.Declare, found)
	}
	return d, nil
}

// Counts are what a detector found in a series.
type Counts struct {
	// Readings, by whether they lie in a labelled window and whether the detector
	// found them.
	TruePoints, FalsePoints, MissedPoints, QuietPoints int
	// Windows are those labelled, Found those of them with at least one find.
	Windows, Found int
	// Alarms are runs of finds with less than Quiet between two, TrueAlarms those
	// of them with at least one find in a window.
	Alarms, TrueAlarms int
	// Delays has, for each window found, the time from its start to its first find.
	Delays []time.Duration
}

func (c *Counts) add(o Counts) {
	c.TruePoints += o.TruePoints
	c.FalsePoints += o.FalsePoints
	c.MissedPoints += o.MissedPoints
	c.QuietPoints += o.QuietPoints
	c.Windows += o.Windows
	c.Found += o.Found
	c.Alarms += o.Alarms
	c.TrueAlarms += o.TrueAlarms
	c.Delays = append(c.Delays, o.Delays...)
}

// Measure runs a detector that has seen nothing over a series.
func Measure(c Candidate, s *Series) (Counts, error) {
	d, err := c.detector()
	if err != nil {
		return Counts{}, err
	}
	finds := make([]bool, len(s.Times))
	r := record.Record{Measurement: "nab", Timed: true}
	pass := d.Begin()
	for i, t := range s.Times {
		r.Time, r.Fields = t, append(r.Fields[:0], record.Field{Name: "value", Value: record.Float(s.Values[i])})
		pass.Apply(&r, t)
		finds[i] = r.Field(found) == record.Bool(true)
	}
	pass.End(true)
	return count(s, finds), nil
}

func count(s *Series, finds []bool) Counts {
	c := Counts{Windows: len(s.Windows)}
	seen := make([]bool, len(s.Windows))
	var last int64 // find
	alarmed, trueAlarm := false, false
	for i, t := range s.Times {
		inside := false
		for w, span := range s.Windows {
			if !span.has(t) {
				continue
			}
			inside = true
			if finds[i] && !seen[w] {
				seen[w] = true
				c.Found++
				c.Delays = append(c.Delays, time.Duration(t-span.Start))
			}
		}
		switch {
		case finds[i] && inside:
			c.TruePoints++
		case finds[i]:
			c.FalsePoints++
		case inside:
			c.MissedPoints++
		default:
			c.QuietPoints++
		}
		if !finds[i] {
			continue
		}
		if !alarmed || t-last >= int64(Quiet) {
			c.Alarms++
			alarmed, trueAlarm = true, false
		}
		if last = t; inside && !trueAlarm {
			c.TrueAlarms++
			trueAlarm = true
		}
	}
	return c
}
