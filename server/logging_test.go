package server

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/varvedb/varve/trace"
)

func TestLogNamesRequest(t *testing.T) {
	c := Default()
	c.LogFormat = "json"
	var out strings.Builder
	log := logger(c, &out).With("part", "test")
	ctx := trace.WithRequest(context.Background(), trace.Request{ID: "r1", Trace: "cafe"})
	for _, c := range []struct {
		ctx         context.Context
		id, traceID any
	}{
		{ctx, "r1", "cafe"},
		{trace.WithRequest(ctx, trace.Request{ID: "r2"}), "r2", nil},
		{context.Background(), nil, nil},
	} {
		out.Reset()
		log.InfoContext(c.ctx, "said")
		var line map[string]any
		if err := json.Unmarshal([]byte(out.String()), &line); err != nil {
			t.Fatal(err)
		}
		if line["request_id"] != c.id || line["trace_id"] != c.traceID || line["part"] != "test" {
			t.Errorf("line %v, want id %v and trace %v", line, c.id, c.traceID)
		}
	}
}
