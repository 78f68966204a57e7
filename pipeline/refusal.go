package pipeline

import (
	"context"
	"errors"
	"fmt"

	"github.com/varvedb/varve/pipeline/record"
	"github.com/varvedb/varve/source"
)

// panicked makes of what was recovered why a message is refused.
func panicked(r any) *record.Refusal {
	return &record.Refusal{Reason: "internal_error", Detail: fmt.Sprint(r)}
}

// refusal returns an error of a decoder as a refusal.
func refusal(err error) *record.Refusal {
	var r *record.Refusal
	if errors.As(err, &r) {
		return r
	}
	return &record.Refusal{Reason: "bad_message", Detail: err.Error()}
}

// maxListed is how many records of one message are kept with a reason of their
// own: few bytes can stand for very many records.
const maxListed = 100

// refuse notes that a message is to be kept, or a record of it.
func (w *worker) refuse(place string, m *source.Message, why *record.Refusal, r *record.Record) {
	w.total++
	if place != placeDecode {
		w.behind++
	}
	f := Refused{Place: place, Message: m, Refusal: *why}
	if r != nil {
		f.Record = r.Number
	}
	if n := len(w.refused); n > 0 && w.refused[n-1].Message == m {
		last := &w.refused[n-1]
		if f.Again = last.Again + 1; f.Again >= maxListed {
			last.More++
			return
		}
	}
	w.refused = append(w.refused, f)
}

// refuseMessage notes that a message is to be kept that could not be decoded.
func (w *worker) refuseMessage(m *source.Message, why *record.Refusal) {
	w.refuse(placeDecode, m, why, nil)
	w.count(placeDecode, why.Reason, 1)
}

// refuseRecord notes that a record is to be kept: as a point, if the source brought
// points, else by its message.
func (p *Pipeline) refuseRecord(w *worker, place string, m *source.Message, why *record.Refusal, r *record.Record) {
	if p.format != nil {
		w.refuse(place, m, why, r)
		return
	}
	w.refusePoint(place, m, why, func() string { return w.lines.line(r, r.Time) })
}

// maxPoints bounds the memory and the dead letters of the refused points of one
// batch, in bytes: a series of Prometheus may have a long name and very many
// samples. It is enough for all points of the largest body of a write, whose lines
// have some 60 bytes.
const maxPoints = 512 << 20

// refusePoint notes that a point of a batch is to be kept.
func (w *worker) refusePoint(place string, m *source.Message, why *record.Refusal, row func() string) {
	w.total++
	w.behind++
	if n := len(w.refused); n > 0 && w.size >= maxPoints {
		w.refused[n-1].More++
		return
	}
	f := Refused{Place: place, Message: m, Refusal: *why, Row: row()}
	w.size += minKept + len(f.Row)
	w.refused = append(w.refused, f)
}

// first returns why the first of what was refused was.
func (w *worker) first() string {
	if w.reason == "" && len(w.refused) > 0 {
		return w.refused[0].Error()
	}
	return w.reason
}

// keep keeps what was refused.
func (p *Pipeline) keep(ctx context.Context, w *worker) error {
	if w.points != nil && w.points.Left != nil {
		if err := p.keepLeft(ctx, w); err != nil {
			return err
		}
	}
	return p.letters(ctx, w, w.refused)
}

// keepLeft keeps what the source left out of a batch, some of it at a time.
func (p *Pipeline) keepLeft(ctx context.Context, w *worker) error {
	var part []Refused
	size := 0
	for l := range w.points.Left {
		w.total += l.Points
		w.count(placeDecode, l.Reason, l.Points)
		if n := len(part); n > 0 && w.size >= maxPoints {
			part[n-1].More += l.Points
			continue
		}
		if size >= maxKeptBatch {
			if err := p.letters(ctx, w, part); err != nil {
				return err
			}
			part, size = part[:0], 0
		}
		f := Refused{Place: placeDecode, Message: w.points, Refusal: record.Refusal{Reason: l.Reason, Detail: l.Detail}, Row: l.Row, More: l.Points - 1}
		if w.reason == "" {
			w.reason = f.Error()
		}
		size += minKept + len(f.Row)
		w.size += minKept + len(f.Row)
		part = append(part, f)
	}
	return p.letters(ctx, w, part)
}

// letters keeps some of what was refused.
func (p *Pipeline) letters(ctx context.Context, w *worker, refused []Refused) error {
	if len(refused) == 0 {
		return nil
	}
	for _, d := range p.dead {
		if err := d.Keep(ctx, p.name, w.context.Arrived, refused); err != nil {
			return err
		}
	}
	return nil
}
