// Package lineproto turns InfluxDB line protocol into a column.Batch and back.
// It is pure: bytes in, rows out; whether the rows suit what is stored is for
// the caller to find out. AppendLines renders rows as lines that parse to the
// same rows.
//
// A Parser keeps what it learned from one body to the next, belongs to one
// goroutine at a time, and is meant to be pooled. A Splitter cuts a stream
// into bodies that parsers take in parallel.
//
// How a line is read, and why it is fast:
//
//  1. The text up to the fields is looked up as it stands in a cache of
//     series, without a look at the tags; first the series that followed the
//     previous one the last time is compared. Only a text not seen before is
//     split, unescaped, put in order and hashed.
//  2. A field is guessed to be the one that followed its predecessor the last
//     time. If its name is there, its column is known without a lookup.
//  3. Digits are read eight at a time, and floats are made of two exact
//     parts where that rounds correctly, else by strconv.
//  4. The value is appended to its column. The row exists once its time is
//     appended, at the end of the line; if the line turns out to be bad, the
//     columns are cut back to the rows before.
//
// A column is completed with nulls when its next value comes or at the end, so
// that an absent field costs nothing at its line.
//
// Rejected: splitting the body into lines first. Quotes would have to be
// followed twice, and the good line, which is nearly every one, needs it only
// where it ends.
//
// Where lines are not as they should be, this package does what InfluxDB 2
// does, with its words, but for: a carriage return before a newline is
// dropped; a backslash does not keep a newline from ending the line; text
// behind the closing quote of a string is an error; a name that is both tag
// and field is a conflict.
package lineproto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/varvedb/varve/column"
)

// timeName is a name that neither a tag nor a field may have.
const timeName = "time"

// ErrBodyTooLarge says that a body is beyond what a batch can address.
var ErrBodyTooLarge = errors.New("line protocol: body is larger than 1 GiB")

// Parser decodes bodies one after the other.
type Parser struct {
	cfg   Config
	cache seriesCache

	tables    []*table
	tableIDs  map[string]uint32
	nameBytes int // of tables, not counting rows
	rowBytes  int // of tables, for rows

	// Of the present body.
	batch    uint64 // its number
	epoch    uint32 // of the last output table
	out      column.Batch
	open     []*table // tables with lines
	guess    uint32   // entry that the next line may have
	previous uint32   // entry of the line before
	space    int      // a space such that there is none between here and it
	columns  int      // fields and tag keys of all output tables
	excess   int      // sum over the output tables
	rows     int

	reasons   []Conflict // of rows that were dropped
	conflicts int        // of reasons, those that stand for all rows of their kind
	left      []leftRow
	dropped   int
	errs      ParseError
	counted   int // newlines in body[:counted] are in line
	line      int

	// Of the present line.
	fresh    []uint32 // columns that got their type
	lively   []uint32 // columns that got their first value
	conflict Conflict // why it will be dropped, if it has a kind
	written  int      // values that count as fields

	// Scratch.
	measurement []byte
	tags        []column.Tag
	names       []byte
	canonical   []byte
	shapeKey    []byte
	text        []byte
}

// NewParser returns a parser with the limits of cfg, which is valid.
func NewParser(cfg Config) *Parser {
	return &Parser{cfg: cfg, cache: newSeriesCache(), tableIDs: map[string]uint32{}}
}

// Parse decodes a body. Timestamps count in precision; a line without one
// gets now, nanoseconds since 1970, cut to precision as InfluxDB does. The
// batch is valid until the next Parse and shares no memory with body.
//
// If lines are bad the error is a *ParseError. The batch is then nil, or
// holds the rest with Config.SkipBadLines. Rows that are well written but
// contradict others are left out without an error: see Left.
func (p *Parser) Parse(body []byte, precision Precision, now int64) (*column.Batch, error) {
	if len(body) > maxBodyBytes {
		return nil, ErrBodyTooLarge
	}
	p.begin()
	now = floor(now, int64(precision))
	for i := 0; i < len(body); {
		i = p.parseLine(body, i, precision, now)
	}
	return p.finish()
}

