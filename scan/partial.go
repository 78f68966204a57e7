package scan

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/plan"
)

// Partial is what an aggregate came to over some of the series: the states of
// its groups, before any result is taken from them. Partials of one plan over
// disjoint series merge, so that each node condenses what it holds and sends
// no rows.
type Partial struct {
	groups []*groups // by measurement, ascending
}

// Aggregate executes a plan with an Aggregate as far as it can be without the
// series of other shards.
func Aggregate(ctx context.Context, p *plan.Plan, snaps []Snapshot, cfg Config) (*Partial, Stats, error) {
	if p.Aggregate == nil {
		return nil, Stats{}, errors.New("scan: only an aggregate has partial results")
	}
	s, err := Open(ctx, p, snaps, cfg)
	if err != nil {
		return nil, Stats{}, err
	}
	defer s.Close()
	part := &Partial{}
	s.partial = &part.groups
	_, err = s.Next()
	return part, s.Stats(), err
}

// Merge begins to return the results of a plan from partial results over all
// its series.
func Merge(ctx context.Context, p *plan.Plan, parts []*Partial, cfg Config) (*Scan, error) {
	s, err := Open(ctx, p, nil, cfg)
	if err != nil {
		return nil, err
	}
	s.listed = true
	byName := map[string][]*groups{}
	var names []string
	for _, part := range parts {
		for _, g := range part.groups {
			if byName[g.shape.measurement] == nil {
				names = append(names, g.shape.measurement)
			}
			byName[g.shape.measurement] = append(byName[g.shape.measurement], g)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		if err := s.mergeMeasurement(name, byName[name]); err != nil {
			s.Close()
			return nil, fmt.Errorf("merge partial results of %q: %w", name, err)
		}
	}
	return s, nil
}

func (s *Scan) mergeMeasurement(name string, parts []*groups) error {
	var calls []callColumn
	for _, g := range parts {
		for _, c := range g.shape.calls {
			i, found := slices.BinarySearchFunc(calls, c, compareCalls)
			if !found {
				calls = slices.Insert(calls, i, c)
			} else if calls[i].field != c.field {
				return fmt.Errorf("field %q is %s on one node and %s on another", c.field.Name, calls[i].field.Type, c.field.Type)
			}
		}
	}
	sh, err := newShape(s, name, 0, nil)
	if err != nil {
		return err
	}
	for i := range calls {
		calls[i].col = 0 // nothing is read any more
	}
	sh.calls, sh.columns = calls, 1
	all := newGroups(sh, 0)
	for _, g := range parts {
		all.mergeMapped(g)
	}
	if err := s.budget.reserve(all.meters.bytes()); err != nil {
		return err
	}
	return s.present(all)
}

func compareCalls(a, b callColumn) int {
	if a.call != b.call {
		return a.call - b.call
	}
	return strings.Compare(a.field.Name, b.field.Name)
}

// mergeMapped is merge for groups that may lack some of the calls.
func (g *groups) mergeMapped(o *groups) {
	to := make([]meter, len(o.meters.list))
	for i, c := range o.shape.calls {
		at, _ := slices.BinarySearchFunc(g.shape.calls, c, compareCalls)
		to[i] = g.meters.list[at]
	}
	for _, from := range o.list {
		one := g.find(from.key)
		hint := 0
		for i, w := range from.windows {
			slot := g.slot(one, w, &hint)
			for k, m := range o.meters.list {
				to[k].merge(slot, m, from.slots[i], nil)
			}
		}
	}
}

const (
	partialMagic   = "VRVPART"
	partialVersion = 1
)

// Encode returns p as bytes; FORMAT.md has the layout.
func (p *Partial) Encode() []byte {
	b := append([]byte(partialMagic), partialVersion)
	b = binary.AppendUvarint(b, uint64(len(p.groups)))
	for _, g := range p.groups {
		b = appendText(b, []byte(g.shape.measurement))
		b = binary.AppendUvarint(b, uint64(len(g.shape.calls)))
		for _, c := range g.shape.calls {
			b = binary.AppendUvarint(b, uint64(c.call))
			b = appendText(b, []byte(c.field.Name))
			b = append(b, byte(c.field.Type))
		}
		b = binary.AppendUvarint(b, uint64(len(g.list)))
		for _, one := range g.list {
			b = appendText(b, one.key)
			b = binary.AppendUvarint(b, uint64(len(one.windows)))
			for i, w := range one.windows {
				b = binary.AppendVarint(b, w)
				for _, m := range g.meters.list {
					b = m.encode(b, one.slots[i])
				}
			}
		}
	}
	return binary.LittleEndian.AppendUint64(b, xxhash.Sum64(b))
}

// DecodePartial reads what Encode made of a partial result of plan p.
func DecodePartial(p *plan.Plan, b []byte) (*Partial, error) {
	if p.Aggregate == nil {
		return nil, errors.New("decode partial result: the plan has no aggregate")
	}
	head := len(partialMagic) + 1
	switch n := len(b) - 8; {
	case n < head || string(b[:len(partialMagic)]) != partialMagic:
		return nil, errors.New("decode partial result: it is not one")
	case b[len(partialMagic)] != partialVersion:
		return nil, fmt.Errorf("decode partial result: it has version %d, this server knows %d", b[len(partialMagic)], partialVersion)
	case binary.LittleEndian.Uint64(b[n:]) != xxhash.Sum64(b[:n]):
		return nil, errors.New("decode partial result: the checksum does not match")
	default:
		b = b[head:n]
	}
	d := &partialDecoder{plan: p, b: b}
	part := &Partial{}
	for range d.count() {
		part.groups = append(part.groups, d.groups())
	}
	if d.err == nil && len(d.b) > 0 {
		d.err = errState
	}
	if d.err != nil {
		return nil, fmt.Errorf("decode partial result: %w", d.err)
	}
	return part, nil
}

// partialDecoder reads parts until one of them is wrong.
type partialDecoder struct {
	plan *plan.Plan
	b    []byte
	err  error
}

func (d *partialDecoder) uvarint() uint64 {
	n, w := binary.Uvarint(d.b)
	if d.err != nil || w <= 0 {
		d.err = errState
		return 0
	}
	d.b = d.b[w:]
	return n
}

// count reads the number of parts that follow, each of a byte at least.
func (d *partialDecoder) count() uint64 {
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		d.err = errState
		return 0
	}
	return n
}

