package importer

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/protocol/lineproto"
)

// lane is a parser with the chunk that it is at. The chunks of a file go to
// the lanes in turn, and are taken from them in turn, so that they are written
// in their order while the next ones are being parsed.
type lane struct {
	parser *lineproto.Parser
	buf    []byte
	start  chan lineproto.Chunk
	done   chan lineChunk
	busy   bool
}

type lineChunk struct {
	lineproto.Chunk
	batch *column.Batch // nil if no line was good
	err   error
}

// Lines imports line protocol. The report is valid with an error too.
func Lines(ctx context.Context, src io.Reader, dst Destination, precision lineproto.Precision, cfg Config) (Report, error) {
	if err := cfg.Validate(); err != nil {
		return Report{}, err
	}
	r := &run{cfg: &cfg, dst: dst}
	pcfg := lineproto.Default()
	pcfg.SkipBadLines = true
	pcfg.MaxLineBytes = cfg.MaxRowBytes
	now := cfg.Now().UnixNano()

	var wg sync.WaitGroup
	lanes := make([]*lane, cfg.Parsers)
	for i := range lanes {
		l := &lane{parser: lineproto.NewParser(pcfg), start: make(chan lineproto.Chunk, 1), done: make(chan lineChunk, 1)}
		lanes[i] = l
		wg.Go(func() {
			for chunk := range l.start {
				b, err := l.parser.Parse(chunk.Data, precision, now)
				l.done <- lineChunk{chunk, b, err}
			}
		})
	}
	defer func() {
		for _, l := range lanes {
			close(l.start)
		}
		wg.Wait()
	}()
	err := r.lines(ctx, lineproto.NewSplitter(src, cfg.BatchBytes, cfg.MaxRowBytes), lanes)
	return r.report, err
}

// lines feeds the lanes and writes what they made. The end of the source, or
// an error of it, counts only after the chunks before.
func (r *run) lines(ctx context.Context, split *lineproto.Splitter, lanes []*lane) error {
	var end error
	feed := func(l *lane) {
		if end != nil {
			return
		}
		var chunk lineproto.Chunk
		if chunk, end = split.Next(l.buf); end == nil {
			l.buf, l.busy = chunk.Data[:0], true
			l.start <- chunk
		}
	}
	for _, l := range lanes {
		feed(l)
	}
	var bytes int64
	for i := 0; lanes[i%len(lanes)].busy; i++ {
		l := lanes[i%len(lanes)]
		c := <-l.done
		l.busy = false
		if err := ctx.Err(); err != nil {
			return err
		}
		bytes += int64(len(c.Data))
		if err := r.chunk(ctx, l.parser, &c, bytes); err != nil {
			return err
		}
		feed(l)
	}
	if errors.Is(end, io.EOF) {
		return nil
	}
	return end
}

// chunk writes what was parsed and notes what was not.
func (r *run) chunk(ctx context.Context, p *lineproto.Parser, c *lineChunk, bytes int64) error {
	var bad *lineproto.ParseError
	switch {
	case errors.As(c.err, &bad):
		r.report.Bad += int64(len(bad.Lines) + bad.More)
		for i := range bad.Lines {
			r.problem(int64(c.Line+bad.Lines[i].Line-1), bad.Lines[i].Error())
		}
	case c.err != nil:
		return c.err
	}
	r.report.Dropped += int64(p.Dropped())
	for _, conflict := range p.Conflicts() {
		r.problem(int64(c.Line), "in the chunk that begins here: "+conflict.String())
	}
	if c.batch == nil {
		c.batch = &column.Batch{}
	}
	return r.write(ctx, c.batch, int64(c.Line), bytes)
}
