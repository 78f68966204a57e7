package lineproto

import (
	"bytes"
	"fmt"
	"math"
	"sort"
	"strconv"
	"strings"

	"github.com/google/go-cmp/cmp"

	"github.com/varvedb/varve/column"
)

// The reference parser does what the package promises in the most obvious
// way: lines first, one character at a time, maps for everything.

type refRow struct {
	measurement string
	key         string // canonical
	time        int64
	fields      map[string]refValue
}

func (r refRow) String() string {
	return fmt.Sprintf("%q %q %d %v", r.measurement, r.key, r.time, r.fields)
}

type refValue struct {
	typ  column.Type
	word uint64
	str  string
}

func (v refValue) String() string {
	if v.typ == column.String {
		return strconv.Quote(v.str)
	}
	return fmt.Sprintf("%v %#x", v.typ, v.word)
}

type refResult struct {
	rows    []refRow
	errs    []LineError
	dropped map[ConflictKind]int
	left    []string // the rows that are dropped
}

type refState struct {
	types map[string]map[string]column.Type // measurement, field
	tags  map[string]map[string]bool        // measurement, tag
}

func reference(cfg Config, body []byte, unit Precision, now int64) refResult {
	res := refResult{dropped: map[ConflictKind]int{}}
	state := refState{map[string]map[string]column.Type{}, map[string]map[string]bool{}}
	number := 1
	for _, raw := range refLines(string(body)) {
		at := number
		number += 1 + strings.Count(raw, "\n")
		line := strings.TrimSuffix(raw, "\r")
		line = strings.TrimLeft(line, " \t\x00")
		if line == "" || line[0] == '#' {
			continue
		}
		row, names, reason := refLine(cfg, line, unit, now)
		if reason == "" && len(line) > cfg.MaxLineBytes || len(line) > cfg.MaxLineBytes {
			reason = fmt.Sprintf("line too long: %d bytes > %d", len(line), cfg.MaxLineBytes)
		}
		if reason != "" {
			res.errs = append(res.errs, LineError{at, []byte(line), reason})
			continue
		}
		if kind := state.check(row, names); kind != 0 {
			res.dropped[kind]++
			res.left = append(res.left, fmt.Sprint(row.refRow, names))
			continue
		}
		res.rows = append(res.rows, row.refRow)
	}
	return res
}

// refLines cuts body into lines.
func refLines(s string) []string {
	var lines []string
	const (
		blank = iota
		comment
		key
		gap
		name
		valueStart
		quoted
		value
		rest
	)
	state, start, prev := blank, 0, byte(0)
	for i := 0; i < len(s); i++ {
		c := s[i]
		space := c == ' ' || c == '\t' || c == 0
		if c == '\n' && state != quoted {
			lines = append(lines, s[start:i])
			start, state, prev = i+1, blank, 0
			continue
		}
		switch state {
		case blank:
			if c == '#' {
				state = comment
			} else if !space {
				state = key
			}
		case key:
			if c == ' ' && prev != '\\' {
				state = gap
			}
		case gap:
			if c == '=' {
				state = valueStart
			} else if !space {
				state = name
			}
		case name:
			if prev != '\\' {
				if c == '=' {
					state = valueStart
				} else if c == ' ' {
					state = rest
				}
			}
		case valueStart, value:
			switch {
			case c == '"' && state == valueStart:
				state = quoted
			case c == ',':
				state = name
			case c == ' ':
				state = rest
			default:
				state = value
			}
		case quoted:
			if c == '\\' {
				i++
			} else if c == '"' {
				state = value
			}
		}
		prev = c
	}
	if start < len(s) {
		lines = append(lines, s[start:])
	}
	return lines
}

type refPoint struct {
	refRow
	tags [][2]string
}

type refName struct {
	name string
	typ  column.Type
}

// refUnescape removes backslashes before the characters in special.
func refUnescape(s, special string) string {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) && strings.Contains(special, s[i+1:i+2]) {
			continue
		}
		out.WriteByte(s[i])
	}
	return out.String()
}

// refIndex returns the first of the characters in stops that has no backslash
// before it, looking from the character at from.
func refIndex(s, stops string, from int) int {
	for i := from; i < len(s); i++ {
		if strings.Contains(stops, s[i:i+1]) && (i == 0 || s[i-1] != '\\') {
			return i
		}
	}
	return -1
}

