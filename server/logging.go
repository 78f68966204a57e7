package server

import (
	"context"
	"io"
	"log/slog"

	"github.com/varvedb/varve/trace"
)

func logger(c Config, w io.Writer) *slog.Logger {
	level, err := c.level()
	if err != nil {
		panic("BUG: the log level was not validated: " + err.Error())
	}
	o := &slog.HandlerOptions{Level: level}
	if c.LogFormat == "json" {
		return slog.New(requestHandler{slog.NewJSONHandler(w, o)})
	}
	return slog.New(requestHandler{slog.NewTextHandler(w, o)})
}

// requestHandler adds to each line which request it is about, if its context
// knows.
type requestHandler struct{ slog.Handler }

func (h requestHandler) Handle(ctx context.Context, r slog.Record) error {
	if known := trace.RequestOf(ctx); known.ID != "" {
		r.AddAttrs(slog.String("request_id", known.ID))
		if known.Trace != "" {
			r.AddAttrs(slog.String("trace_id", known.Trace))
		}
	}
	return h.Handler.Handle(ctx, r)
}

func (h requestHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return requestHandler{h.Handler.WithAttrs(attrs)}
}

func (h requestHandler) WithGroup(name string) slog.Handler {
	return requestHandler{h.Handler.WithGroup(name)}
}
