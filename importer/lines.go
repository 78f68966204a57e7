package importer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/varvedb/varve/protocol/lineproto"
)

// Lines of a file are written in rounds of Config.RoundBytes. A round is
// divided among lanes by series, so that lanes write side by side and of two
// points with the same series and time the later still wins: a series has one
// lane, which writes one body after the other. A round is done when all lanes
// have stored their part of it; rounds are done in the order of the file, which
// is what makes a position to resume from.
//
// A body that is refused, or of which rows are left out, is narrowed down to
// the rows in question: lines that cannot be read are found by the parser,
// others by halving the body and writing the halves again, which does no harm.

// lane writes the parts of rounds that have its series.
type lane struct {
	write func(ctx context.Context, text []byte) (values int64, err error)
	check *lineproto.Parser // of bodies that were refused
	in    chan *round
}

// round is a stretch of the file.
type round struct {
	row     int64 // number of its first line
	end     int64 // where it ends in the file
	rows    int64 // newlines in it
	buf     []byte
	parts   []lineproto.Part
	results []result // of each lane
	left    atomic.Int32
	done    chan struct{}
}

// result is what became of a part.
type result struct {
	points, values int64
	bad, dropped   int64
	rejects        []Reject
	err            error
}

var newline = []byte{'\n'}

// maxRounds is how many rounds are under way: one that lanes finish, one that
// they go on with, and one that is being read.
const maxRounds = 3

// Lines imports line protocol. The report is valid with an error too.
func Lines(ctx context.Context, src io.Reader, dst Destination, precision lineproto.Precision, cfg Config) (Report, error) {
	if err := cfg.Validate(); err != nil {
		return Report{}, err
	}
	r := &run{cfg: &cfg, dst: dst}
	now := cfg.Now().UnixNano()
	text, asText := dst.(TextDestination)
	asText = asText && text.TakesPrecision(precision)

	pcfg := lineproto.Default()
	pcfg.SkipBadLines = true
	pcfg.MaxLineBytes = cfg.MaxRowBytes
	pcfg.MaxErrors = cfg.RoundBytes // all of them: no line is shorter than a byte
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	lanes := make([]*lane, cfg.Lanes)
	for i := range lanes {
		l := &lane{check: lineproto.NewParser(pcfg), in: make(chan *round, maxRounds)}
		if asText {
			l.write = func(ctx context.Context, body []byte) (int64, error) {
				return 0, text.WriteText(ctx, body, precision)
			}
		} else {
			l.write = parsing(lineproto.NewParser(pcfg), dst, precision, now)
		}
		lanes[i] = l
		wg.Go(func() {
			for rd := range l.in {
				res := &rd.results[i]
				if res.err = ctx.Err(); res.err == nil {
					res.err = l.part(ctx, &rd.parts[i], rd.row, res)
				}
				if res.err != nil {
					cancel()
				}
				if rd.left.Add(-1) == 0 {
					close(rd.done)
				}
			}
		})
	}
	defer func() {
		cancel()
		for _, l := range lanes {
			close(l.in)
		}
		wg.Wait()
	}()
	err := r.rounds(ctx, lineproto.NewSplitter(src, cfg.RoundBytes, cfg.MaxRowBytes), lanes)
	return r.report, err
}

// parsing returns what writes a body to a destination of batches.
func parsing(p *lineproto.Parser, dst Destination, precision lineproto.Precision, now int64) func(context.Context, []byte) (int64, error) {
	return func(ctx context.Context, body []byte) (int64, error) {
		b, err := p.Parse(body, precision, now)
		if err != nil {
			return 0, &BodyError{Reason: err.Error()}
		}
		values := int64(b.Values())
		if b.Rows() > 0 {
			err = dst.Write(ctx, b)
		}
		if n := p.Dropped(); n > 0 && (err == nil || droppedRows(err) > 0) {
			reason := p.Conflicts()[0].String()
			err = &leftOutError{n + droppedRows(err), reason}
		}
		return values, err
	}
}

// leftOutError says that rows were left out by the parser, and perhaps by the
// destination too.
type leftOutError struct {
	rows   int
	reason string
}

func (e *leftOutError) Error() string { return e.reason }

func (e *leftOutError) DroppedRows() int { return e.rows }

// rounds reads the file and hands it to the lanes. The end of the source, or
// an error of it, counts only after the rounds before.
func (r *run) rounds(ctx context.Context, split *lineproto.Splitter, lanes []*lane) error {
	var open, free []*round
	at, row := r.cfg.Start.Offset, r.cfg.Start.Rows+1
	for {
		var rd *round
		if n := len(free); n > 0 {
			rd, free = free[n-1], free[:n-1]
		} else {
			rd = &round{parts: make([]lineproto.Part, len(lanes)), results: make([]result, len(lanes))}
		}
		chunk, end := split.Next(rd.buf)
		if end == nil {
			rd.buf = chunk.Data[:0]
			chunk.Divide(rd.parts)
			rd.row, rd.rows = row, int64(bytes.Count(chunk.Data, newline))
			at += int64(len(chunk.Data))
			row += rd.rows
			rd.end, rd.done = at, make(chan struct{})
			rd.left.Store(int32(len(lanes)))
			clear(rd.results)
			for _, l := range lanes {
				l.in <- rd
			}
			open = append(open, rd)
		}
		for len(open) >= maxRounds || end != nil && len(open) > 0 {
			if err := r.finish(open[0]); err != nil {
				return err
			}
			free, open = append(free, open[0]), open[1:]
		}
		if errors.Is(end, io.EOF) {
			return nil
		}
		if end != nil {
			return end
		}
		if err := ctx.Err(); err != nil && len(open) == 0 {
			return err
		}
	}
}