func (d *partialDecoder) text() []byte {
	if d.err != nil {
		return nil
	}
	s, rest, err := takeText(d.b)
	d.b, d.err = rest, err
	return s
}

func (d *partialDecoder) groups() *groups {
	sh := &shape{aggregate: d.plan.Aggregate, measurement: string(d.text()), columns: 1}
	for range d.count() {
		c := callColumn{call: int(min(d.uvarint(), math.MaxInt32)), field: column.FieldInfo{Name: string(d.text())}}
		if d.err == nil && len(d.b) > 0 {
			c.field.Type, d.b = column.Type(d.b[0]), d.b[1:]
		}
		if d.err == nil && (c.call >= len(sh.aggregate.Calls) || !c.field.Type.Known() || !sh.aggregate.Calls[c.call].Func.Takes(c.field.Type)) {
			d.err = errState
		}
		if d.err != nil {
			return nil
		}
		sh.calls = append(sh.calls, c)
	}
	if !slices.IsSortedFunc(sh.calls, compareCalls) {
		d.err = errState
		return nil
	}
	g := newGroups(sh, 0)
	for range d.count() {
		one := g.find(d.text())
		for range d.count() {
			w, n := binary.Varint(d.b)
			if d.err != nil || n <= 0 || len(one.windows) > 0 && one.windows[len(one.windows)-1] >= w {
				d.err = errState
				return nil
			}
			d.b = d.b[n:]
			slot := g.meters.n
			g.meters.grow(slot + 1)
			one.windows, one.slots = append(one.windows, w), append(one.slots, slot)
			for _, m := range g.meters.list {
				if d.b, d.err = m.decode(d.b, slot); d.err != nil {
					return nil
				}
			}
		}
	}
	return g
}