// Conflicts returns what was dropped by the last Parse for other reasons than
// syntax, at most a hundred kinds. It is valid until the next one.
func (p *Parser) Conflicts() []Conflict { return p.reasons[:p.conflicts] }

// Dropped returns the number of rows that the last Parse dropped so.
func (p *Parser) Dropped() int { return p.dropped }

// Left returns what the last Parse, which was of body, dropped so.
func (p *Parser) Left(body []byte) Left {
	return Left{Conflicts: p.Conflicts(), Rows: p.dropped, listed: p.left, reasons: p.reasons, body: body}
}

// MemoryBytes returns roughly what the parser holds: the names and series that
// it knows and, from the last Parse on, buffers for rows.
func (p *Parser) MemoryBytes() int {
	return p.cache.bytes() + p.nameBytes + p.rowBytes + p.leftBytes()
}

func (p *Parser) leftBytes() int { return leftBytes*cap(p.left) + conflictBytes*cap(p.reasons) }

// floor returns the largest multiple of unit that is not above t.
func floor(t, unit int64) int64 {
	r := t % unit
	if r < 0 {
		r += unit
	}
	return t - r
}

func (p *Parser) begin() {
	p.trim()
	p.batch++
	p.out.Tables = p.out.Tables[:0]
	p.open = p.open[:0]
	p.space, p.columns, p.excess, p.rows = -1, 0, 0, 0
	p.reasons, p.conflicts, p.left, p.dropped = p.reasons[:0], 0, p.left[:0], 0
	p.errs, p.counted, p.line = ParseError{}, 0, 1
}

// trim brings what is kept between bodies within its limit.
func (p *Parser) trim() {
	limit := p.cfg.CacheBytes
	switch {
	case p.nameBytes > limit/2 || p.epoch > math.MaxUint32/2:
		// Names nobody may ask for again: start anew.
		p.tables, p.tableIDs, p.open = nil, map[string]uint32{}, nil
		p.nameBytes, p.rowBytes, p.epoch = 0, 0, 0
		p.resetCache()
	case p.cache.bytes() > limit || p.cache.full():
		p.resetCache()
	}
	if p.leftBytes() > limit/16 {
		p.reasons, p.left = nil, nil
	}
	recent := 0
	for _, t := range p.open {
		recent += t.bytes
	}
	if p.rowBytes-recent > limit {
		for _, t := range p.tables {
			if t.batch != p.batch {
				p.rowBytes -= t.bytes
				t.free()
			}
		}
	}
}

func (p *Parser) resetCache() {
	p.cache.reset(p.cfg.CacheBytes)
	p.guess, p.previous = 0, 0
}

func (p *Parser) finish() (*column.Batch, error) {
	for _, t := range p.open {
		t.seal()
		p.rowBytes += t.measure()
	}
	tables := p.out.Tables[:0]
	for _, t := range p.out.Tables {
		if len(t.Time) > 0 {
			tables = append(tables, t)
		}
	}
	p.out.Tables = tables
	if len(p.errs.Lines) == 0 {
		return &p.out, nil
	}
	errs := p.errs
	if !p.cfg.SkipBadLines {
		return nil, &errs
	}
	return &p.out, &errs
}

// openTable begins the rows of t in this body.
func (p *Parser) openTable(t *table) {
	t.batch = p.batch
	for _, f := range t.used {
		t.cols[f].empty()
		t.cols[f].typ = 0
	}
	t.used = t.used[:0]
	t.row, t.time = t.row[:0], t.time[:0]
	p.open = append(p.open, t)
	p.openOutput(t)
}

// openOutput begins an output table of t.
func (p *Parser) openOutput(t *table) {
	p.epoch++
	t.epoch = p.epoch
	t.live, t.values, t.excess = 0, 0, 0
	t.out.Reset(t.name)
	p.out.Tables = append(p.out.Tables, t.out)
}

