package server

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"time"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/health"
	"github.com/varvedb/varve/httpapi"
	"github.com/varvedb/varve/pipeline"
	"github.com/varvedb/varve/pipeline/declare"
	formats "github.com/varvedb/varve/pipeline/decode"
	"github.com/varvedb/varve/protocol/lineproto"
	kafkasink "github.com/varvedb/varve/sink/kafka"
	"github.com/varvedb/varve/source"
	watched "github.com/varvedb/varve/source/folder"
	"github.com/varvedb/varve/source/kafka"
	"github.com/varvedb/varve/source/mqtt"
	"github.com/varvedb/varve/source/mqttclient"
	"github.com/varvedb/varve/source/otlp"
	"github.com/varvedb/varve/source/postgres"
	"github.com/varvedb/varve/source/prometheus"
	"github.com/varvedb/varve/source/udp"
	"github.com/varvedb/varve/vfs"
)

// BuiltinPipelines is what pipelines.file says for the pipelines that come with
// the program.
const BuiltinPipelines = "builtin"

// recordsShare is which part of the memory limit the records of pipelines may
// take.
const recordsShare = 16

// lookAtFile is how often the file of pipelines is looked at for a change, and
// fileSettles how long it has to be the same then: it may be being written.
const (
	lookAtFile  = 2 * time.Second
	fileSettles = 200 * time.Millisecond
)

// PipelineKinds returns the sources and sinks that a file of pipelines may name,
// to check one; none of them can be opened.
func PipelineKinds() pipeline.Kinds { return new(server).pipelineKinds() }

// pipelineKinds returns the sources and sinks of s.
func (s *server) pipelineKinds() pipeline.Kinds {
	port := func(gate *source.Gate[struct{}]) func(*declare.Map) pipeline.SourceSpec {
		return func(*declare.Map) pipeline.SourceSpec { return atGate(gate, struct{}{}) }
	}
	return pipeline.Kinds{
		Sources: map[string]func(*declare.Map) pipeline.SourceSpec{
			"data":  port(&s.gates.data),
			"write": port(&s.gates.write),
			"udp": func(m *declare.Map) pipeline.SourceSpec {
				c := udp.Declare(m)
				return pipeline.SourceSpec{Open: func(string) (source.Source, error) { return udp.New(c), nil }}
			},
			"folder": func(m *declare.Map) pipeline.SourceSpec {
				c := watched.Declare(m)
				return pipeline.SourceSpec{Points: c.Format == watched.CSV, Open: func(string) (source.Source, error) { return watched.New(c), nil }}
			},
			"kafka": func(m *declare.Map) pipeline.SourceSpec {
				c := kafka.Declare(m)
				return pipeline.SourceSpec{Tags: c.TagNames(), Open: func(name string) (source.Source, error) { return kafka.New(c, s.log.With("pipeline", name)) }}
			},
			"postgres": func(m *declare.Map) pipeline.SourceSpec {
				c := postgres.Declare(m)
				return pipeline.SourceSpec{Format: formats.ChangeEvents(c.Mapping()), Open: func(name string) (source.Source, error) {
					return postgres.New(c, positionOf(s.bolt, "postgres", name))
				}}
			},
			"otlp": func(m *declare.Map) pipeline.SourceSpec { return atGate(&s.gates.otlp, otlp.Declare(m)) },
			"mqtt": s.mqttSource,
			"mqtt_bridge": func(m *declare.Map) pipeline.SourceSpec {
				c := mqttclient.Declare(m)
				return pipeline.SourceSpec{Open: func(name string) (source.Source, error) { return mqttclient.New(c, s.log.With("pipeline", name)), nil }}
			},
			"prometheus": func(m *declare.Map) pipeline.SourceSpec { return atGate(&s.gates.remoteWrite, prometheus.Declare(m)) },
		},
		Producers: map[string]func(*declare.Map) func() (pipeline.Producer, error){
			"mqtt": s.mqttSink,
			"kafka": func(m *declare.Map) func() (pipeline.Producer, error) {
				c := kafkasink.Declare(m)
				return func() (pipeline.Producer, error) { return kafkasink.New(c) }
			},
		},
		Sections: map[string]func(*declare.Map) any{
			"mqtt": func(m *declare.Map) any { return mqtt.Declare(m) },
		},
	}
}

