package detect

import (
	"cmp"
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/pipeline/declare"
	"github.com/varvedb/varve/pipeline/record"
)

// DeduplicateConfig is what counts as a repeat.
type DeduplicateConfig struct {
	// Key are the tags and fields by which a repeat is told; nil: measurement,
	// tags, time and all fields.
	Key    []string
	Within time.Duration // since the first arrived
	Most   int           // records that are remembered
}

// DeclareDeduplicate reads
//
//	deduplicate: {within: 10m, key: [device, message_id], remember: 1000000}
func DeclareDeduplicate(s *declare.Map) DeduplicateConfig {
	return DeduplicateConfig{
		Key:    s.Strings("key"),
		Within: s.Duration("within", 10*time.Minute),
		Most:   s.Int("remember", DefaultSeries, 1),
	}
}

// Deduplicate drops records that came already. It remembers the newest records
// of passes that ended well, those excepted that were refused behind it, at most
// so many and so long, 24 bytes and a place in a map each.
type Deduplicate struct {
	c  DeduplicateConfig
	id identity

	mu sync.Mutex // guards all below
	// seen has the records that are remembered (0), and those of passes that have
	// not ended (their number).
	seen     map[fingerprint]uint64
	passes   uint64    // that began
	arrivals []arrival // of those remembered, a ring, oldest at head
	head, n  int
	evicted  uint64 // that went before their time

	pool sync.Pool // of *deduplicatePass
}

type arrival struct {
	key fingerprint
	at  int64
}

// fingerprint tells records apart: texts by 64 bits each, numbers and times by
// themselves, all of them together by 128 bits, in any order.
type fingerprint [2]uint64

func (f *fingerprint) add(name, value uint64) {
	f[0] += mix(name, value)
	f[1] += mix(value^0xA0761D6478BD642F, name^0xE7037ED1A0B428DB)
}

// NewDeduplicate returns a detector that has seen nothing.
func NewDeduplicate(c DeduplicateConfig) *Deduplicate {
	c.Most = max(c.Most, 1)
	return &Deduplicate{c: c, id: newIdentity(nil), seen: map[fingerprint]uint64{}}
}

// Stats tells how full the state is.
func (d *Deduplicate) Stats() Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	return Stats{Series: d.n, Evicted: d.evicted}
}

// key returns what tells a record, false if it has none of what should.
func (d *Deduplicate) key(r *record.Record, now int64) (key fingerprint, ok bool) {
	seed := d.id.seed
	kind := uint64(0)
	if r.Delete {
		kind = 1
	}
	key.add(maphash.String(seed, r.Measurement), kind)
	if d.c.Key == nil {
		key.add(0, uint64(timeOf(r, now)))
		for i := range r.Tags {
			key.add(maphash.String(seed, r.Tags[i].Key), maphash.String(seed, r.Tags[i].Value))
		}
		for i := range r.Fields {
			key.add(maphash.String(seed, r.Fields[i].Name), hashValue(seed, r.Fields[i].Value))
		}
		return key, true
	}
	for _, name := range d.c.Key {
		if v := r.Field(name); v.Type != 0 {
			key.add(maphash.String(seed, name), hashValue(seed, v))
			ok = true
		} else if tag := r.Tag(name); tag != "" {
			key.add(maphash.String(seed, name), maphash.String(seed, tag))
			ok = true
		}
	}
	return key, ok
}

func hashValue(seed maphash.Seed, v record.Value) uint64 {
	if v.Type == column.String {
		return maphash.String(seed, v.Str) + 1
	}
	return v.Word ^ uint64(v.Type)<<56
}

// forget drops what was remembered for long enough.
func (d *Deduplicate) forget(now int64) {
	for d.n > 0 && now-d.arrivals[d.head].at > int64(d.c.Within) {
		d.drop()
	}
}

func (d *Deduplicate) drop() {
	delete(d.seen, d.arrivals[d.head].key)
	d.head = (d.head + 1) % len(d.arrivals)
	d.n--
}

