package fleet

import (
	"fmt"
	"strconv"
	"time"
)

// Format is how messages are written down.
type Format string

// The formats.
const (
	// JSON is the platform's message, an object a line.
	JSON Format = "json"
	// Points is JSON as POST /data takes it: measurement, tags, fields,
	// timestamp.
	Points Format = "points"
	// Lines is line protocol; times are in nanoseconds.
	Lines Format = "line"
	// CSV is a table with a header.
	CSV Format = "csv"
)

// Layout says what stands in a message besides time, kind, place, value and
// quality.
type Layout struct {
	Format      Format
	Measurement string // of Points and Lines
	Device      bool   // the device's name, as tag "device"
	Numbered    bool   // the reading's number, as field "seq"
}

// Validate says what is wrong with the layout.
func (l Layout) Validate() error {
	switch l.Format {
	case JSON, Points, Lines, CSV:
	default:
		return fmt.Errorf("format %q: want json, points, line or csv", l.Format)
	}
	if l.Measurement == "" {
		return fmt.Errorf("a measurement needs a name")
	}
	for _, r := range l.Measurement {
		if r <= ' ' || r == 0x7f || r == '"' || r == '\\' || r == ',' || r == '=' {
			return fmt.Errorf("measurement %q: want it without blanks, quotes and the signs \\ , =", l.Measurement)
		}
	}
	return nil
}

// Encoder writes messages down.
type Encoder struct {
	f      *Fleet
	layout Layout
	second int64    // whose date and time prefix is
	prefix [20]byte // 2006-01-02T15:04:05.
}

// NewEncoder returns an encoder of a fleet's messages; the layout is valid.
func (f *Fleet) NewEncoder(l Layout) *Encoder { return &Encoder{f: f, layout: l, second: -1} }

// AppendHeader appends what stands before the first message.
func (e *Encoder) AppendHeader(dst []byte) []byte {
	if e.layout.Format != CSV {
		return dst
	}
	dst = append(dst, "timestamp,sensor_type,location,"...)
	if e.layout.Device {
		dst = append(dst, "device,"...)
	}
	dst = append(dst, "value,quality"...)
	if e.layout.Numbered {
		dst = append(dst, ",seq"...)
	}
	return append(dst, '\n')
}

// Append appends a message, without the end of a line.
func (e *Encoder) Append(dst []byte, m *Message) []byte {
	if m.Defect == DefectNoTime && (e.layout.Format == Points || e.layout.Format == Lines) {
		// There a point without a time takes that of its arrival, which no rule
		// refuses, and which another may have.
		other := *m
		other.Defect = DefectNoValue
		m = &other
	}
	switch e.layout.Format {
	case Points:
		return e.point(dst, m)
	case Lines:
		return e.line(dst, m)
	case CSV:
		return e.row(dst, m)
	}
	return e.json(dst, m)
}

func (e *Encoder) json(dst []byte, m *Message) []byte {
	start := len(dst)
	if m.Defect != DefectNoTime {
		dst = append(dst, `,"timestamp":"`...)
		dst = append(e.time(dst, m.Time), '"')
	}
	dst = e.jsonTags(dst, m)
	dst = e.jsonFields(dst, m)
	dst[start] = '{' // of the first comma
	return append(dst, '}')
}

func (e *Encoder) point(dst []byte, m *Message) []byte {
	dst = append(dst, `{"measurement":"`...)
	dst = append(dst, e.layout.Measurement...)
	dst = append(dst, `","tags":`...)
	start := len(dst)
	if dst = e.jsonTags(dst, m); len(dst) == start {
		dst = append(dst, '{')
	}
	dst[start] = '{'
	dst = append(dst, `},"fields":`...)
	start = len(dst)
	if dst = e.jsonFields(dst, m); len(dst) == start {
		dst = append(dst, '{')
	}
	dst[start] = '{'
	dst = append(dst, `},"timestamp":"`...)
	return append(e.time(dst, m.Time), `"}`...)
}

// jsonTags appends tags, each behind a comma.
func (e *Encoder) jsonTags(dst []byte, m *Message) []byte {
	if m.Defect != DefectNoKind {
		dst = append(dst, `,"sensor_type":"`...)
		dst = append(append(dst, e.f.kinds[m.Kind].name...), '"')
	}
	if m.Defect != DefectNoPlace {
		dst = append(dst, `,"location":"`...)
		dst = append(append(dst, e.f.places[m.Place].name...), '"')
	}
	if e.layout.Device {
		dst = append(dst, `,"device":"`...)
		dst = append(AppendName(dst, m.Device), '"')
	}
	return dst
}

