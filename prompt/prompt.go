// Package prompt is a conversation in Flux at a terminal: it reads statements
// with history and completion, keeps what they define, and hands scripts over
// to whoever asks a server. Only varve query uses it.
//
// A conversation belongs to one goroutine: nothing here is safe for concurrent
// use.
package prompt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// Script is what was typed, and what is asked for it.
type Script struct {
	// Typed is the text as it was typed.
	Typed string
	// Whole is Typed behind what was defined before, which takes Before
	// lines. Imports of Typed stand among those, and are blanks in their place.
	Whole  string
	Before int
}

// Function is one that scripts can call.
type Function struct {
	Name   string            // strings.split, from
	Import string            // path of what to import for it; empty: nothing
	Params map[string]string // name to kind of the arguments
}

// Server is what scripts are asked.
type Server interface {
	// Ask runs a script and shows its answer. It ends with ctx.
	Ask(ctx context.Context, s Script) error
	// Check reports what is wrong with a script, without running it.
	Check(ctx context.Context, s Script) error
	// Functions and Buckets are what is completed.
	Functions(ctx context.Context) ([]Function, error)
	Buckets(ctx context.Context) ([]string, error)
}

// Config says how to talk.
type Config struct {
	Server Server
	// Terminal is both ends of what the user types at and sees.
	In, Out *os.File
	// History is the file that keeps what was typed; empty: it is kept until
	// the end only.
	History string
	// Greeting is shown first.
	Greeting string
}

// errTerminated ends a conversation.
var errTerminated = errors.New("terminated")

const (
	prompt       = "flux> "
	continuation = "   .. "
)

const help = `A statement in Flux is run by Enter when it is complete: brackets are closed,
nothing is open at its end, and a from() has something behind it. An empty line
runs what is there in any case. Variables, options and imports stay.

  Tab      completes functions, arguments, buckets, packages
  Up       what was typed before
  ^R       the last one of these with the text that is typed; again: older ones
  ^C       ends a question; forgets what is typed
  ^D       leaves, as do exit and quit
`

// completionPatience is how long a key may take when a server is asked.
const completionPatience = time.Second

// Run talks until the user leaves. Interrupts end what is asked and nothing
// else; SIGTERM ends the conversation.
func Run(ctx context.Context, c Config) error {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGWINCH)
	defer signal.Stop(signals)
	history, err := openHistory(c.History)
	if err != nil {
		fmt.Fprintln(c.Out, err) // one can talk without it
	}
	// The first interrupt would end ctx for good.
	s := &session{server: c.Server, base: context.WithoutCancel(ctx), signals: signals}
	e := newEditor(c.In, c.Out, history, s.complete)
	fmt.Fprintln(c.Out, c.Greeting)
	for {
		text, err := e.statement(signals)
		switch word := strings.TrimSpace(text); {
		case errors.Is(err, io.EOF):
			fmt.Fprintln(c.Out)
			return nil
		case err != nil:
			return err
		case word == "":
			continue
		case word == "exit" || word == "quit":
			return nil
		case word == "help":
			fmt.Fprint(c.Out, help)
			continue
		}
		if err := history.keep(text); err != nil {
			fmt.Fprintln(c.Out, "what is typed is not kept:", err)
		}
		if err := s.run(text); errors.Is(err, errTerminated) {
			return err
		} else if err != nil {
			fmt.Fprintln(c.Out, err)
		}
	}
}
