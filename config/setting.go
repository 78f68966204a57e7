package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/varvedb/varve/server"
)

// Kind is how a value is written.
type Kind string

// The kinds of values.
const (
	Text     Kind = "text"
	Choice   Kind = "choice"   // one of a few words
	Number   Kind = "number"   // whole
	Fraction Kind = "fraction" // a number with or without a decimal point
	Switch   Kind = "switch"   // true or false
	Size     Kind = "size"     // bytes: 64KiB, 512MB, 2GiB
	Span     Kind = "span"     // a length of time: 10s, 72h, 30d, 52w
	List     Kind = "list"     // texts, separated by commas outside of YAML
)

// prefix begins the name of every environment variable of Varve.
const prefix = "VARVE_"

// Setting is one row of the table: a value of server.Config that an operator
// can write.
type Setting struct {
	// Key is the spelling in YAML: lower-case words joined by dots, which nest
	// in the file, and underscores.
	Key   string
	Usage string
	Kind  Kind
	// Choices are the words of a Choice.
	Choices []string
	// Secret values are never shown.
	Secret bool

	get func(*server.Config) string
	set func(*server.Config, string) error
}

// Get renders the value that c has so that Set reads it.
func (s *Setting) Get(c *server.Config) string { return s.get(c) }

// Set reads text into c. Its error says what is wanted, and shows the text
// unless it is a secret.
func (s *Setting) Set(c *server.Config, text string) error { return s.set(c, text) }

// Flag returns the spelling on the command line.
func (s *Setting) Flag() string {
	return "--" + s.FlagName()
}

// FlagName is Flag without the dashes in front.
func (s *Setting) FlagName() string {
	return strings.NewReplacer(".", "-", "_", "-").Replace(s.Key)
}

// Variable returns the name of the environment variable.
func (s *Setting) Variable() string {
	return prefix + strings.ToUpper(strings.ReplaceAll(s.Key, ".", "_"))
}

// secret marks a row of the table.
func secret(s Setting) Setting {
	s.Secret = true
	set := s.set
	s.set = func(c *server.Config, text string) error {
		if set(c, text) != nil {
			return fmt.Errorf("want a %s", s.Kind) // and not a word of what was given
		}
		return nil
	}
	return s
}

func text(key string, at func(*server.Config) *string, usage string) Setting {
	return Setting{
		Key: key, Usage: usage, Kind: Text,
		get: func(c *server.Config) string { return *at(c) },
		set: func(c *server.Config, s string) error { *at(c) = s; return nil },
	}
}

func choice(key string, at func(*server.Config) *string, words []string, usage string) Setting {
	s := text(key, at, usage)
	s.Kind, s.Choices = Choice, words
	s.set = func(c *server.Config, t string) error {
		if !slices.Contains(words, t) {
			return fmt.Errorf("%q: want %s", t, alternatives(words))
		}
		*at(c) = t
		return nil
	}
	return s
}

func alternatives(words []string) string {
	last := len(words) - 1
	if last == 0 {
		return words[0]
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

func number(key string, at func(*server.Config) *int, usage string) Setting {
	return Setting{
		Key: key, Usage: usage, Kind: Number,
		get: func(c *server.Config) string { return strconv.Itoa(*at(c)) },
		set: func(c *server.Config, s string) error {
			n, err := strconv.Atoi(s)
			if err != nil {
				return fmt.Errorf("%q: want a whole number", s)
			}
			*at(c) = n
			return nil
		},
	}
}

func fraction(key string, at func(*server.Config) *float64, usage string) Setting {
	return Setting{
		Key: key, Usage: usage, Kind: Fraction,
		get: func(c *server.Config) string { return strconv.FormatFloat(*at(c), 'g', -1, 64) },
		set: func(c *server.Config, s string) error {
			n, err := strconv.ParseFloat(s, 64)
			if err != nil {
				return fmt.Errorf("%q: want a number", s)
			}
			*at(c) = n
			return nil
		},
	}
}

func toggle(key string, at func(*server.Config) *bool, usage string) Setting {
	return Setting{
		Key: key, Usage: usage, Kind: Switch,
		get: func(c *server.Config) string { return strconv.FormatBool(*at(c)) },
		set: func(c *server.Config, s string) error {
			switch s {
			case "true", "false":
				*at(c) = s == "true"
				return nil
			}
			return fmt.Errorf("%q: want true or false", s)
		},
	}
}

func size(key string, at func(*server.Config) *int64, usage string) Setting {
	return Setting{
		Key: key, Usage: usage, Kind: Size,
		get: func(c *server.Config) string { return FormatSize(*at(c)) },
		set: func(c *server.Config, s string) (err error) {
			n, err := ParseSize(s)
			if err == nil {
				*at(c) = n
			}
			return err
		},
	}
}

func span(key string, at func(*server.Config) *time.Duration, usage string) Setting {
	return Setting{
		Key: key, Usage: usage, Kind: Span,
		get: func(c *server.Config) string { return FormatSpan(*at(c)) },
		set: func(c *server.Config, s string) error {
			d, err := ParseSpan(s)
			if err == nil {
				*at(c) = d
			}
			return err
		},
	}
}

func list(key string, at func(*server.Config) *[]string, usage string) Setting {
	return Setting{
		Key: key, Usage: usage, Kind: List,
		get: func(c *server.Config) string { return strings.Join(*at(c), ",") },
		set: func(c *server.Config, s string) error {
			*at(c) = nil
			for _, part := range strings.Split(s, ",") {
				if part = strings.TrimSpace(part); part != "" {
					*at(c) = append(*at(c), part)
				}
			}
			return nil
		},
	}
}