// jsonFields appends fields, each behind a comma.
func (e *Encoder) jsonFields(dst []byte, m *Message) []byte {
	switch m.Defect {
	case DefectNoValue:
	case DefectText:
		dst = append(dst, `,"value":"n/a"`...)
	default:
		dst = AppendDecimal(append(dst, `,"value":`...), m.Value, 2)
	}
	if m.Defect != DefectNoQuality {
		dst = AppendDecimal(append(dst, `,"quality":`...), m.Quality, 1)
	}
	if e.layout.Numbered {
		dst = strconv.AppendInt(append(dst, `,"seq":`...), m.Seq, 10)
	}
	return dst
}

func (e *Encoder) line(dst []byte, m *Message) []byte {
	dst = append(dst, e.layout.Measurement...)
	if e.layout.Device {
		dst = AppendName(append(dst, ",device="...), m.Device)
	}
	if m.Defect != DefectNoPlace {
		dst = append(append(dst, ",location="...), e.f.places[m.Place].name...)
	}
	if m.Defect != DefectNoKind {
		dst = append(append(dst, ",sensor_type="...), e.f.kinds[m.Kind].name...)
	}
	start := len(dst)
	if m.Defect != DefectNoQuality {
		dst = AppendDecimal(append(dst, ",quality="...), m.Quality, 1)
	}
	switch m.Defect {
	case DefectNoValue:
	case DefectText:
		dst = append(dst, `,value="n/a"`...)
	default:
		dst = AppendDecimal(append(dst, ",value="...), m.Value, 2)
	}
	if e.layout.Numbered {
		dst = append(strconv.AppendInt(append(dst, ",seq="...), m.Seq, 10), 'i')
	}
	dst[start] = ' ' // of the first comma
	return strconv.AppendInt(append(dst, ' '), m.Time, 10)
}

func (e *Encoder) row(dst []byte, m *Message) []byte {
	if m.Defect != DefectNoTime {
		dst = e.time(dst, m.Time)
	}
	dst = append(dst, ',')
	if m.Defect != DefectNoKind {
		dst = append(dst, e.f.kinds[m.Kind].name...)
	}
	dst = append(dst, ',')
	if m.Defect != DefectNoPlace {
		dst = append(dst, e.f.places[m.Place].name...)
	}
	dst = append(dst, ',')
	if e.layout.Device {
		dst = append(AppendName(dst, m.Device), ',')
	}
	switch m.Defect {
	case DefectNoValue:
	case DefectText:
		dst = append(dst, "n/a"...)
	default:
		dst = AppendDecimal(dst, m.Value, 2)
	}
	dst = append(dst, ',')
	if m.Defect != DefectNoQuality {
		dst = AppendDecimal(dst, m.Quality, 1)
	}
	if e.layout.Numbered {
		dst = strconv.AppendInt(append(dst, ','), m.Seq, 10)
	}
	return dst
}

// AppendDecimal appends v·10^-digits, for digits 1 or 2, without zeros at the
// end.
func AppendDecimal(dst []byte, v int64, digits int) []byte {
	if v < 0 {
		dst, v = append(dst, '-'), -v
	}
	if digits == 1 {
		v *= 10
	}
	dst = strconv.AppendInt(dst, v/100, 10)
	switch part := v % 100; {
	case part == 0:
	case part%10 == 0:
		dst = append(dst, '.', byte('0'+part/10))
	default:
		dst = append(dst, '.', byte('0'+part/10), byte('0'+part%10))
	}
	return dst
}

// time appends a time as RFC 3339 in UTC, with as many digits as the fleet's
// precision has. Most times share their second with the one before.
func (e *Encoder) time(dst []byte, ns int64) []byte {
	second, part := ns/1e9, ns%1e9
	if second != e.second {
		e.second = second
		time.Unix(second, 0).UTC().AppendFormat(e.prefix[:0], "2006-01-02T15:04:05.")
	}
	unit := e.f.unit
	if unit == int64(time.Second) {
		return append(append(dst, e.prefix[:19]...), 'Z')
	}
	dst = append(dst, e.prefix[:]...)
	for place := int64(1e8); place >= unit; place /= 10 {
		dst = append(dst, byte('0'+part/place%10))
	}
	return append(dst, 'Z')
}
