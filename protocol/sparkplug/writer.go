package sparkplug

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/varvedb/varve/pipeline/record"
)

// writer makes the records of one message. The host is locked.
type writer struct {
	h       *Host
	node    *node
	a       address
	p       *payload
	message int
	made    int64 // when the message was made, or else now
	now     int64
	out     *record.List
	ask     bool // for a birth certificate

	r     *record.Record // the one that fields are added to
	time  uint64         // of r, in milliseconds
	names record.Names   // bounds those of members of templates
}

func (w *writer) run() error {
	switch w.a.kind {
	case nodeBirth:
		if !w.bornAgain() {
			w.h.part(w.node)
			w.h.learn(w.node, "", w.p.metrics)
			w.node.born, w.node.birth = true, w.p.timestamp
			w.node.order.begin(uint8(w.p.seq), w.p.timestamp)
			w.node.bdSeq, w.node.hasBd = w.p.bdSeq()
		}
		w.status("", true)
		return w.metrics()
	case nodeDeath:
		// The will of a session that another one has followed says only that the
		// devices went that did not come again.
		if bd, has := w.p.bdSeq(); !w.node.born || !w.node.hasBd || !has || bd == w.node.bdSeq {
			w.status("", false)
			for name := range w.node.devices {
				if name != "" {
					w.status(name, false)
				}
			}
			defer w.h.part(w.node)
		}
		for name := range w.node.gone {
			w.status(name, false)
		}
		return nil
	}
	w.sequence()
	switch w.a.kind {
	case deviceBirth:
		w.h.learn(w.node, w.a.device, w.p.metrics)
		w.status(w.a.device, true)
		return w.metrics()
	case deviceDeath:
		w.h.found(w.node, w.a.device)
		w.h.forgetDevice(w.node, w.a.device)
		w.status(w.a.device, false)
		return nil
	}
	if w.node.devices[w.a.device] == nil {
		w.ask = true
	}
	return w.metrics()
}

// bornAgain says whether a birth certificate of the node is the one that is
// remembered, or one before it, once more: not newer, of the same session, and with
// the same in it. If messages are missing, it is the one that was asked for,
// whatever the clock of the node says.
func (w *writer) bornAgain() bool {
	n := w.node
	bd, has := w.p.bdSeq()
	return n.born && !n.order.lost && has == n.hasBd && bd == n.bdSeq &&
		w.p.timestamp != 0 && w.p.timestamp <= n.birth && n.announces("", w.p.metrics)
}

// sequence follows the sequence number. A node that has not announced itself, or
// that may have done so again unseen, is asked to.
func (w *writer) sequence() {
	n := w.node
	if n.born && w.p.sequential {
		n.order.take(uint8(w.p.seq), w.p.timestamp, w.now, w.h.c.Reorder)
	}
	if !n.born || n.order.lost {
		w.ask = true
	}
}

func (p *payload) bdSeq() (n uint64, ok bool) {
	for i := range p.metrics {
		if m := &p.metrics[i]; m.name == bdSeqMetric && (m.which == metricInt || m.which == metricLong) {
			return m.word, true
		}
	}
	return 0, false
}

// ahead is how far a message may have been made after it arrived, because clocks
// differ.
const ahead = time.Minute

// status adds a record of a birth or death. A later one never stands before an
// earlier one of the node, so that a time far ahead, which would carry all later
// ones with it, is not believed.
func (w *writer) status(device string, online bool) {
	w.begin(StatusMeasurement, device, 0)
	made := w.made
	if made > w.now+int64(ahead) {
		made = w.now
	}
	w.node.status = max(w.node.status, made)
	w.r.Time, w.r.Timed = w.node.status, true
	reason := "death"
	if online {
		reason = "birth"
	}
	w.r.Fields = append(w.r.Fields, record.Field{Name: "online", Value: record.Bool(online)}, record.Field{Name: "reason", Value: record.String(reason)})
	w.r = nil
}

// begin adds a record of a time in milliseconds, 0 if it has none.
func (w *writer) begin(measurement, device string, at uint64) {
	w.r = w.out.Add(w.message)
	w.r.Measurement = measurement
	w.r.Tags = append(w.r.Tags, record.Tag{Key: "group", Value: w.node.id.group}, record.Tag{Key: "node", Value: w.node.id.node})
	if device != "" {
		w.r.Tags = append(w.r.Tags, record.Tag{Key: "device", Value: device})
	}
	w.time = at
	if at > 0 {
		w.r.Time, w.r.Timed = int64(at)*1e6, true
	}
}

func (w *writer) metrics() error {
	for i := range w.p.metrics {
		m := &w.p.metrics[i]
		name, datatype := m.name, m.datatype
		if name == "" {
			known, err := w.known(m)
			if err != nil {
				return err
			}
			name = known.name
			if datatype == 0 {
				datatype = known.datatype
			}
		} else if d := w.node.devices[w.a.device]; datatype == 0 && d != nil && d.metrics[name] != nil {
			datatype = d.metrics[name].datatype
		}
		if name == bdSeqMetric || strings.HasPrefix(name, controlPrefix) || strings.HasPrefix(name, devicePrefix) {
			continue
		}
		at := m.timestamp
		if at == 0 {
			at = w.p.timestamp
		}
		if err := w.metric(m, name, datatype, at); err != nil {
			return err
		}
	}
	return nil
}