func refLine(cfg Config, line string, unit Precision, now int64) (pt refPoint, names []refName, reason string) {
	keyEnd, spaced := len(line), false
	if i := refIndex(line, " ", 1); i >= 0 {
		keyEnd, spaced = i, true
	}
	key := line[:keyEnd]
	if key[0] == ',' {
		return pt, nil, missingMeasurement
	}
	end := refIndex(key, ",", 1)
	if end < 0 {
		end = len(key)
	}
	pt.measurement = refUnescape(key[:end], ", ")
	rest := key[end:]
	for rest != "" {
		rest = rest[1:]
		if rest == "" || rest[0] == ',' || rest[0] == '=' {
			return pt, nil, missingTagKey
		}
		eq := refIndex(rest, "=,", 1)
		if eq < 0 || rest[eq] == ',' {
			return pt, nil, missingTagValue
		}
		k := refUnescape(rest[:eq], ", =")
		rest = rest[eq+1:]
		if rest == "" || rest[0] == ',' {
			return pt, nil, missingTagValue
		}
		end := refIndex(rest, "=,", 1)
		if end < 0 {
			end = len(rest)
		} else if rest[end] == '=' {
			return pt, nil, invalidTag
		}
		if len(pt.tags) == cfg.MaxTags {
			return pt, nil, fmt.Sprintf("too many tags: more than %d", cfg.MaxTags)
		}
		pt.tags = append(pt.tags, [2]string{k, refUnescape(rest[:end], ", =")})
		rest = rest[end:]
	}
	if !spaced {
		return pt, nil, missingFields
	}
	if len(key) > 65535 {
		return pt, nil, fmt.Sprintf("max key length exceeded: %d > 65535", len(key))
	}
	sort.Slice(pt.tags, func(i, j int) bool { return pt.tags[i][0] < pt.tags[j][0] })
	for i, tag := range pt.tags {
		if i > 0 {
			if tag[0] == pt.tags[i-1][0] {
				return pt, nil, duplicateTags
			}
			pt.key += ","
		}
		for j, s := range tag {
			if j > 0 {
				pt.key += "="
			}
			for _, c := range []byte(s) {
				if strings.IndexByte(", =\\", c) >= 0 {
					pt.key += "\\"
				}
				pt.key += string([]byte{c})
			}
		}
	}

	s := strings.TrimLeft(line[keyEnd:], " \t\x00")
	pt.fields = map[string]refValue{}
	for n := 1; ; n++ {
		if s != "" && s[0] == '=' {
			return pt, nil, missingFieldKey
		}
		if s == "" || s[0] == ',' || s[0] == ' ' {
			return pt, nil, invalidField
		}
		eq := refIndex(s, "=, ", 1)
		if eq < 0 || s[eq] != '=' {
			return pt, nil, invalidField
		}
		name := refUnescape(s[:eq], ", =")
		if name != "time" {
			if size := len(key) + 4 + eq; size > 65535 {
				return pt, nil, fmt.Sprintf("max key length exceeded: %d > 65535", size)
			}
		}
		s = s[eq+1:]
		if n > cfg.MaxFields {
			return pt, nil, fmt.Sprintf("too many fields: more than %d", cfg.MaxFields)
		}
		var v refValue
		if v, s, reason = refFieldValue(s); reason != "" {
			return pt, nil, reason
		}
		if name != "time" {
			pt.fields[name] = v
			names = append(names, refName{name, v.typ})
		}
		if s == "" || s[0] != ',' {
			break
		}
		s = s[1:]
	}

	pt.time = now - (now%int64(unit)+int64(unit))%int64(unit)
	if s == "" {
		return pt, names, ""
	}
	s = strings.TrimLeft(s[1:], " \t\x00")
	if s == "" {
		return pt, names, ""
	}
	text := s
	if i := strings.IndexByte(s, ' '); i >= 0 {
		text = s[:i]
	}
	if strings.Trim(strings.TrimPrefix(text, "-"), "0123456789") != "" || text == "-" {
		return pt, nil, badTimestamp
	}
	v, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		if len(strings.TrimPrefix(text, "-")) <= 19 {
			return pt, nil, fmt.Sprintf("time outside range %d - %d", int64(MinTime), int64(MaxTime))
		}
		return pt, nil, err.Error()
	}
	if v > MaxTime/int64(unit) || v < MinTime/int64(unit) {
		return pt, nil, fmt.Sprintf("time outside range %d - %d", int64(MinTime), int64(MaxTime))
	}
	pt.time = v * int64(unit)
	if strings.Trim(s[len(text):], " ") != "" {
		return pt, nil, invalidPoint
	}
	return pt, names, ""
}