// pipelines runs those of a file, and follows its changes.
type pipelines struct {
	set    *pipeline.Set
	server *server
	file   string // "" for none

	loading sync.Mutex // held while the file is read and applied
	text    string     // that was applied last, or refused
	unread  bool       // the file could not be read at the last look, or was empty

	mu      sync.Mutex // guards what follows
	trouble string     // of the last load; "" if it went well
	loaded  time.Time

	end  chan struct{}
	done sync.WaitGroup
}

// preparePipelines makes what pipelines stand on.
func (s *server) preparePipelines() {
	store := &pipelineStore{meta: s.meta, schema: schema{s.schema}, ingest: s.ingest, store: s.store, org: s.config.InitOrg, bucket: s.config.InitBucket}
	s.pipelines = &pipelines{server: s, file: s.config.PipelinesFile, end: make(chan struct{}),
		set: pipeline.NewSet(pipeline.Parts{Store: store, Log: s.log, Now: s.now, Memory: s.budget.Limit / recordsShare})}
	s.registry.MustRegister(newPipelineCollector(s.pipelines.set))
}

// start reads the file and starts what it declares. At the start a file with a
// mistake is an error; later it leaves what runs as it is.
func (p *pipelines) start() error {
	if p.file == "" {
		return nil
	}
	if err := p.load(true); err != nil {
		return err
	}
	p.done.Go(p.follow)
	return nil
}

// read returns the text of the file.
func (p *pipelines) read() (string, error) {
	if p.file == BuiltinPipelines {
		return pipeline.Builtin(), nil
	}
	text, err := vfs.ReadFile(vfs.OS{}, p.file)
	return string(text), err
}

// load applies the file, if force says so, or if it has changed and is not being
// written. What is wrong with it is an error, and is remembered.
func (p *pipelines) load(force bool) error {
	p.loading.Lock()
	defer p.loading.Unlock()
	text, err := p.read()
	if err == nil && text == p.text && !p.unread && !force {
		return nil
	}
	if !force {
		time.Sleep(fileSettles)
		if again, gone := p.read(); again != text || (gone == nil) != (err == nil) {
			return nil // the next look sees what becomes of it
		}
	}
	switch p.unread = err != nil; {
	case p.unread:
		err = fmt.Errorf("read pipelines: %w", err)
	case strings.TrimSpace(text) == "" && p.text != "":
		p.unread = true // until it says something
		err = fmt.Errorf("%s is empty, as a file is while it is written: write pipelines: {} to have none", p.file)
	default:
		p.text = text
		err = p.apply(text)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.trouble = err.Error()
		return err
	}
	p.trouble, p.loaded = "", p.server.now()
	return nil
}

func (p *pipelines) apply(text string) error {
	f, err := pipeline.Parse(p.file, []byte(text), p.server.pipelineKinds(), declare.Environment)
	if err != nil {
		return err
	}
	if err := p.set.Apply(f); err != nil {
		return err
	}
	if b := p.server.mqtt; b != nil {
		rules, _ := f.Sections["mqtt"].(*mqtt.Rules)
		b.SetRules(rules)
	}
	return nil
}

// follow looks at the file until close, and when the server is told to.
func (p *pipelines) follow() {
	tick := time.NewTicker(lookAtFile)
	defer tick.Stop()
	told := "" // the error that was logged last, "" if all went well since
	for {
		asked := false
		select {
		case <-p.end:
			return
		case <-p.server.config.Reload:
			asked = true
		case <-tick.C:
		}
		switch err := p.load(asked); {
		case err == nil:
			told = ""
			if asked {
				p.server.log.Info("pipelines are loaded", "file", p.file)
			}
		case asked || err.Error() != told:
			told = err.Error()
			p.server.log.Error("pipelines stay as they were", "file", p.file, "err", err)
		}
	}
}

// close stops all sources: what was taken is acknowledged, and nothing comes in
// any more.
func (p *pipelines) close() {
	close(p.end)
	p.done.Wait()
	p.set.Close()
}

