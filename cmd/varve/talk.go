package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"

	"github.com/varvedb/varve/prompt"
)

// historyFile returns where what is typed at the prompt is kept: in the user's
// folder for state, or nowhere if there is none.
func historyFile() string {
	state := os.Getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(state) { // as its specification says
		home, err := os.UserHomeDir()
		if err != nil {
			return ""
		}
		state = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(state, "varve", "flux-history")
}

// talk asks what is typed at a terminal.
func (f *fluxQuery) talk(ctx context.Context, in, out *os.File) error {
	// A server that is not there, or a wrong token, is told before the first
	// question.
	if _, err := (conversation{f}).Functions(ctx); err != nil {
		return err
	}
	return prompt.Run(ctx, prompt.Config{
		Server: conversation{f}, In: in, Out: out, History: historyFile(),
		Greeting: fmt.Sprintf("Flux at %s. Tab completes, ^D leaves, help says more.", f.client.url),
	})
}

// conversation is a prompt.Server.
type conversation struct{ *fluxQuery }

// Ask implements prompt.Server.
func (c conversation) Ask(ctx context.Context, s prompt.Script) error {
	return c.ask(ctx, &script{text: s.Typed}, s)
}

// Check implements prompt.Server: a plan is made and not shown.
func (c conversation) Check(ctx context.Context, s prompt.Script) error {
	req, err := c.flags.request(s.Whole, c.question)
	if err != nil {
		return err
	}
	req.Explain = true
	answer, err := c.put(ctx, &script{text: s.Typed}, s.Before, req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, answer)
	return errors.Join(err, answer.Close())
}

// Functions implements prompt.Server.
func (c conversation) Functions(ctx context.Context) ([]prompt.Function, error) {
	var answer struct {
		Funcs []struct {
			Name, Package string
			Params        map[string]string
		}
	}
	if err := c.client.call(ctx, http.MethodGet, "/api/v2/query/suggestions", nil, &answer); err != nil {
		return nil, err
	}
	var all []prompt.Function
	for _, f := range answer.Funcs {
		all = append(all, prompt.Function{Name: f.Name, Import: f.Package, Params: f.Params})
	}
	return all, nil
}

// Buckets implements prompt.Server.
func (c conversation) Buckets(ctx context.Context) ([]string, error) {
	return bucketNames(ctx, c.client, "")
}
