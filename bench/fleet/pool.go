package fleet

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// PoolConfig says how many bodies are rendered beforehand.
type PoolConfig struct {
	Fleet Config
	// BodyLines is the number of lines of a body; the last body of a round
	// may have fewer.
	BodyLines int
	// MaxBytes bounds the memory of the bodies. A round is as many whole
	// intervals as fit, and at least one.
	MaxBytes int64
	// MaxRows is the number of rows that will be wanted: no more are
	// rendered than that, rounded up to whole intervals. 0 means no bound.
	MaxRows int64
}

// Pool is a round of bodies. The second round is the first with every
// timestamp later by the length of a round, the third later by two, and so on:
// values repeat from round to round, with a jump where a round ends, and so do
// the gaps. A measurement of bytes on disk must therefore fit into one round:
// a compressor may see the repetition.
type Pool struct {
	bodies []Body
	rows   int64
	values int64
	bytes  int64
	steps  int64
	span   int64 // nanoseconds from the start of a round to the start of the next
}

// Body is a request body of whole lines.
type Body struct {
	mu     sync.Mutex // held from Take to Release: guards text and round
	text   []byte
	ends   []uint32 // end of each line's timestamp in text
	values int
	round  int64 // of the timestamps in text
}

// NewPool renders a round.
func NewPool(cfg PoolConfig) (*Pool, error) {
	if err := cfg.Fleet.Validate(); err != nil {
		return nil, err
	}
	switch {
	case cfg.BodyLines < 1 || cfg.BodyLines > 1_000_000:
		return nil, fmt.Errorf("fleet: %d lines a body: want 1 to 1,000,000", cfg.BodyLines)
	case cfg.MaxBytes < 1<<20:
		return nil, fmt.Errorf("fleet: pool of %d bytes: want 1 MiB or more", cfg.MaxBytes)
	case cfg.MaxRows < 0:
		return nil, errors.New("fleet: rows of the pool are negative")
	}
	steps, size := roundOf(cfg)
	g := newGenerator(cfg.Fleet, steps)
	p := &Pool{steps: steps, span: steps * int64(cfg.Fleet.Interval)}
	// One arena, so that the bodies cost the collector nothing. Lines differ
	// in length: what goes beyond it starts another.
	arena := make([]byte, 0, size)
	rows := int64(g.model.rows()) * steps
	ends := make([]uint32, 0, rows)
	for g.Step() < steps {
		if cap(arena)-len(arena) < cfg.BodyLines*maxLine {
			arena = make([]byte, 0, max(int(size/32), cfg.BodyLines*maxLine))
		}
		if cap(ends)-len(ends) < cfg.BodyLines {
			ends = make([]uint32, 0, max(int(rows/32), cfg.BodyLines))
		}
		textAt, endAt, values := len(arena), len(ends), 0
		for len(ends)-endAt < cfg.BodyLines && g.Step() < steps {
			var row Row
			arena, row = g.Append(arena)
			ends = append(ends, uint32(len(arena)-1-textAt))
			values += row.Values
		}
		p.bodies = append(p.bodies, Body{
			text:   arena[textAt:len(arena):len(arena)],
			ends:   ends[endAt:len(ends):len(ends)],
			values: values,
		})
		p.rows += int64(len(ends) - endAt)
		p.values += int64(values)
		p.bytes += int64(len(arena) - textAt)
	}
	return p, nil
}

// maxLine bounds the length of a line: the longest head and ten fields of the
// longest numbers stay below half of it.
const maxLine = 1024

// roundOf works out the intervals of a round and their size from a sample.
func roundOf(cfg PoolConfig) (steps, bytes int64) {
	g := newGenerator(cfg.Fleet, 1<<62)
	perStep := int64(g.model.rows())
	// A row of each device up to a bound: enough for a mean length within a
	// percent, in a few milliseconds.
	sample := min(perStep, 20_000)
	var text []byte
	var length int64
	for range sample {
		text, _ = g.Append(text[:0])
		length += int64(len(text))
	}
	// Device numbers grow longer behind the sample: 3 bytes are more than
	// they do.
	mean := length/sample + 3
	steps = max(1, cfg.MaxBytes/(mean*perStep))
	if cfg.MaxRows > 0 {
		steps = min(steps, (cfg.MaxRows+perStep-1)/perStep)
	}
	return steps, steps*perStep*mean + int64(cfg.BodyLines)*maxLine
}

// Bodies is the number of bodies of a round.
func (p *Pool) Bodies() int { return len(p.bodies) }

// Rows is the number of rows of a round.
func (p *Pool) Rows() int64 { return p.rows }

// Values is the number of field values of a round.
func (p *Pool) Values() int64 { return p.values }

// Bytes is the size of the bodies of a round.
func (p *Pool) Bytes() int64 { return p.bytes }

// Span is the time from the first interval of a round to that of the next.
func (p *Pool) Span() time.Duration { return time.Duration(p.span) }

// Take returns body number n of the endless stream, its timestamps those of
// its round. Nobody else can take the same memory until Release. Safe for
// concurrent use.
func (p *Pool) Take(n int64) *Body {
	b := &p.bodies[n%int64(len(p.bodies))]
	b.mu.Lock()
	b.stamp(n/int64(len(p.bodies)), p.span)
	return b
}

// BodyRows is the number of rows of body number n.
func (p *Pool) BodyRows(n int64) int { return len(p.bodies[n%int64(len(p.bodies))].ends) }

// Release gives the body back. Its text must not be read any more.
func (b *Body) Release() { b.mu.Unlock() }

// Text is the body in line protocol. It is valid until Release.
func (b *Body) Text() []byte { return b.text }

// Rows is the number of lines.
func (b *Body) Rows() int { return len(b.ends) }

// Values is the number of field values.
func (b *Body) Values() int { return b.values }

// stamp moves the timestamps to another round, in place.
func (b *Body) stamp(round, span int64) {
	if round == b.round {
		return
	}
	shift := (round - b.round) * span
	b.round = round
	// Most neighbours share their time: what was computed for one line is
	// copied to the next.
	var was, is [stampLen]byte
	for _, end := range b.ends {
		at := b.text[end-stampLen : end]
		if [stampLen]byte(at) != was {
			was = [stampLen]byte(at)
			putStamp(is[:], stampAt(at)+shift)
		}
		copy(at, is[:])
	}
}