func refFieldValue(s string) (v refValue, rest, reason string) {
	if s == "" || s[0] == ',' || s[0] == ' ' {
		return v, "", missingFieldValue
	}
	if s[0] == '"' {
		v.typ = column.String
		var text []byte
		for i := 1; i < len(s); i++ {
			if s[i] == '\\' && i+1 < len(s) && (s[i+1] == '"' || s[i+1] == '\\') {
				i++
			} else if s[i] == '"' {
				v.str = string(text)
				rest = s[i+1:]
				if rest != "" && rest[0] != ',' && rest[0] != ' ' {
					return v, "", invalidField
				}
				return v, rest, ""
			}
			text = append(text, s[i])
		}
		return v, "", unbalancedQuotes
	}
	end := strings.IndexAny(s, ", ")
	if end < 0 {
		end = len(s)
	}
	text, rest := s[:end], s[end:]
	if strings.IndexByte("0123456789-.Nn", s[0]) < 0 {
		v.typ = column.Bool
		switch text {
		case "t", "T", "true", "True", "TRUE":
			v.word = 1
		case "f", "F", "false", "False", "FALSE":
		default:
			return v, "", invalidBoolean
		}
		return v, rest, ""
	}
	digits := strings.TrimPrefix(text, "-")
	isDigits := func(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
	if n := strings.TrimSuffix(digits, "i"); n != digits && isDigits(n) {
		i, err := strconv.ParseInt(text[:len(text)-1], 10, 64)
		if err != nil {
			return v, "", fmt.Sprintf("unable to parse integer %s: %v", text[:len(text)-1], err)
		}
		return refValue{column.Int64, uint64(i), ""}, rest, ""
	}
	if n := strings.TrimSuffix(text, "u"); n != text && isDigits(n) {
		u, err := strconv.ParseUint(n, 10, 64)
		if err != nil {
			return v, "", fmt.Sprintf("unable to parse unsigned %s: %v", n, err)
		}
		return refValue{column.Uint64, u, ""}, rest, ""
	}
	if strings.Trim(digits, "0123456789.eE+-") != "" {
		return v, "", "some number"
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(f, 0) {
		return v, "", "some number"
	}
	return refValue{column.Float64, math.Float64bits(f), ""}, rest, ""
}

// check decides whether row may stand beside the rows before it.
func (s *refState) check(row refPoint, names []refName) ConflictKind {
	types, tags := s.types[row.measurement], s.tags[row.measurement]
	mine := map[string]column.Type{}
	if len(names) == 0 {
		return TimeField
	}
	for _, n := range names {
		have, ok := types[n.name]
		if !ok {
			have, ok = mine[n.name]
		}
		if !ok {
			if tags[n.name] {
				return NameConflict
			}
			mine[n.name] = n.typ
		} else if have != n.typ {
			return TypeConflict
		}
	}
	for _, tag := range row.tags {
		if tag[0] == "time" {
			return TimeTag
		}
	}
	for _, tag := range row.tags {
		if types[tag[0]] != 0 || mine[tag[0]] != 0 {
			return NameConflict
		}
	}
	if types == nil {
		types, tags = map[string]column.Type{}, map[string]bool{}
		s.types[row.measurement], s.tags[row.measurement] = types, tags
	}
	for k, v := range mine {
		types[k] = v
	}
	for _, tag := range row.tags {
		tags[tag[0]] = true
	}
	return 0
}

// rowsOf lists the rows of a batch, and reports what a batch may not be.
func rowsOf(b *column.Batch) (rows []refRow, err error) {
	for _, t := range b.Tables {
		n := len(t.Time)
		if n == 0 || len(t.Row) != n {
			return nil, fmt.Errorf("table %q: %d rows, %d times", t.Measurement, len(t.Row), n)
		}
		keys := map[string]bool{}
		union := map[string]bool{}
		for i := range t.Series.Len() {
			key := t.Series.Key(i)
			if keys[string(key)] {
				return nil, fmt.Errorf("table %q: series %q stands twice", t.Measurement, key)
			}
			keys[string(key)] = true
			if err := column.CheckSeriesKey(key); err != nil {
				return nil, err
			}
			if t.Series.Hash[i] != column.HashSeries(t.Measurement, key) {
				return nil, fmt.Errorf("table %q: series %q has a wrong hash", t.Measurement, key)
			}
			for k := range column.Tags(key) {
				union[string(k)] = true
			}
		}
		for _, k := range t.TagKeys {
			if !union[k] {
				return nil, fmt.Errorf("table %q: tag key %q is listed in vain or twice", t.Measurement, k)
			}
			delete(union, k)
		}
		if len(union) > 0 {
			return nil, fmt.Errorf("table %q: tag keys %v are not listed", t.Measurement, union)
		}
		used := make([]bool, t.Series.Len())
		for i := range n {
			used[t.Row[i]] = true
			row := refRow{measurement: t.Measurement, key: string(t.Series.Key(int(t.Row[i]))), time: t.Time[i], fields: map[string]refValue{}}
			for f := range t.Fields {
				v := &t.Fields[f]
				if v.Len() != n {
					return nil, fmt.Errorf("field %q has %d rows of %d", v.Name, v.Len(), n)
				}
				if !v.Valid.Get(i) {
					continue
				}
				if _, ok := row.fields[v.Name]; ok {
					return nil, fmt.Errorf("field %q stands twice", v.Name)
				}
				if v.Type == column.String {
					row.fields[v.Name] = refValue{typ: v.Type, str: string(v.Str(i))}
				} else {
					row.fields[v.Name] = refValue{typ: v.Type, word: v.Words[i]}
				}
			}
			rows = append(rows, row)
		}
		for i, u := range used {
			if !u {
				return nil, fmt.Errorf("table %q: series %q has no rows", t.Measurement, t.Series.Key(i))
			}
		}
		for f := range t.Fields {
			v := &t.Fields[f]
			if v.Valid.Count(n) == 0 {
				return nil, fmt.Errorf("field %q has no values", v.Name)
			}
			if v.Valid.Words != nil && (len(v.Valid.Words) != (n+63)/64 || n%64 != 0 && v.Valid.Words[n/64]>>(uint(n)%64) != 0) {
				return nil, fmt.Errorf("field %q has a wrong bitmap", v.Name)
			}
		}
	}
	return rows, nil
}

func sortRows(rows []refRow) {
	sort.SliceStable(rows, func(i, j int) bool { return rows[i].measurement < rows[j].measurement })
}

// compare parses body with p, which skips bad lines, and with the reference,
// and reports a difference.
func compare(p *Parser, body []byte, unit Precision, now int64) error {
	want := reference(p.cfg, body, unit, now)
	batch, err := p.Parse(body, unit, now)
	var errs []LineError
	if err != nil {
		errs = err.(*ParseError).Lines
	}
	if len(errs) != len(want.errs) {
		return fmt.Errorf("errors: got %v, want %v", errs, want.errs)
	}
	for i, e := range errs {
		w := want.errs[i]
		if w.Reason == "some number" && (e.Reason == invalidNumber || e.Reason == invalidFloat) {
			w.Reason = e.Reason
		}
		if len(w.Text) > p.cfg.MaxErrorText {
			w.Text = w.Text[:p.cfg.MaxErrorText]
		}
		if e.Line != w.Line || !bytes.Equal(e.Text, w.Text) || e.Reason != w.Reason {
			return fmt.Errorf("error %d: got line %d %v, want line %d %v", i, e.Line, &e, w.Line, &w)
		}
	}
	dropped := map[ConflictKind]int{}
	for _, c := range p.Conflicts() {
		dropped[c.Kind] += c.Rows
	}
	if fmt.Sprint(dropped) != fmt.Sprint(want.dropped) {
		return fmt.Errorf("conflicts: got %v, want %v", p.Conflicts(), want.dropped)
	}
	// What was dropped can be written again as it was meant.
	var left []string
	for why, line := range p.Left(body).Each {
		row, names, reason := refLine(p.cfg, string(line), Nanosecond, 0)
		if reason != "" || row.measurement != why.Measurement {
			return fmt.Errorf("left out %q for %s: %s", line, why, reason)
		}
		left = append(left, fmt.Sprint(row.refRow, names))
	}
	if d := cmp.Diff(want.left, left); d != "" {
		return fmt.Errorf("left out (-want +got):\n%s", d)
	}
	rows, err := rowsOf(batch)
	if err != nil {
		return err
	}
	if len(rows) != len(want.rows) {
		return fmt.Errorf("got %d rows, want %d", len(rows), len(want.rows))
	}
	sortRows(rows)
	sortRows(want.rows)
	for i := range rows {
		if g, w := rows[i].String(), want.rows[i].String(); g != w {
			return fmt.Errorf("row %d: got %s, want %s", i, g, w)
		}
	}
	return nil
}