// continueTable goes on with a further output table.
func (p *Parser) continueTable(t *table) {
	t.seal()
	t.detach()
	for _, f := range t.used {
		t.cols[f].empty()
	}
	p.openOutput(t)
}

// parseLine reads the line at b[i] and returns where the next one begins.
func (p *Parser) parseLine(b []byte, i int, unit Precision, now int64) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == 0) {
		i++
	}
	if i == len(b) {
		return i
	}
	switch b[i] {
	case '\n':
		return i + 1
	case '\r':
		if i+1 == len(b) || b[i+1] == '\n' {
			return i + 1
		}
	case '#':
		if n := bytes.IndexByte(b[i:], '\n'); n >= 0 {
			return i + n + 1
		}
		return len(b)
	}
	start := i

	// Measurement and tags.
	id := p.guess
	g := &p.cache.entries[id]
	if i += int(g.len); i >= len(b) || b[i] != ' ' ||
		string(p.cache.text[g.off:g.off+g.len]) != string(b[start:i]) {
		var reason string
		if id, i, reason = p.findKey(b, start); reason != "" {
			return p.refuse(nil, b, start, reason)
		}
	}
	p.guess, p.previous = p.cache.entries[id].next, id
	keyLen := i - start
	e := &p.cache.entries[p.cache.entries[id].owner]
	t := p.tables[e.table]
	if t.batch != p.batch {
		if len(p.open) >= p.cfg.MaxTables {
			return p.refuse(nil, b, start, fmt.Sprintf("too many measurements in one body: more than %d", p.cfg.MaxTables))
		}
		p.openTable(t)
	}
	row := len(t.time)
	p.written = 0
	if len(p.fresh)+len(p.lively) > 0 {
		p.fresh, p.lively = p.fresh[:0], p.lively[:0]
	}
	if p.conflict.Kind != 0 {
		p.conflict = Conflict{}
	}

	// Fields.
	for i++; i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == 0); i++ {
	}
	guess, before := t.first, uint32(noField)
	longest := maxKeyBytes - fieldSeparatorBytes - keyLen + len("=")
	for fields := 1; ; fields++ {
		var c *col
		if i+16 <= len(b) && int(guess) < len(t.cols) {
			c = &t.cols[guess]
			x0 := binary.LittleEndian.Uint64(b[i:])
			x1 := binary.LittleEndian.Uint64(b[i+8:])
			if (x0^c.w0)&c.m0|(x1^c.w1)&c.m1 != 0 || c.len > 16 && !c.named(b[i:]) {
				c = nil
			}
		}
		if c != nil {
			i += int(c.len)
			before = guess
		} else {
			var reason string
			var at uint32
			if at, i, reason = p.findField(t, b, i, guess, before); reason != "" {
				return p.refuse(t, b, start, reason)
			}
			if at != noField {
				c = &t.cols[at]
				before = at
			}
		}
		if c != nil {
			guess = c.next
			if int(c.len) > longest {
				return p.refuse(t, b, start, fmt.Sprintf("max key length exceeded: %d > %d",
					maxKeyBytes+int(c.len)-longest, maxKeyBytes))
			}
		}
		if fields > p.cfg.MaxFields {
			return p.refuse(t, b, start, fmt.Sprintf("too many fields: more than %d", p.cfg.MaxFields))
		}
		if i >= len(b) {
			return p.refuse(t, b, start, missingFieldValue)
		}

		var w uint64
		var typ column.Type
		switch ch := b[i]; {
		case ch-'0' <= 9 || ch == '-' || ch == '.' || ch|0x20 == 'n':
			var end int
			w, typ, end = number(b, i)
			if typ == 0 {
				var reason string
				if w, typ, end, reason = slowNumber(b, i); reason != "" {
					return p.refuse(t, b, start, reason)
				}
			}
			i = end
		case ch == '"':
			text, end := p.str(b, i)
			if end < 0 {
				return p.refuse(t, b, start, unbalancedQuotes)
			}
			if !ends(b, end) {
				return p.refuse(t, b, start, invalidField)
			}
			i = end
			if c != nil {
				p.putString(t, c, row, text)
			}
		case ends(b, i):
			return p.refuse(t, b, start, missingFieldValue)
		default:
			var ok bool
			typ = column.Bool
			if w, i, ok = boolean(b, i); !ok {
				return p.refuse(t, b, start, invalidBoolean)
			}
		}
		if c != nil && typ != 0 {
			if c.hot == typ && len(c.words) == row {
				c.words = append(c.words, w)
				p.written++
			} else {
				p.put(t, c, row, typ, w)
			}
		}
		if i < len(b) && b[i] == ',' {
			i++
			continue
		}
		break
	}
	to := i

	// Time.
	when := now
	if i < len(b) && b[i] == ' ' {
		for i++; i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == 0); i++ {
		}
		if !endsLine(b, i) {
			var reason string
			if when, i, reason = timestamp(b, i, unit); reason != "" {
				return p.refuse(t, b, start, reason)
			}
			for i < len(b) && b[i] == ' ' {
				i++
			}
			if !endsLine(b, i) {
				return p.refuse(t, b, start, invalidPoint)
			}
		}
	}
	if i-start > p.cfg.MaxLineBytes {
		return p.refuse(t, b, start, p.tooLong(i-start))
	}
	if i < len(b) && b[i] == '\r' {
		i++
	}
	next := i + 1

	// The row.
	if p.written == 0 && p.conflict.Kind == 0 {
		p.conflict = Conflict{Kind: TimeField, Measurement: t.name, Name: timeName}
	}
	if e.epoch != t.epoch && p.conflict.Kind == 0 && t.shapes[e.shape].epoch != t.epoch {
		if reason := p.openShape(t, &t.shapes[e.shape]); reason != "" {
			return p.refuse(t, b, start, reason)
		}
	}
	if p.conflict.Kind != 0 {
		p.drop(t, row, leftRow{from: uint32(start), to: uint32(to), time: when})
		return next
	}
	if e.epoch != t.epoch {
		key := p.cache.text[e.off+e.key : e.off+e.len]
		e.row = t.out.Series.Add(key, e.hash)
		e.epoch = t.epoch
	}
	t.row = append(t.row, e.row)
	t.time = append(t.time, when)
	t.values += p.written
	p.rows++
	if nulls := t.live*len(t.time) - (nullsPerValue+1)*t.values; nulls > 0 || t.excess > 0 {
		p.limitNulls(t, nulls)
	}
	return next
}