func (d *Deduplicate) remember(a arrival) {
	if pass, ok := d.seen[a.key]; ok && pass == 0 {
		return // of a pass beside this one
	}
	if d.n == len(d.arrivals) {
		if d.n < d.c.Most {
			grown := make([]arrival, min(max(64, 2*d.n), d.c.Most))
			k := copy(grown, d.arrivals[d.head:])
			copy(grown[k:], d.arrivals[:d.head])
			d.arrivals, d.head = grown, 0
		} else {
			d.drop()
			d.evicted++
		}
	}
	d.arrivals[(d.head+d.n)%len(d.arrivals)] = a
	d.n++
	d.seen[a.key] = 0
}

// Anew returns a detector like d that has seen nothing.
func (d *Deduplicate) Anew() Detector { return NewDeduplicate(d.c) }

// Begin starts a pass.
func (d *Deduplicate) Begin() Pass {
	p, ok := d.pool.Get().(*deduplicatePass)
	if !ok {
		p = &deduplicatePass{d: d}
	}
	d.mu.Lock()
	d.passes++
	p.number, p.evicted = d.passes, 0
	d.mu.Unlock()
	return p
}

type deduplicatePass struct {
	d       *Deduplicate
	number  uint64
	passed  []passed
	evicted uint64 // that passed and are not among them any more
}

// passed is a record that was no repeat.
type passed struct {
	arrival
	id        uint64
	forgotten bool // since it was refused
}

// Apply drops r if it came before, in this pass or one that ended well. A record
// that has nothing of a declared key passes; so does one that is also in a pass
// beside this one, since that may not end well.
func (p *deduplicatePass) Apply(r *record.Record, now int64) Outcome {
	key, ok := p.d.key(r, now)
	if !ok {
		return Outcome{}
	}
	p.d.mu.Lock()
	p.d.forget(now)
	pass, seen := p.d.seen[key]
	if !seen {
		p.d.seen[key] = p.number
	}
	p.d.mu.Unlock()
	if seen && (pass == 0 || pass == p.number) {
		return Outcome{Verdict: Dropped, Reason: "duplicate"}
	}
	if len(p.passed) >= 2*p.d.c.Most {
		p.shorten()
	}
	p.passed = append(p.passed, passed{arrival: arrival{key, now}, id: r.ID})
	return Outcome{}
}

// shorten lets go of the older half, which would not be remembered at the end.
func (p *deduplicatePass) shorten() {
	half := len(p.passed) / 2
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	for _, a := range p.passed[:half] {
		if !a.forgotten {
			p.unsee(a.key)
			p.evicted++
		}
	}
	p.passed = p.passed[:copy(p.passed, p.passed[half:])]
}

// unsee lets go of a key that was seen in this pass only. The lock is held.
func (p *deduplicatePass) unsee(key fingerprint) {
	if pass, ok := p.d.seen[key]; ok && pass == p.number {
		delete(p.d.seen, key)
	}
}

// Forget lets the record come again, which was no repeat, in this pass or later.
func (p *deduplicatePass) Forget(id uint64) {
	i, ok := slices.BinarySearchFunc(p.passed, id, func(a passed, id uint64) int { return cmp.Compare(a.id, id) })
	if !ok {
		return
	}
	p.passed[i].forgotten = true
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	p.unsee(p.passed[i].key)
}

// End remembers the records of the pass if they are safe.
func (p *deduplicatePass) End(safe bool) {
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	if safe {
		p.d.evicted += p.evicted
	}
	for _, a := range p.passed {
		switch {
		case a.forgotten: // and another with its key may have come since
		case safe:
			p.d.remember(a.arrival)
		default:
			p.unsee(a.key)
		}
	}
	if cap(p.passed) <= 4*mostPooled {
		p.passed = p.passed[:0]
		p.d.pool.Put(p)
	}
}
