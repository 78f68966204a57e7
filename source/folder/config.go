package folder

import (
	"path"
	"time"
	"unicode/utf8"

	"github.com/varvedb/varve/importer"
	"github.com/varvedb/varve/pipeline/declare"
)

// Format is how a file is cut into messages.
type Format string

const (
	Lines  Format = "lines"  // line protocol: a message each line
	NDJSON Format = "ndjson" // a message each line, whatever it is
	Whole  Format = "whole"  // one message
	CSV    Format = "csv"    // no messages: rows, by a mapping of their columns
)

// Config says which files are taken and what becomes of them.
type Config struct {
	Path   string
	Match  []string // names that are taken, such as *.csv; nil: all
	Format Format
	// Mapping is of CSV.
	Mapping importer.Mapping
	// Quiet is how long a file has to be unchanged to be complete. 0: files are
	// complete as soon as they are there, because they are renamed into place.
	Quiet time.Duration
	// Poll is how often the folder is looked through, beside what the system
	// tells of changes.
	Poll time.Duration
	// Remove removes files that are done; otherwise they are moved to done/.
	Remove bool
	// MaxMessage bounds a line, or the file of Whole, in bytes.
	MaxMessage int
}

// Default returns the standard settings; Path is missing.
func Default() Config {
	return Config{Format: Lines, Quiet: 5 * time.Second, Poll: 5 * time.Second, MaxMessage: 1 << 20}
}

// Declare reads
//
//	folder:
//	  path: incoming
//	  match: ["*.csv", "*.csv.gz"]
//	  complete: quiet          # or renamed
//	  quiet: 5s
//	  poll: 5s
//	  then: move               # to done/, or remove
//	  format: csv              # or lines, ndjson, whole
//	  csv:
//	    measurement: weather   # or measurement_column
//	    time: timestamp
//	    time_format: auto      # rfc3339, s, ms, us, ns, or a layout of Go
//	    time_zone: UTC
//	    tags: {station: ""}    # column: name, "" for the same
//	    fields: {temperature: float, humidity: ""}  # column: type; without any, all other columns
//	    names: {temperature: t_air}                 # column: name of its field
//	    set: {site: north}
//	    skip: [remark]
//	    nulls: [NaN]
//	    columns: [...]         # of a file without a header
//	    comma: ";"
//	    comment: "#"
func Declare(s *declare.Map) Config {
	c := Default()
	c.Path = s.Required("path")
	c.Match = s.Strings("match")
	for _, m := range c.Match {
		if _, err := path.Match(m, ""); err != nil || m == "" {
			s.Fail("match", "%q is no pattern of names: * stands for any text, ? for a character, [a-z] for one of some", m)
		}
	}
	c.Format = Format(s.Choice("format", string(Lines), string(Lines), string(NDJSON), string(Whole), string(CSV)))
	renamed := s.Choice("complete", "quiet", "quiet", "renamed") == "renamed"
	if renamed && s.Has("quiet") {
		s.Fail("quiet", "is for complete: quiet")
	}
	if c.Quiet = s.Duration("quiet", c.Quiet); renamed {
		c.Quiet = 0
	}
	c.Poll = s.Duration("poll", c.Poll)
	c.Remove = s.Choice("then", "move", "move", "remove") == "remove"
	c.MaxMessage = s.Size("max_message", c.MaxMessage)
	if c.MaxMessage > mostMessage {
		s.Fail("max_message", "at most 64MiB")
	}
	switch {
	case c.Format == CSV:
		m := s.Section("csv")
		c.Mapping = declareMapping(m)
		s.Add(m.Err())
	case s.Has("csv"):
		s.Fail("csv", "is for format: csv")
	}
	return c
}

// mostMessage keeps what is read at once within reason.
const mostMessage = 64 << 20

func declareMapping(s *declare.Map) importer.Mapping {
	m := importer.Mapping{
		Measurement: s.Text("measurement", ""), MeasurementColumn: s.Text("measurement_column", ""),
		Time: s.Required("time"), TimeFormat: s.Text("time_format", "auto"),
		Skip: s.Strings("skip"), Nulls: s.Strings("nulls"), Names: s.Strings("columns"),
		Comma: character(s, "comma"), Comment: character(s, "comment"),
	}
	if (m.Measurement == "") == (m.MeasurementColumn == "") {
		s.Fail("", "want one of measurement and measurement_column")
	}
	if zone := s.Text("time_zone", ""); zone != "" {
		l, err := time.LoadLocation(zone)
		if err != nil {
			s.Fail("time_zone", "%q is not known: want one such as Europe/Kyiv", zone)
		}
		m.Zone = l
	}
	if _, err := importer.NewTimeFormat(m.TimeFormat, m.Zone); err != nil {
		s.Fail("time_format", "%s", err)
	}
	for _, p := range s.Pairs("tags") {
		m.Tags = append(m.Tags, importer.TagColumn{Column: p.Key, Key: p.Value})
	}
	names := map[string]string{}
	for _, p := range s.Pairs("names") {
		names[p.Key] = p.Value
	}
	fields := s.Section("fields")
	for _, column := range fields.Keys() {
		kind := fields.Choice(column, "auto", "auto", "float", "int", "uint", "string", "bool", "")
		m.Fields = append(m.Fields, importer.FieldColumn{Column: column, Name: names[column], Type: importer.FieldType(kind)})
		delete(names, column)
	}
	s.Add(fields.Err())
	for column := range names {
		s.Fail("names", "%q is no column of fields", column)
	}
	for _, p := range s.Pairs("set") {
		if m.FixedTags == nil {
			m.FixedTags = map[string]string{}
		}
		m.FixedTags[p.Key] = p.Value
	}
	return m
}

// character reads a single character; 0 if it is not given.
func character(s *declare.Map, key string) rune {
	text := s.Text(key, "")
	if text == "" {
		return 0
	}
	r, n := utf8.DecodeRuneInString(text)
	if n != len(text) || r == utf8.RuneError || r == '"' || r == '\r' || r == '\n' {
		s.Fail(key, "%q: want one character", text)
		return 0
	}
	return r
}
