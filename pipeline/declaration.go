package pipeline

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/pipeline/declare"
	"github.com/varvedb/varve/pipeline/decode"
	"github.com/varvedb/varve/pipeline/rule"
	"github.com/varvedb/varve/pipeline/step"
	"github.com/varvedb/varve/source"
)

// SourceSpec is a declared source: settings that were read, nothing opened yet.
type SourceSpec struct {
	// Open makes the source of a pipeline.
	Open func(pipeline string) (source.Source, error)
	// Points says that the protocol of the source says what a point is: it calls
	// TakeBatch, and its pipeline has no decoder.
	Points bool
	// Format is the decoder that the source implies, nil if the pipeline declares
	// one.
	Format decode.Format
	// Tags are those that the source adds, which rules may name.
	Tags []string
	// Sole says that one pipeline of a file can have the source, because what comes
	// does not say which it is for.
	Sole bool
}

// Kinds are the sources and sinks that a declaration may name.
type Kinds struct {
	// Sources read the settings of a source; what is wrong is noted in s.
	Sources map[string]func(s *declare.Map) SourceSpec
	// Producers read the settings of a sink that passes on, and return how to open
	// it.
	Producers map[string]func(s *declare.Map) func() (Producer, error)
	// Sections are further sections of the file, such as mqtt; each reads its own.
	Sections map[string]func(s *declare.Map) any
}

// File is what a file of pipelines declares.
type File struct {
	Pipelines []*Declaration
	// Sections has what Kinds.Sections read.
	Sections map[string]any
	Cases    []Case
}

// Declaration is a pipeline as it is declared.
type Declaration struct {
	Name   string
	Source SourceSpec
	Kind   string // of the source
	Format decode.Format
	Steps  []*step.Declared

	sinks []sinkSpec
	dead  deadSpec

	// Texts by which it is seen what has changed: of all, of the source, of decode
	// and each step.
	text       string
	sourceText string
	stepTexts  []string
}

// sinkSpec is a declared sink.
type sinkSpec struct {
	name     string
	store    *storeSink // one that stores
	open     func() (Producer, error)
	encoding encoding
}

type deadSpec struct {
	org, bucket string
	open        func() (Producer, error) // nil: no topic
}

// DeadBucket is where refused messages are kept unless a pipeline says otherwise.
const DeadBucket = "dead-letter"

// parser reads a file.
type parser struct {
	kinds    Kinds
	problems []error
	secrets  []string          // that errors do not show
	sole     map[string]string // pipelines of sources that one can have, by kind
}

// Parse reads a file of pipelines. name is for errors, each of which begins with
// name:line:column; all that are found are in one error. lookup gives the values
// of ${NAME}.
func Parse(name string, text []byte, kinds Kinds, lookup func(string) (string, bool)) (*File, error) {
	p := &parser{kinds: kinds, sole: map[string]string{}}
	f := p.file(text, lookup)
	if len(p.problems) == 0 {
		return f, nil
	}
	return nil, located(name, p.problems, p.secrets)
}

// located puts the name of the file before each problem, in the order of lines.
// What came from the environment is not shown.
func located(name string, problems []error, secrets []string) error {
	var flat []error
	for _, err := range problems {
		flat = append(flat, each(err)...)
	}
	sort.SliceStable(flat, func(i, j int) bool {
		var a, b *declare.Error
		if !errors.As(flat[i], &a) || !errors.As(flat[j], &b) {
			return false
		}
		return a.Line < b.Line || a.Line == b.Line && a.Column < b.Column
	})
	seen := map[string]bool{}
	var all []error
	for _, err := range flat {
		text := err.Error()
		for _, secret := range secrets {
			text = strings.ReplaceAll(text, secret, "${…}")
		}
		if !seen[text] {
			seen[text] = true
			all = append(all, errors.New(name+":"+text))
		}
	}
	return errors.Join(all...)
}

// each returns the errors that err joins.
func each(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []error
		for _, e := range joined.Unwrap() {
			all = append(all, each(e)...)
		}
		return all
	}
	return []error{err}
}

func (p *parser) add(err error) {
	if err != nil {
		p.problems = append(p.problems, err)
	}
}

