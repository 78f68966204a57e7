// Package health judges how well a server is from what its parts report. The
// server gathers Vitals and shows the Report at /health and in metrics.
//
// Judge is a pure function: the same vitals get the same report. What it looks
// for is the list that Checks returns.
package health

import (
	"github.com/varvedb/varve/shard"
	"github.com/varvedb/varve/vfs"
)

// Vitals is what the checks look at.
type Vitals struct {
	Disk        vfs.Usage // of the volume of the data folder
	DiskError   error     // why Disk is not known
	KeepFree    uint64    // bytes of the volume below which writes are refused
	Resident    int64     // memory of the process in bytes; 0: not known
	MemoryLimit int64     // its target
	Memtables   int64     // bytes that memtables of one shard may have
	Shards      []shard.Stats
	Pipelines   []Pipeline
	// PipelinesFile is what is wrong with the file of pipelines, which then run by
	// an earlier one; "" if nothing is.
	PipelinesFile string
}

// Pipeline is one that the server runs.
type Pipeline struct {
	Name    string
	Trouble string // what is in the way of its source, "" if nothing is
}

// Check is one thing that can be wrong.
type Check struct {
	// Name is its label in metrics.
	Name string
	// Weight is what it takes of the score of 100 when it is as bad as can be.
	Weight float64
	// Look returns what is wrong; the zero Finding if nothing is.
	Look func(*Vitals) Finding
}

// Finding is what a check found.
type Finding struct {
	// Severity is from 0, nothing is wrong, to 1.
	Severity float64
	// Failing says that the server cannot do all that it is there for: it is
	// answered with 503.
	Failing bool
	// Reasons are sentences: what is wrong, where, and if it is not obvious,
	// what to do.
	Reasons []string
}

// Result is a check with its finding.
type Result struct {
	Name      string
	Deduction float64 // from the score
	Finding
}

// Report is the judgement.
type Report struct {
	// Score is 100 for a server without findings, and at least 0.
	Score   float64
	Results []Result // of all checks, in their order
}

// Judge carries out all checks.
func Judge(v *Vitals) Report {
	r := Report{Score: 100}
	for _, c := range Checks() {
		f := c.Look(v)
		d := c.Weight * f.Severity
		r.Score -= d
		r.Results = append(r.Results, Result{c.Name, d, f})
	}
	r.Score = max(r.Score, 0)
	return r
}

// Failing reports whether the server cannot do all that it is there for.
func (r *Report) Failing() bool {
	for i := range r.Results {
		if r.Results[i].Failing {
			return true
		}
	}
	return false
}

// Reasons returns all that was found, what fails first.
func (r *Report) Reasons() []string {
	var failing, others []string
	for i := range r.Results {
		if f := &r.Results[i]; f.Failing {
			failing = append(failing, f.Reasons...)
		} else {
			others = append(others, f.Reasons...)
		}
	}
	return append(failing, others...)
}
