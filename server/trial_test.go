package server

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/varvedb/varve/httpapi"
	"github.com/varvedb/varve/plan"
	"github.com/varvedb/varve/protocol/lineproto"
)

// trial is a server without ports whose clock stands where the test puts it.
type trial struct {
	*server
	t   testing.TB
	ctx context.Context
	at  time.Time
}

func openTrial(t *testing.T, dir string, c Config) *trial {
	t.Helper()
	c.DataDir = dir
	if c.Memory == 0 {
		c.Memory = 256 << 20
	}
	b := &trial{server: newServer(c, io.Discard, io.Discard), t: t, ctx: t.Context(), at: time.Unix(1_800_000_000, 0)}
	b.server.now = func() time.Time { return b.at }
	if err := b.open(b.ctx); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *trial) shut() {
	b.t.Helper()
	if err := b.close(); err != nil {
		b.t.Fatal(err)
	}
}

// write stores lines as a request would, and returns what was refused.
func (b *trial) write(lines string) httpapi.Refused {
	b.t.Helper()
	p := lineproto.NewParser(lineproto.Default())
	body := []byte(lines)
	batch, err := p.Parse(body, lineproto.Nanosecond, b.at.UnixNano())
	if err != nil {
		b.t.Fatal(err)
	}
	w := writer{b.meta, b.ingest}
	refused, err := w.Write(b.ctx, uint64(b.init.Bucket), batch, p.Left(body))
	if err != nil {
		b.t.Fatal(err)
	}
	return refused
}

func (b *trial) querier() *querier {
	return &querier{b.query, b.store}
}

// rows returns how many values m.x has from the beginning to the end, and the
// explained plan.
func (b *trial) rows() (n int, explain string) {
	b.t.Helper()
	p := plan.New(uint64(b.init.Bucket), 0, 1<<62)
	p.Measurements, p.Rows = []string{"m"}, &plan.Rows{Fields: []string{"x"}}
	explain, err := b.querier().Query(b.ctx, p, func(piece *httpapi.Piece) error {
		n += len(piece.Rows.Time)
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return n, explain
}
