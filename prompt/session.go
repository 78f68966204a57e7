package prompt

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"syscall"
)

// session is what a conversation has in mind.
type session struct {
	server  Server
	base    context.Context // outlives interrupts
	signals <-chan os.Signal

	imports, definitions []definition

	functions []Function // asked once
	buckets   []string   // of the last time they were asked
}

// run asks what was typed, or keeps it if it only defines something.
func (s *session) run(text string) error {
	p := split(text)
	if p == nil { // the server says what is wrong with it
		return s.interruptible(func(ctx context.Context) error { return s.server.Ask(ctx, s.behind(text, text, nil)) })
	}
	script := s.behind(text, p.body, p)
	ask := s.server.Ask
	if !p.asks {
		ask = s.server.Check
	}
	if err := s.interruptible(func(ctx context.Context) error { return ask(ctx, script) }); err != nil {
		return err
	}
	s.imports = merged(s.imports, p.imports)
	s.definitions = merged(s.definitions, p.definitions)
	return nil
}

// behind returns the script of a text behind what is defined already. What it
// defines itself replaces what had the name before.
func (s *session) behind(typed, body string, p *parts) Script {
	imports, kept := s.imports, s.definitions
	if p != nil {
		imports = merged(imports, p.imports)
		kept = slices.DeleteFunc(slices.Clone(kept), func(d definition) bool {
			return slices.ContainsFunc(p.definitions, func(n definition) bool { return n.name == d.name })
		})
	}
	var b strings.Builder
	for _, d := range slices.Concat(imports, kept) {
		b.WriteString(d.text + "\n")
	}
	return Script{Typed: typed, Whole: b.String() + body, Before: strings.Count(b.String(), "\n")}
}

// merged returns definitions with further ones, which replace those of their
// names.
func merged(have, more []definition) []definition {
	have = slices.Clone(have)
	for _, d := range more {
		have = append(slices.DeleteFunc(have, func(h definition) bool { return h.name == d.name }), d)
	}
	return have
}

// interruptible runs ask until it is done or Ctrl-C is typed.
func (s *session) interruptible(ask func(ctx context.Context) error) error {
	ctx, cancel := context.WithCancel(s.base)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- ask(ctx) }()
	var end error
	for {
		select {
		case err := <-done:
			if end != nil {
				return end
			}
			return err
		case sig := <-s.signals:
			switch sig {
			case os.Interrupt:
				end = errors.New("cancelled")
			case syscall.SIGTERM:
				end = errTerminated
			default: // the size of the terminal is of no importance here
				continue
			}
			cancel()
		}
	}
}

// words asks the server for what is completed; what does not come in time is
// not completed.
func (s *session) words() {
	ctx, cancel := context.WithTimeout(s.base, completionPatience)
	defer cancel()
	if s.functions == nil {
		s.functions, _ = s.server.Functions(ctx) // asked again at the next key
	}
	if buckets, err := s.server.Buckets(ctx); err == nil {
		s.buckets = buckets
	}
}

// complete returns what may stand at the end of a text.
func (s *session) complete(text string) completion {
	s.words()
	var names []string
	for _, d := range s.definitions {
		if !strings.HasPrefix(d.name, "option ") {
			names = append(names, d.name)
		}
	}
	return completionOf(text, s.functions, s.buckets, names)
}