// finish waits for a round and accounts for it.
func (r *run) finish(rd *round) error {
	<-rd.done
	var rejects []Reject
	var err error
	for i := range rd.results {
		res := &rd.results[i]
		// Of several errors the first that is not the end of the others.
		if res.err != nil && (err == nil || errors.Is(err, context.Canceled)) {
			err = res.err
		}
		r.report.Points += res.points
		r.report.Values += res.values
		r.report.Bad += res.bad
		r.report.Dropped += res.dropped
		rejects = append(rejects, res.rejects...)
	}
	if err != nil {
		return fmt.Errorf("write the lines from row %d on: %w", rd.row, err)
	}
	slices.SortFunc(rejects, func(a, b Reject) int { return int(a.Row - b.Row) })
	if err := r.reject(rejects); err != nil {
		return err
	}
	return r.reached(Position{Offset: rd.end, Rows: rd.row + rd.rows - 1})
}

// part writes a part of a round.
func (l *lane) part(ctx context.Context, p *lineproto.Part, row int64, res *result) error {
	return l.stretch(ctx, p, 0, p.Len(), row, res)
}

// stretch writes lines i to j-1 of p, and finds those that are not taken.
func (l *lane) stretch(ctx context.Context, p *lineproto.Part, i, j int, row int64, res *result) error {
	if i == j {
		return nil
	}
	text := p.Text(i, j)
	values, err := l.write(ctx, text)
	var body *BodyError
	switch dropped := droppedRows(err); {
	case err == nil:
		res.points += int64(j - i)
		res.values += values
		return nil
	case dropped >= j-i && (j-i == 1 || l.agree(text)):
		res.dropped += int64(j - i)
		res.note(p, i, j, row, err.Error())
		return nil
	case dropped > 0:
		return l.halves(ctx, p, i, j, row, res)
	case !errors.As(err, &body):
		return err
	case j-i == 1:
		res.bad++
		res.note(p, i, j, row, body.Reason)
		return nil
	case body.TooLarge:
		return l.halves(ctx, p, i, j, row, res)
	}
	good, bad := l.sift(p, i, j)
	if bad == nil {
		return l.halves(ctx, p, i, j, row, res)
	}
	for k, line := range bad {
		res.bad++
		res.note(p, k, k+1, row, line)
	}
	return l.stretch(ctx, good, 0, good.Len(), row, res)
}

// agree reports whether no line contradicts another one. If one does, a line
// may have been left out because of another that was left out too.
func (l *lane) agree(text []byte) bool {
	_, err := l.check.Parse(text, lineproto.Nanosecond, 0)
	return err == nil && l.check.Dropped() == 0
}

func (l *lane) halves(ctx context.Context, p *lineproto.Part, i, j int, row int64, res *result) error {
	mid := i + (j-i)/2
	if err := l.stretch(ctx, p, i, mid, row, res); err != nil {
		return err
	}
	return l.stretch(ctx, p, mid, j, row, res)
}

// sift parts the lines that can be read from those that cannot, with the
// reasons; nil if all can.
func (l *lane) sift(p *lineproto.Part, i, j int) (good *lineproto.Part, bad map[int]string) {
	_, err := l.check.Parse(p.Text(i, j), lineproto.Nanosecond, 0)
	var all *lineproto.ParseError
	if !errors.As(err, &all) {
		return p, nil
	}
	reasons := make(map[int]string, len(all.Lines))
	for _, e := range all.Lines {
		reasons[e.Line] = e.Error()
	}
	good, bad = new(lineproto.Part), make(map[int]string)
	at := 1 // the number of a line by its newlines, as the parser counts
	for k := i; k < j; k++ {
		line := p.Text(k, k+1)
		if reason, ok := reasons[at]; ok {
			bad[k] = reason
		} else {
			good.Add(line, p.Rows[k])
		}
		at += bytes.Count(line, newline)
	}
	if len(bad) == 0 {
		return p, nil
	}
	return good, bad
}

// note remembers lines i to j-1 with why they were not taken.
func (res *result) note(p *lineproto.Part, i, j int, row int64, reason string) {
	for k := i; k < j; k++ {
		res.rejects = append(res.rejects, Reject{Row: row + int64(p.Rows[k]), Text: slices.Clone(p.Text(k, k+1)), Reason: reason})
	}
}