func (p *parser) file(text []byte, lookup func(string) (string, bool)) *File {
	f := &File{Sections: map[string]any{}}
	dec := yaml.NewDecoder(strings.NewReader(string(text)))
	var doc, more yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return f
	case err != nil:
		p.add(&declare.Error{Line: 1, Column: 1, Problem: "this is not YAML: " + err.Error()})
		return f
	}
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		p.add(&declare.Error{Line: 1, Column: 1, Problem: "there is a second document (---); one is wanted"})
		return f
	}
	if len(doc.Content) == 0 {
		return f
	}
	r := declare.Resolver{Lookup: lookup}
	top, problems := r.Resolve(doc.Content[0])
	p.problems = append(p.problems, problems...)
	p.secrets = r.Secrets
	s := declare.Section(top, "")
	for _, key := range s.Keys() {
		switch {
		case key == "pipelines", key == "tests":
		case strings.HasPrefix(key, "x-"): // a place for anchors
		case p.kinds.Sections[key] != nil:
			m := s.Section(key)
			f.Sections[key] = p.kinds.Sections[key](m)
			p.add(m.Err())
		default:
			var known []string
			for k := range p.kinds.Sections {
				known = append(known, k)
			}
			slices.Sort(known)
			s.Fail(key, "there is no such section; there are %s, and x-… for anchors", strings.Join(append([]string{"pipelines", "tests"}, known...), ", "))
		}
	}
	m := s.Section("pipelines")
	for _, name := range m.Keys() {
		if d := p.pipeline(name, m.Section(name)); d != nil {
			d.text = declare.Text(m.Node(name))
			f.Pipelines = append(f.Pipelines, d)
		}
	}
	p.add(m.Err())
	f.Cases = p.cases(s, f)
	p.add(s.Err())
	return f
}

// pipeline reads one pipeline.
func (p *parser) pipeline(name string, s *declare.Map) *Declaration {
	defer func() { p.add(s.Err()) }()
	d := &Declaration{Name: name}
	if !printableName(name) {
		s.Fail("", "the name of a pipeline is made of letters, digits, - and _")
	}
	p.source(d, s)
	if !p.decoder(d, s) {
		s.Has("validate")
		s.Has("transform")
		s.Has("tag")
		s.Has("sinks")
		s.Has("dead_letter")
		return nil // what records have is not known
	}
	names := rule.Names{Fields: map[string]column.Type{}, Open: true}
	if d.Format != nil {
		names = d.Format.Names().Clone()
		for _, tag := range d.Source.Tags {
			if _, taken := names.Fields[tag]; taken || tag == "time" {
				s.Fail("source", "%q is a tag by the source, and cannot be the time or a field of records too: give one of them another name", tag)
			}
			names.Tags = append(names.Tags, tag)
		}
	}
	timeName := names.Time
	for _, section := range []string{"validate", "transform", "tag"} {
		for i, n := range s.List(section) {
			st, err := step.Declare(n, fmt.Sprintf("%s[%d]", s.Path(section), i+1), &names)
			p.add(err)
			if err != nil {
				continue
			}
			st.Name = p.unique(d, section, st.Name)
			d.Steps = append(d.Steps, st)
			d.stepTexts = append(d.stepTexts, section+declare.Text(n))
		}
	}
	p.sinks(d, s, names, timeName)
	p.dead(d, s)
	return d
}

