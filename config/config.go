// Package config turns what an operator wrote, on the command line, into the
// environment and in a YAML file, into a server.Config, and remembers where
// each value came from. It owns the table of settings (settings.go), which
// gives each setting one key and thereby its three spellings:
//
//	service.auth    --service-auth    VARVE_SERVICE_AUTH
//
// A flag wins over the environment, that over the file, and the file over the
// default. A variable that is set to nothing counts as not set.
//
// Command varve calls it and hands it arguments, environment and a way to read
// a file; this package reads none of them itself. Its values are not for use
// by several goroutines at once.
package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/varvedb/varve/server"
	"github.com/varvedb/varve/spelling"
)

// Sources is what an operator wrote.
type Sources struct {
	// Flags has the text of each flag that was given, by key of the setting.
	Flags map[string]string
	// Environment is NAME=value for each variable, as of os.Environ.
	Environment []string
	// Known names variables that begin with VARVE_ and are no settings.
	Known []string
	// File is the name of the YAML file; empty for none. ReadFile reads it.
	File     string
	ReadFile func(name string) ([]byte, error)
}

// Effective is the configuration that results.
type Effective struct {
	Config server.Config
	// Warnings are sentences about what was most likely meant otherwise.
	Warnings []string

	origin map[string]origin // by key; absent: the default
}

// origin says where a value was written.
type origin struct {
	flag, variable, file string // one of them
	line                 int    // of file
}

func (o origin) String() string {
	switch {
	case o.flag != "":
		return "flag " + o.flag
	case o.variable != "":
		return "environment " + o.variable
	case o.file != "":
		return fmt.Sprintf("%s:%d", o.file, o.line)
	}
	return "default"
}

// written is a value as it was written.
type written struct {
	key, text string
	from      origin
}

// Load reads the sources over the defaults. The error lists everything that is
// wrong, each with the place where it was written.
func Load(s Sources) (*Effective, error) {
	e := &Effective{Config: server.Default(), origin: make(map[string]origin)}
	table := Table()
	var problems []error
	var all []written // the weakest source first
	if s.File != "" {
		text, err := s.ReadFile(s.File)
		if err != nil {
			return nil, fmt.Errorf("read configuration: %w", err)
		}
		values, err := parseFile(s.File, text, table)
		if err != nil {
			problems = append(problems, err)
		}
		all = append(all, values...)
	}
	variables, warnings := fromEnvironment(s.Environment, s.Known, table)
	all = append(all, variables...)
	e.Warnings = warnings
	for _, set := range table {
		if text, ok := s.Flags[set.Key]; ok {
			all = append(all, written{set.Key, text, origin{flag: set.Flag()}})
		}
	}
	for _, w := range all {
		set := table[slices.IndexFunc(table, func(t Setting) bool { return t.Key == w.key })]
		if err := set.Set(&e.Config, w.text); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w (%s)", w.key, err, w.from))
			continue
		}
		e.origin[w.key] = w.from
	}
	if len(problems) == 0 {
		if err := e.validate(table); err != nil {
			problems = append(problems, err)
		}
	}
	return e, errors.Join(problems...)
}

// validate lets the server look at the values, and names the settings that an
// objection is about: those of which the default would change it.
func (e *Effective) validate(table []Setting) error {
	c := e.Config
	err := c.Validate()
	if err == nil {
		return nil
	}
	d := server.Default()
	var guilty []string
	for _, set := range table {
		from, ok := e.origin[set.Key]
		if !ok {
			continue
		}
		c := e.Config
		if set.Set(&c, set.Get(&d)) != nil {
			continue // a default that cannot be written: TestDefaults finds it
		}
		if other := c.Validate(); other == nil || other.Error() != err.Error() {
			guilty = append(guilty, fmt.Sprintf("%s: %s", set.Key, from))
		}
	}
	if len(guilty) == 0 {
		return err
	}
	return fmt.Errorf("%w (%s)", err, strings.Join(guilty, "; "))
}

// fromEnvironment finds the settings among the variables, and those that look
// like one and are none.
func fromEnvironment(environment, known []string, table []Setting) (values []written, warnings []string) {
	names := slices.Clone(known)
	for _, set := range table {
		names = append(names, set.Variable())
	}
	for _, entry := range environment {
		name, text, ok := strings.Cut(entry, "=")
		if !ok || text == "" || !strings.HasPrefix(name, prefix) {
			continue
		}
		i := slices.IndexFunc(table, func(t Setting) bool { return t.Variable() == name })
		if i >= 0 {
			values = append(values, written{table[i].Key, text, origin{variable: name}})
		} else if !slices.Contains(known, name) {
			w := "the environment has " + name + ", which is no setting"
			if near := spelling.Nearest(name, names); near != "" {
				w += "; did you mean " + near + "?"
			}
			warnings = append(warnings, w)
		}
	}
	return values, warnings
}