// known returns what an alias stands for.
func (w *writer) known(m *metric) (*announced, error) {
	if !m.aliased {
		return nil, record.Refuse(BadPayload, "a metric has neither name nor alias")
	}
	if w.node.order.lost {
		return nil, record.Refuse(LostSequence, "messages of node %s of group %s before sequence number %d are missing, so that alias %d may stand for something else now; its birth certificate is asked for",
			w.a.node, w.a.group, w.p.seq, m.alias)
	}
	known := w.node.aliases[m.alias]
	if known == nil || known.device != w.a.device {
		w.ask = true
		return nil, record.Refuse(UnknownAlias, "no birth certificate of %s says what alias %d stands for; it is asked for", w.a.name(), m.alias)
	}
	return known, nil
}

func (a *address) name() string {
	name := "node " + a.node + " of group " + a.group
	if a.device != "" {
		name = "device " + a.device + " of " + name
	}
	return name
}

// mostFields is how many fields a record gets before another begins: looking
// whether a name is there already takes longer with each. The store puts fields
// of one series and time together again.
const mostFields = 64

// latest is the last millisecond that has nanoseconds, in 2262.
const latest = math.MaxInt64 / 1_000_000

func (w *writer) metric(m *metric, name string, datatype Datatype, at uint64) error {
	switch {
	case m.definition || m.transient || m.null:
		return nil
	case at > latest:
		return record.Refuse(BadPayload, "metric %.100q has the timestamp %d: want milliseconds since 1970", name, at)
	case m.which == metricTemplate:
		for i := range m.members {
			member := &m.members[i]
			if member.name == "" {
				return record.Refuse(BadPayload, "a metric of template %.100q has no name", name)
			}
			if err := w.names.Take(len(name) + len("/") + len(member.name)); err != nil {
				return err
			}
			t := member.timestamp
			if t == 0 {
				t = at
			}
			if err := w.metric(member, name+"/"+member.name, member.datatype, t); err != nil {
				return err
			}
		}
		return nil
	}
	v, err := m.value(datatype)
	if err != nil {
		if w.h.c.Skip && m.cannot(datatype) {
			return nil
		}
		return record.Refuse(reasonOf(m, datatype), "metric %.100q: %s", name, err)
	}
	if w.r == nil || w.time != at || len(w.r.Fields) >= mostFields {
		w.begin(w.h.c.Measurement, w.a.device, at)
	}
	w.r.Set(name, v)
	return nil
}

func reasonOf(m *metric, datatype Datatype) string {
	if m.cannot(datatype) {
		return Unsupported
	}
	return BadPayload
}

// cannot says whether no field can hold the value.
func (m *metric) cannot(datatype Datatype) bool {
	return m.which == metricBytes || m.which == metricDataSet || m.which == metricExtension ||
		datatype == DataSet || datatype == Bytes || datatype == File || datatype > Template
}

// value returns the value of m as its datatype says, or, if that is 0, as it was
// sent. Integers of up to 32 bits and signed ones become integers, UInt64 an
// unsigned one, both kinds of floats a float, DateTime an integer of milliseconds
// since 1970.
func (m *metric) value(datatype Datatype) (record.Value, error) {
	if m.cannot(datatype) {
		return record.Value{}, fmt.Errorf("values of datatype %d have no field that could hold them; unsupported: skip leaves them out", datatype)
	}
	mismatch := func() (record.Value, error) {
		return record.Value{}, fmt.Errorf("the value in field %d does not fit datatype %d", m.which, datatype)
	}
	switch datatype {
	case 0:
		switch m.which {
		case metricInt:
			return record.Int(int64(int32(m.word))), nil
		case metricLong:
			return record.Int(int64(m.word)), nil
		case metricFloat:
			datatype = Float
		case metricDouble:
			datatype = Double
		case metricBoolean:
			datatype = Boolean
		case metricString:
			datatype = String
		}
	case Boolean:
		// An encoder that has no other integers sends 0 and 1.
		if m.which == metricInt || m.which == metricLong {
			return record.Bool(m.word != 0), nil
		}
	}
	switch datatype {
	case Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64, DateTime:
		if m.which != metricInt && m.which != metricLong {
			return mismatch()
		}
	}
	switch datatype {
	case Int8:
		return record.Int(int64(int8(m.word))), nil
	case Int16:
		return record.Int(int64(int16(m.word))), nil
	case Int32:
		return record.Int(int64(int32(m.word))), nil
	case Int64, DateTime:
		return record.Int(int64(m.word)), nil
	case UInt8:
		return record.Int(int64(uint8(m.word))), nil
	case UInt16:
		return record.Int(int64(uint16(m.word))), nil
	case UInt32:
		return record.Int(int64(uint32(m.word))), nil
	case UInt64:
		return record.Uint(m.word), nil
	case Float, Double:
		var f float64
		switch m.which {
		case metricFloat:
			f = float64(math.Float32frombits(uint32(m.word)))
		case metricDouble:
			f = math.Float64frombits(m.word)
		default:
			return mismatch()
		}
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return record.Value{}, fmt.Errorf("%g is not a number that can be stored", f)
		}
		return record.Float(f), nil
	case Boolean:
		if m.which != metricBoolean {
			return mismatch()
		}
		return record.Bool(m.word != 0), nil
	case String, Text, UUID:
		if m.which != metricString {
			return mismatch()
		}
		return record.String(m.text), nil
	}
	return mismatch()
}