func printableName(name string) bool {
	for _, c := range name {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return name != "" && len(name) <= 64
}

// unique returns a name for a step that no other of its pipeline has.
func (p *parser) unique(d *Declaration, section, name string) string {
	name = section + "/" + name
	for n := 2; ; n++ {
		if !slices.ContainsFunc(d.Steps, func(s *step.Declared) bool { return s.Name == name }) {
			return name
		}
		base, _, _ := strings.Cut(name, "#")
		name = fmt.Sprintf("%s#%d", base, n)
	}
}

// source reads where messages come from.
func (p *parser) source(d *Declaration, s *declare.Map) {
	d.sourceText = declare.Text(s.Node("source"))
	n := s.Node("source")
	if n == nil {
		s.Fail("", "want a source: one of %s", p.sourceKinds())
		return
	}
	if n.Kind == yaml.ScalarNode { // source: otlp
		n = &yaml.Node{Kind: yaml.MappingNode, Line: n.Line, Column: n.Column, Content: []*yaml.Node{n,
			{Kind: yaml.ScalarNode, Tag: "!!null", Line: n.Line, Column: n.Column}}}
	}
	m := declare.Section(n, s.Path("source"))
	for _, kind := range m.Keys() {
		read, ok := p.kinds.Sources[kind]
		switch {
		case !ok:
			m.Fail(kind, "there is no such source; there are %s", p.sourceKinds())
		case d.Kind != "":
			m.Fail(kind, "a pipeline has one source, and this one has %s already", d.Kind)
		default:
			d.Kind = kind
			one := m.Section(kind)
			d.Source = read(one)
			p.add(one.Err())
			if other, taken := p.sole[kind]; taken {
				m.Fail(kind, "pipeline %s has this source already, and what comes does not say which of them it is for", other)
			} else if d.Source.Sole {
				p.sole[kind] = d.Name
			}
		}
	}
	p.add(m.Err())
}

func (p *parser) sourceKinds() string {
	var all []string
	for k := range p.kinds.Sources {
		all = append(all, k)
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// decoder reads how messages become records.
func (p *parser) decoder(d *Declaration, s *declare.Map) bool {
	n := s.Node("decode")
	d.stepTexts = append(d.stepTexts, "decode"+declare.Text(n))
	switch {
	case d.Kind == "":
		return false
	case d.Source.Points && n != nil:
		s.Fail("decode", "%s says itself what a point is, and takes no decoder", d.Kind)
		return false
	case d.Source.Points:
		return true
	case n == nil && d.Source.Format != nil:
		d.Format = d.Source.Format
		d.stepTexts[0] += d.sourceText
		return true
	case n == nil:
		s.Fail("", "want decode: how messages become records, one of %s", strings.Join(decode.Kinds(), ", "))
		return false
	}
	f, err := decode.Declare(n, s.Path("decode"))
	p.add(err)
	d.Format = f
	return err == nil
}

// sinks reads where records go; the store is first, unless it is not wanted.
func (p *parser) sinks(d *Declaration, s *declare.Map, names rule.Names, timeName string) {
	list := s.List("sinks")
	for i, n := range list {
		m := declare.Section(n, fmt.Sprintf("%s[%d]", s.Path("sinks"), i+1))
		keys := m.Keys()
		if len(keys) != 1 {
			m.Fail("", "a sink is one of %s, with its settings", p.sinkKinds())
			p.add(m.Err())
			continue
		}
		kind := keys[0]
		one := m.Section(kind)
		switch open := p.kinds.Producers[kind]; {
		case kind == "store":
			d.sinks = append(d.sinks, sinkSpec{store: declareStore(one, names.Fields, names.Open)})
		case open != nil:
			p.connect(d, s, one, kind)
			spec := sinkSpec{name: fmt.Sprintf("%s[%d]", kind, i+1), encoding: declareEncoding(one, timeName)}
			if topic := one.Text("topic", ""); topic != "" {
				spec.name = kind + ":" + topic
			}
			spec.open = open(one)
			d.sinks = append(d.sinks, spec)
		default:
			m.Fail(kind, "there is no such sink; there are %s", p.sinkKinds())
		}
		p.add(one.Err())
		p.add(m.Err())
	}
	if len(list) == 0 {
		s.Fail("", "want sinks: where records go, such as [{store: {bucket: default}}]")
	}
}

// brokersKey is where sources and sinks name their brokers.
const brokersKey = "brokers"

// connect gives a sink the brokers of the source, if it names none itself.
func (p *parser) connect(d *Declaration, s, sink *declare.Map, kind string) {
	if kind != d.Kind {
		return
	}
	if sink.Has(brokersKey) {
		return
	}
	from := s.Section("source").Section(kind)
	for _, key := range []string{brokersKey, "tls", "sasl"} {
		if n := from.Node(key); n != nil {
			sink.Inherit(key, n)
		}
	}
}

func (p *parser) sinkKinds() string {
	all := []string{"store"}
	for k := range p.kinds.Producers {
		all = append(all, k)
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// dead reads where refused messages are kept:
//
//	dead_letter: {bucket: dead-letter, kafka: {topic: sensor-data-refused}}
func (p *parser) dead(d *Declaration, s *declare.Map) {
	m := s.Section("dead_letter")
	d.dead = deadSpec{org: m.Text("org", ""), bucket: m.Text("bucket", DeadBucket)}
	if d.dead.bucket == "" {
		m.Fail("bucket", "refused messages are always kept: name a bucket")
	}
	for kind, open := range p.kinds.Producers {
		if !m.Has(kind) {
			continue
		}
		one := m.Section(kind)
		p.connect(d, s, one, kind)
		d.dead.open = open(one)
		p.add(one.Err())
	}
	p.add(m.Err())
}

// Sinks returns the names of the sinks.
func (d *Declaration) Sinks() []string {
	var all []string
	for i := range d.sinks {
		if s := d.sinks[i].store; s != nil {
			all = append(all, s.Name())
		} else {
			all = append(all, d.sinks[i].name)
		}
	}
	return all
}