// nullsPerValue is how many absent values each present one allows, besides
// Config.MaxNulls: up to there a row of mostly nulls costs less than a
// further table.
const nullsPerValue = 8

// limitNulls continues t in a new table if nulls, what it has beyond what its
// values allow, bring the batch beyond its limit.
func (p *Parser) limitNulls(t *table, nulls int) {
	nulls = max(nulls, 0)
	p.excess += nulls - t.excess
	t.excess = nulls
	if nulls > 0 && p.excess > p.cfg.MaxNulls {
		p.continueTable(t)
	}
}

// endsLine reports whether a line ends before b[i].
func endsLine(b []byte, i int) bool {
	return i >= len(b) || b[i] == '\n' || b[i] == '\r' && (i+1 == len(b) || b[i+1] == '\n')
}

func (p *Parser) tooLong(n int) string {
	return fmt.Sprintf("line too long: %d bytes > %d", n, p.cfg.MaxLineBytes)
}

func (p *Parser) tooManyColumns() string {
	return fmt.Sprintf("too many field and tag keys in one body: more than %d", p.cfg.MaxColumns)
}

// findKey returns the entry of the key at b[i], made if it is new, and where
// the key ends.
func (p *Parser) findKey(b []byte, i int) (id uint32, end int, reason string) {
	end, spaced := p.keyEnd(b, i)
	if spaced {
		text := b[i:end]
		hash := hashText(text, false)
		if id = p.cache.find(text, hash, false); id == 0 {
			id, reason = p.addKey(text, hash, true)
		}
		p.cache.entries[p.previous].next = id
		p.cache.entries[0].next = 0
		return id, end, reason
	}
	if end > i && b[end-1] == '\r' {
		end--
	}
	return 0, end, p.splitKey(b[i:end], false)
}