// Pipelines implements httpapi.Pipelines.
func (p *pipelines) Pipelines() httpapi.PipelinesAnswer {
	p.mu.Lock()
	a := httpapi.PipelinesAnswer{File: p.file, Trouble: p.trouble, Pipelines: []httpapi.PipelineStatus{}}
	if !p.loaded.IsZero() {
		a.Loaded = p.loaded.UTC().Format(time.RFC3339)
	}
	p.mu.Unlock()
	for _, st := range p.set.Status() {
		one := httpapi.PipelineStatus{Name: st.Name, Source: st.Source, Connected: st.Connected, Trouble: st.Trouble, Notice: st.Notice, Lag: st.Lag,
			Messages: st.Messages, Records: st.Records, Stored: st.Stored, Dropped: st.Dropped, Refused: st.Refused, Failures: st.Failures}
		for _, step := range st.Steps {
			o := httpapi.PipelineStep{Name: step.Name, Passed: step.Passed, Changed: step.Changed, Dropped: step.Dropped, Refused: step.Refused}
			if len(step.Reasons) > 0 {
				o.Reasons = map[string]uint64{}
			}
			for _, r := range step.Reasons {
				o.Reasons[r.Reason] = r.Count
			}
			one.Steps = append(one.Steps, o)
		}
		a.Pipelines = append(a.Pipelines, one)
	}
	return a
}

// vitals returns what health looks at.
func (p *pipelines) vitals() (all []health.Pipeline, file string) {
	for _, st := range p.set.Status() {
		all = append(all, health.Pipeline{Name: st.Name, Trouble: st.Trouble})
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return all, p.trouble
}

// Reload implements httpapi.Pipelines.
func (p *pipelines) Reload() error {
	if p.file == "" {
		return errors.New("the server was started without pipelines: set pipelines.file")
	}
	return p.load(true)
}

// pipelineWriter implements httpapi.Writer for a port that a pipeline can take
// over.
type pipelineWriter struct {
	*writer
	gate  *source.Gate[struct{}]
	topic string // where the points came in
}

// Write implements httpapi.Writer.
func (w *pipelineWriter) Write(ctx context.Context, bucket uint64, b *column.Batch, left lineproto.Left) (httpapi.Refused, error) {
	open, err := w.gate.Enter()
	switch {
	case err != nil:
		return httpapi.Refused{}, unavailable(err)
	case open == nil:
		return w.writer.Write(ctx, bucket, b, left)
	}
	defer open.Leave()
	m := source.Message{Topic: w.topic, Offset: -1}
	if left.Rows > 0 {
		m.Left = leftOut(left)
	}
	result, err := open.Intake.TakeBatch(ctx, bucket, b, &m)
	return httpapi.Refused{Points: result.Refused, Reason: result.Reason}, unavailable(err)
}

// Unread implements httpapi.Writer.
func (w *pipelineWriter) Unread(ctx context.Context, body []byte, why error) error {
	open, err := w.gate.Enter()
	if err != nil || open == nil {
		return unavailable(err)
	}
	defer open.Leave()
	m := source.Message{Topic: w.topic, Offset: -1, Payload: body, Unread: &source.Unread{Reason: "bad_message", Detail: why.Error()}}
	_, err = open.Intake.Take(ctx, []source.Message{m})
	return unavailable(err)
}

// leftOut tells an intake of the rows that the decoder of lines left out.
func leftOut(left lineproto.Left) iter.Seq[*source.Left] {
	return func(yield func(*source.Left) bool) {
		var last *lineproto.Conflict
		var one source.Left
		n := left.Rows
		for why, line := range left.Each {
			if n--; why != last {
				one.Reason, one.Detail, last = string(dropKind(why)), why.String(), why
			}
			if one.Points, one.Row = 1, string(line); !yield(&one) {
				return
			}
		}
		if n > 0 {
			yield(&source.Left{Reason: one.Reason, Points: n,
				Detail: "further rows contradict others of the body: more than are told one by one"})
		}
	}
}

// unavailable makes of an error of an intake that will pass what clients are told.
func unavailable(err error) error {
	var be *source.BusyError
	if errors.As(err, &be) {
		return &httpapi.Error{Code: httpapi.Unavailable, Message: be.Reason, RetryAfter: be.RetryAfter, Err: err}
	}
	return err
}