// openShape adds the tag keys of s to the output table.
func (p *Parser) openShape(t *table, s *shape) (reason string) {
	if s.time {
		p.conflict = Conflict{Kind: TimeTag, Measurement: t.name, Name: timeName}
		return ""
	}
	for _, k := range s.tags {
		name := t.tags[k].name
		if f, ok := t.fields[name]; ok && t.cols[f].typ != 0 {
			p.conflict = Conflict{Kind: NameConflict, Measurement: t.name, Name: name}
			return ""
		}
	}
	if p.columns+len(s.tags) > p.cfg.MaxColumns {
		return p.tooManyColumns()
	}
	for _, k := range s.tags {
		tag := &t.tags[k]
		tag.batch = p.batch
		if tag.epoch != t.epoch {
			tag.epoch = t.epoch
			t.out.TagKeys = append(t.out.TagKeys, tag.name)
			p.columns++
		}
	}
	s.epoch = t.epoch
	return ""
}

// drop leaves the present row out, which is l.
func (p *Parser) drop(t *table, row int, l leftRow) {
	p.undo(t, row)
	p.dropped++
	at := 0
	for ; at < p.conflicts; at++ {
		c := &p.reasons[at]
		p.conflict.Rows = c.Rows
		if *c == p.conflict {
			c.Rows++
			break
		}
	}
	keep := len(p.left) < p.cfg.MaxLeft
	if at == p.conflicts && (at < maxConflicts || keep) {
		// Beyond a hundred kinds each row has a reason of its own, so that rows of
		// many kinds are not compared with all of them.
		at = len(p.reasons)
		p.conflict.Rows = 1
		p.reasons = append(p.reasons, p.conflict)
		p.conflicts = min(len(p.reasons), maxConflicts)
	}
	if keep {
		l.reason = uint32(at)
		p.left = append(p.left, l)
	}
}

// undo cuts the columns of t back to the rows before the present line.
func (p *Parser) undo(t *table, row int) {
	for _, f := range t.used {
		t.cols[f].truncate(row)
	}
	for _, f := range p.lively {
		t.cols[f].empty()
		t.live--
		p.columns--
	}
	for _, f := range p.fresh {
		t.cols[f].typ = 0
	}
	t.used = t.used[:len(t.used)-len(p.fresh)]
	p.fresh, p.lively = p.fresh[:0], p.lively[:0]
}

// refuse notes that the line at b[start] is bad and returns where the next
// one begins. t is its table if it got so far.
func (p *Parser) refuse(t *table, b []byte, start int, reason string) int {
	if t != nil {
		p.undo(t, len(t.time))
	}
	end := lineEnd(b, start)
	next := end + 1
	if end > start && b[end-1] == '\r' {
		end--
	}
	if len(p.errs.Lines) == p.cfg.MaxErrors {
		p.errs.More++
		return next
	}
	if end-start > p.cfg.MaxLineBytes {
		reason = p.tooLong(end - start)
	}
	p.line += bytes.Count(b[p.counted:start], newline)
	p.counted = start
	text := b[start:min(end, start+p.cfg.MaxErrorText)]
	p.errs.Lines = append(p.errs.Lines, LineError{Line: p.line, Text: bytes.Clone(text), Reason: reason})
	return next
}
