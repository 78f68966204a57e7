package sparkplug

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/varvedb/varve/pipeline/record"
)

// at is when messages arrive, in nanoseconds.
const at = 1_700_000_000_000_000_000

// put is a metric that is being written.
type put []byte

func named(name string) put {
	return put(protowire.AppendString(protowire.AppendTag(nil, metricName, protowire.BytesType), name))
}

func aliased(alias uint64) put { return put(nil).number(metricAlias, alias) }

func (p put) number(field protowire.Number, v uint64) put {
	return put(protowire.AppendVarint(protowire.AppendTag(p, field, protowire.VarintType), v))
}

func (p put) bytes(field protowire.Number, v []byte) put {
	return put(protowire.AppendBytes(protowire.AppendTag(p, field, protowire.BytesType), v))
}

func (p put) alias(a uint64) put      { return p.number(metricAlias, a) }
func (p put) kind(t Datatype) put     { return p.number(metricDatatype, uint64(t)) }
func (p put) stamp(ms uint64) put     { return p.number(metricTimestamp, ms) }
func (p put) integer(v uint32) put    { return p.number(metricInt, uint64(v)) }
func (p put) long(v uint64) put       { return p.number(metricLong, v) }
func (p put) boolean(v uint64) put    { return p.number(metricBoolean, v) }
func (p put) text(s string) put       { return p.bytes(metricString, []byte(s)) }
func (p put) template(m ...put) put   { return p.bytes(metricTemplate, templateOf(false, m...)) }
func (p put) definition(m ...put) put { return p.bytes(metricTemplate, templateOf(true, m...)) }
func (p put) float(v float32) put {
	return put(protowire.AppendFixed32(protowire.AppendTag(p, metricFloat, protowire.Fixed32Type), math.Float32bits(v)))
}
func (p put) double(v float64) put {
	return put(protowire.AppendFixed64(protowire.AppendTag(p, metricDouble, protowire.Fixed64Type), math.Float64bits(v)))
}

func templateOf(definition bool, members ...put) []byte {
	var t put
	if definition {
		t = t.number(templateDefinition, 1)
	}
	for _, m := range members {
		t = t.bytes(templateMetrics, m)
	}
	return t
}

// message writes a payload; seq below 0 leaves the sequence number out.
func message(seq int, ms uint64, metrics ...put) []byte {
	var p put
	if ms > 0 {
		p = p.number(payloadTimestamp, ms)
	}
	for _, m := range metrics {
		p = p.bytes(payloadMetrics, m)
	}
	if seq >= 0 {
		p = p.number(payloadSeq, uint64(seq))
	}
	return p
}

// show writes a record in a line.
func show(r *record.Record) string {
	var b strings.Builder
	b.WriteString(r.Measurement)
	for _, t := range r.Tags {
		fmt.Fprintf(&b, " %s=%s", t.Key, t.Value)
	}
	b.WriteString(":")
	for _, f := range r.Fields {
		fmt.Fprintf(&b, " %s=%s", f.Name, f.Text())
	}
	if r.Timed {
		fmt.Fprintf(&b, " @%d", r.Time/1e6)
	}
	return b.String()
}

// tester decodes messages one after the other.
type tester struct {
	*testing.T
	host *Host
	now  int64
}

func newTester(t *testing.T, c Config) *tester { return &tester{t, NewHost(c), at} }

// decode returns the records of a message, the reason of its refusal, and whether
// a birth certificate was asked for.
func (t *tester) decode(topic string, text []byte) (records []string, reason string, asked bool) {
	t.Helper()
	var out record.List
	out.Add(0) // of a message before
	c, err := t.host.Decode(topic, text, 7, 0, t.now, &out)
	var refusal *record.Refusal
	if errors.As(err, &refusal) {
		reason = refusal.Reason
		if out.Len() != 1 {
			t.Errorf("%s was refused, and left %d records", topic, out.Len()-1)
		}
	} else if err != nil {
		t.Errorf("%s: %v", topic, err)
	}
	for i := 1; i < out.Len(); i++ {
		if out.At(i).Message != 7 {
			t.Errorf("a record is of message %d", out.At(i).Message)
		}
		records = append(records, show(out.At(i)))
	}
	if c != nil {
		var p payload
		if err := p.decode(c.Payload); err != nil || len(p.metrics) != 1 || p.metrics[0].name != rebirthMetric || p.metrics[0].which != metricBoolean || p.metrics[0].word != 1 || p.timestamp != uint64(t.now/1e6) {
			t.Errorf("the request is %+v, %v", p, err)
		}
		if c.Topic != "spBv1.0/plant/NCMD/edge" {
			t.Errorf("the request goes to %s", c.Topic)
		}
	}
	return records, reason, c != nil
}

func (t *tester) want(topic string, text []byte, reason string, asked bool, records ...string) {
	t.Helper()
	got, why, did := t.decode("spBv1.0/plant/"+topic, text)
	if why != reason || did != asked || !slices.Equal(got, records) {
		t.Errorf("%s:\ngot  %q, refused: %q, asked: %v\nwant %q, refused: %q, asked: %v", topic, got, why, did, records, reason, asked)
	}
}

func birth(bd uint64, metrics ...put) []byte {
	return message(0, 1000, append([]put{named(bdSeqMetric).kind(Int64).long(bd), named(rebirthMetric).kind(Boolean).boolean(0)}, metrics...)...)
}

func TestLifeOfANode(t *testing.T) {
	n := newTester(t, Default())
	n.want("NBIRTH/edge", birth(4, named("Uptime").alias(1).kind(UInt32).integer(9)), "", false,
		"device_status group=plant node=edge: online=true reason=birth @1700000000000",
		"sparkplug group=plant node=edge: Uptime=9 @1000")
	n.want("DBIRTH/edge/press", message(1, 1000, named("Oil/Temperature").alias(2).kind(Double).double(40.5), named("Running").alias(3).kind(Boolean).boolean(1)), "", false,
		"device_status group=plant node=edge device=press: online=true reason=birth @1700000000000",
		"sparkplug group=plant node=edge device=press: Oil/Temperature=40.5 Running=true @1000")
	n.want("NDATA/edge", message(2, 2000, aliased(1).integer(10)), "", false, "sparkplug group=plant node=edge: Uptime=10 @2000")
	n.want("DDATA/edge/press", message(3, 3000, aliased(2).stamp(2500).double(41), aliased(3).stamp(2500).boolean(0), aliased(2).double(42)), "", false,
		"sparkplug group=plant node=edge device=press: Oil/Temperature=41 Running=false @2500",
		"sparkplug group=plant node=edge device=press: Oil/Temperature=42 @3000")
	// A null has no value; what is historical is a reading like others.
	n.want("DDATA/edge/press", message(4, 3000, aliased(2).number(metricNull, 1), aliased(3).number(metricHistorical, 1).stamp(10).boolean(1)), "", false,
		"sparkplug group=plant node=edge device=press: Running=true @10")
	// Once more, as after an intake that could not store it.
	n.want("DDATA/edge/press", message(3, 3000, aliased(2).double(42)), "", false, "sparkplug group=plant node=edge device=press: Oil/Temperature=42 @3000")
	n.want("DDEATH/edge/press", message(5, 4000), "", false, "device_status group=plant node=edge device=press: online=false reason=death @1700000000000")
	n.want("DDATA/edge/press", message(6, 5000, aliased(2).double(1)), UnknownAlias, true)
	n.want("DBIRTH/edge/press", message(7, 6000, named("Oil/Temperature").alias(2).kind(Double).double(1)), "", false,
		"device_status group=plant node=edge device=press: online=true reason=birth @1700000000000",
		"sparkplug group=plant node=edge device=press: Oil/Temperature=1 @6000")
	// The will of the session before comes late, and that of this one.
	n.want("NDEATH/edge", message(-1, 500, named(bdSeqMetric).kind(Int64).long(3)), "", false)
	n.want("NDEATH/edge", message(-1, 500, named(bdSeqMetric).kind(Int64).long(4)), "", false,
		"device_status group=plant node=edge: online=false reason=death @1700000000000",
		"device_status group=plant node=edge device=press: online=false reason=death @1700000000000")
	n.now += int64(time.Minute)
	n.want("NDATA/edge", message(8, 7000, aliased(1).integer(10)), UnknownAlias, true)
}

func TestSequence(t *testing.T) {
	n := newTester(t, Default())
	n.decode("spBv1.0/plant/NBIRTH/edge", birth(1, named("A").alias(1).kind(Int32).integer(0)))
	took := func(v int, ms uint64) string { return fmt.Sprintf("sparkplug group=plant node=edge: A=%d @%d", v, ms) }
	for i := 1; i < 600; i++ { // over 255
		n.want("NDATA/edge", message(i%256, 2000, aliased(1).integer(uint32(i))), "", false, took(i, 2000))
	}
	const next = 600 % 256 // 88
	// Two change places: nothing is missing in the end.
	n.want("NDATA/edge", message(next+1, 2002, aliased(1).integer(1)), "", false, took(1, 2002))
	n.want("NDATA/edge", message(next, 2001, aliased(1).integer(2)), "", false, took(2, 2001))
	n.now += int64(time.Minute)
	n.want("NDATA/edge", message(next+2, 2003, aliased(1).integer(3)), "", false, took(3, 2003))
	// One is missing, and is waited for in vain.
	n.want("NDATA/edge", message(next+4, 2004, aliased(1).integer(4)), "", false, took(4, 2004))
	n.now += int64(Default().Reorder)
	n.want("NDATA/edge", message(next+5, 2005, aliased(1).integer(5)), LostSequence, true)
	// Names need no birth certificate.
	n.want("NDATA/edge", message(next+6, 2006, named("A").integer(5)), "", false, took(5, 2006))
	// It is not asked for again at once, but is after a while.
	n.want("NDATA/edge", message(next+7, 2007, aliased(1).integer(1)), LostSequence, false)
	n.now += int64(11 * time.Second)
	n.want("NDATA/edge", message(next+8, 2008, aliased(1).integer(1)), LostSequence, true)
	n.decode("spBv1.0/plant/NBIRTH/edge", birth(1, named("B").alias(1).kind(Int32).integer(0)))
	n.want("NDATA/edge", message(1, 2000, aliased(1).integer(6)), "", false, "sparkplug group=plant node=edge: B=6 @2000")
}

// TestSequenceOfARepeatedBatch: a batch that could not be stored comes again,
// however long it is.
func TestSequenceOfARepeatedBatch(t *testing.T) {
	for _, length := range []int{1, 2, 100, 127, 128, 129, 200, 255, 256, 257, 600} {
		var s sequence
		s.begin(0, 1000)
		number := 0
		next := func() {
			number++
			s.take(uint8(number), uint64(1000+number), int64(number), time.Second)
		}
		for range 1000 {
			next()
		}
		number -= length
		for range length + 1000 {
			next()
		}
		if s.lost || s.holes != 0 || s.last != uint8(number) {
			t.Errorf("%d messages came again: %+v at %d", length, s, uint8(number))
		}
	}
}

// TestSequenceBehindABirthThatIsMissing: the numbers begin again at 0, and what
// came with 0 was not seen.
func TestSequenceBehindABirthThatIsMissing(t *testing.T) {
	for last := range 256 {
		var s sequence
		s.begin(0, 1000)
		for i := 1; i <= last; i++ {
			s.take(uint8(i), uint64(1000+i), 0, time.Second)
		}
		if s.lost {
			t.Fatalf("lost at %d: %+v", last, s)
		}
		s.take(1, 2000, 0, time.Second) // a birth at 1999 has 0
		if lost := last != 0; s.lost != lost {
			t.Errorf("after %d came 1, and lost is %v", last, s.lost)
		}
	}
}

// TestBirthsAndDeathsAgain: what could not be stored comes once more, and says the
// same.
func TestBirthsAndDeathsAgain(t *testing.T) {
	bd := func(n uint64) put { return named(bdSeqMetric).kind(Int64).long(n) }
	const when = " @1700000000000"
	status := func(device string, online bool) string {
		if device != "" {
			device = " device=" + device
		}
		if online {
			return "device_status group=plant node=edge" + device + ": online=true reason=birth" + when
		}
		return "device_status group=plant node=edge" + device + ": online=false reason=death" + when
	}
	n := newTester(t, Default())
	first := message(0, 1000, bd(1), named("Uptime").alias(1).kind(Int32).number(metricNull, 1))
	press := message(1, 1001, named("Heat").alias(7).kind(Int32).number(metricNull, 1))
	n.want("NBIRTH/edge", first, "", false, status("", true))
	n.want("DBIRTH/edge/press", press, "", false, status("press", true))
	// The birth once more, or one before it: the aliases stand for the same.
	n.want("NBIRTH/edge", first, "", false, status("", true))
	n.want("NBIRTH/edge", message(0, 900, bd(1), named("Uptime").alias(1).kind(Int32).number(metricNull, 1)), "", false, status("", true))
	n.want("DDATA/edge/press", message(2, 1002, aliased(7).integer(5)), "", false, "sparkplug group=plant node=edge device=press: Heat=5 @1002")
	n.want("NDATA/edge", message(3, 1003, aliased(1).integer(5)), "", false, "sparkplug group=plant node=edge: Uptime=5 @1003")

	// Deaths, over and over.
	death := message(-1, 900, bd(1))
	for range 3 {
		n.want("NDEATH/edge", death, "", false, status("", false), status("press", false))
	}
	// The same behind the next birth, with which it came in one batch: the node is
	// there again, and the device is not.
	second := message(0, 2000, bd(2), named("Heat").alias(7).kind(Int32).number(metricNull, 1))
	n.want("NBIRTH/edge", second, "", false, status("", true))
	n.want("NDEATH/edge", death, "", false, status("press", false))
	n.want("NBIRTH/edge", second, "", false, status("", true))
	n.want("NDEATH/edge", death, "", false, status("press", false))
	n.want("DBIRTH/edge/press", message(1, 2001, named("Oil").alias(8).kind(Int32).number(metricNull, 1)), "", false, status("press", true))
	n.want("NDEATH/edge", death, "", false)
	n.want("NDATA/edge", message(2, 2002, aliased(7).integer(6)), "", false, "sparkplug group=plant node=edge: Heat=6 @2002")
	n.want("DDATA/edge/press", message(3, 2003, aliased(8).integer(7)), "", false, "sparkplug group=plant node=edge device=press: Oil=7 @2003")

	// A node whose clock went back, and that announces something else.
	n.want("NBIRTH/edge", message(0, 500, bd(2), named("Cold").alias(7).kind(Int32).number(metricNull, 1)), "", false, status("", true))
	n.want("NDATA/edge", message(1, 501, aliased(7).integer(6)), "", false, "sparkplug group=plant node=edge: Cold=6 @501")
	// A birth that was asked for is taken, whatever its time.
	n.want("NDATA/edge", message(9, 502, named("Cold").integer(6)), "", false, "sparkplug group=plant node=edge: Cold=6 @502")
	n.now += int64(time.Minute)
	n.want("NDATA/edge", message(10, 503, aliased(7).integer(6)), LostSequence, true)
	n.decode("spBv1.0/plant/NBIRTH/edge", message(0, 400, bd(2), named("Cold").alias(7).kind(Int32).number(metricNull, 1)))
	n.want("NDATA/edge", message(1, 401, aliased(7).integer(6)), "", false, "sparkplug group=plant node=edge: Cold=6 @401")
}

// TestTimesOfBirthsAndDeaths: whatever the clock of the node says, they stand in
// the order in which they came.
func TestTimesOfBirthsAndDeaths(t *testing.T) {
	for _, skew := range []time.Duration{-time.Hour, 0, time.Hour} {
		h := NewHost(Default())
		last, online := int64(0), ""
		now := int64(at)
		send := func(topic string, text []byte, made int64) {
			t.Helper()
			now += int64(time.Second)
			var out record.List
			if _, err := h.Decode("spBv1.0/g/"+topic, text, 0, made, now, &out); err != nil {
				t.Fatal(err)
			}
			for i := range out.Len() {
				if r := out.At(i); r.Measurement == StatusMeasurement {
					if !r.Timed || r.Time < last {
						t.Errorf("skew %s: %s is at %d, and the one before it at %d", skew, topic, r.Time, last)
					}
					last, online = r.Time, r.Field("online").Text()
				}
			}
		}
		clock := func() uint64 { return uint64((now + int64(skew)) / 1e6) }
		for bd := range uint64(3) {
			will := message(-1, clock(), named(bdSeqMetric).kind(Int64).long(bd))
			send("NBIRTH/e", message(0, clock(), named(bdSeqMetric).kind(Int64).long(bd)), 0)
			send("DBIRTH/e/d", message(1, clock()), 0)
			if online != "true" || last != now {
				t.Errorf("skew %s: born, and online is %s at %d, %d from now", skew, online, last, now-last)
			}
			send("DDEATH/e/d", message(2, clock()), 0)
			send("NDEATH/e", will, 0)
			if online != "false" || last != now {
				t.Errorf("skew %s: dead, and online is %s at %d, %d from now", skew, online, last, now-last)
			}
		}
		// A source that knows when the message was made is believed, but not that
		// the order was another.
		send("NBIRTH/e", message(0, clock()), now+5)
		if last != now-int64(time.Second)+5 {
			t.Errorf("a birth that was made at %d is at %d", now-int64(time.Second)+5, last)
		}
		send("NDEATH/e", message(-1, clock()), 17)
		// A time that cannot be does not stay.
		for _, wrong := range []int64{now + int64(time.Hour), now + int64(75*365*24*time.Hour), math.MaxInt64} {
			send("NBIRTH/e", message(0, clock()), wrong)
			if last != now {
				t.Errorf("a birth that was made %d from now is %d from now", wrong-now, last-now)
			}
			send("NDEATH/e", message(-1, clock()), now+int64(2*time.Second))
			if last != now+int64(time.Second) {
				t.Errorf("behind it a death stands %d from now", last-now)
			}
		}
	}
}

// TestYearsThatCannotBeStored: nothing is learned from such a message.
func TestYearsThatCannotBeStored(t *testing.T) {
	const year9999 = 253402300799000
	n := newTester(t, Default())
	for _, topic := range []string{"NBIRTH/edge", "DBIRTH/edge/press", "DDATA/edge/press", "NDATA/edge", "DDEATH/edge/press"} {
		n.want(topic, message(0, year9999, named("x").alias(7).kind(Int32).stamp(1000).integer(3)), BadPayload, false)
	}
	if len(n.host.nodes) != 0 {
		t.Errorf("%d nodes are remembered", len(n.host.nodes))
	}
	n.decode("spBv1.0/plant/NBIRTH/edge", birth(1, named("A").alias(1).kind(Int32).integer(0)))
	n.want("DBIRTH/edge/press", message(1, latest+1, named("x").alias(7).kind(Int32).integer(3)), BadPayload, false)
	n.want("NDATA/edge", message(1, latest, aliased(1).integer(4)), "", false, fmt.Sprintf("sparkplug group=plant node=edge: A=4 @%d", uint64(latest)))
	// A birth that was not taken has announced something nevertheless.
	n.want("NBIRTH/edge", message(0, year9999, named("B").alias(1).kind(Int32).integer(3)), BadPayload, false)
	n.want("NDATA/edge", message(1, 1001, aliased(1).integer(4)), LostSequence, true)
	// The time of a will says nothing.
	n.want("NDEATH/edge", message(-1, year9999, named(bdSeqMetric).kind(Int64).long(1)), "", false, "device_status group=plant node=edge: online=false reason=death @1700000000000")
}

func TestUnknownNodes(t *testing.T) {
	n := newTester(t, Default())
	n.want("NDATA/edge", message(9, 2000, aliased(1).integer(1)), UnknownAlias, true)
	n.want("DDATA/edge/d", message(9, 2000, named("A").kind(Int32).integer(1)), "", false, "sparkplug group=plant node=edge device=d: A=1 @2000")
	n.want("NDEATH/edge", message(-1, 2000), "", false, "device_status group=plant node=edge: online=false reason=death @1700000000000")
	n.want("NCMD/edge", []byte("whatever"), "", false)
	n.want("DCMD/edge/d", nil, "", false)
	if _, reason, _ := n.decode("spBv1.0/STATE/scada", []byte(`{"online":true}`)); reason != "" {
		t.Error(reason)
	}
	for _, topic := range []string{"", "spBv1.0", "spAv1.0/g/NDATA/e", "spBv1.0/g/NDATA", "spBv1.0/g/NDATA/e/d", "spBv1.0/g/DDATA/e", "spBv1.0/g/XDATA/e", "spBv1.0//NDATA/e", "spBv1.0/g/DDATA/e/d/x"} {
		if _, reason, _ := n.decode(topic, nil); reason != BadTopic {
			t.Errorf("topic %q: %q", topic, reason)
		}
	}
}

func TestValues(t *testing.T) {
	for _, c := range []struct {
		m    put
		want record.Value // the zero value: no field
		why  string
	}{
		{named("x").kind(Int8).integer(0xFFFFFFFB), record.Int(-5), ""},
		{named("x").kind(Int8).integer(0xFB), record.Int(-5), ""},
		{named("x").kind(Int16).integer(0xFFFF), record.Int(-1), ""},
		{named("x").kind(Int32).integer(0x80000000), record.Int(math.MinInt32), ""},
		{named("x").kind(Int64).long(math.MaxUint64), record.Int(-1), ""},
		{named("x").kind(UInt8).integer(200), record.Int(200), ""},
		{named("x").kind(UInt16).integer(65535), record.Int(65535), ""},
		{named("x").kind(UInt32).long(math.MaxUint32), record.Int(math.MaxUint32), ""},
		{named("x").kind(UInt64).long(math.MaxUint64), record.Uint(math.MaxUint64), ""},
		{named("x").kind(DateTime).long(1700), record.Int(1700), ""},
		{named("x").kind(Float).float(1.5), record.Float(1.5), ""},
		{named("x").kind(Float).double(1.25), record.Float(1.25), ""},
		{named("x").kind(Boolean).boolean(1), record.Bool(true), ""},
		{named("x").kind(Boolean).integer(1), record.Bool(true), ""},
		{named("x").kind(UUID).text("a-b"), record.String("a-b"), ""},
		{named("x").kind(Text).text(""), record.String(""), ""},
		{named("x").integer(0xFFFFFFFF), record.Int(-1), ""},
		{named("x").long(7), record.Int(7), ""},
		{named("x").float(0.5), record.Float(0.5), ""},
		{named("x").boolean(0), record.Bool(false), ""},
		{named("x").text("on"), record.String("on"), ""},
		{named("x").kind(Int32).number(metricNull, 1), record.Value{}, ""},
		{named("x").kind(Int32).number(metricTransient, 1).integer(4), record.Value{}, ""},
		{named("x").kind(Template).definition(named("y").kind(Int32)), record.Value{}, ""},
		{named("x").kind(Int32).text("4"), record.Value{}, BadPayload},
		{named("x").kind(Double).long(4), record.Value{}, BadPayload},
		{named("x").kind(Int32), record.Value{}, BadPayload},
		{named("x").kind(Double).double(math.NaN()), record.Value{}, BadPayload},
		{named("x").kind(String).bytes(metricString, []byte{0xFF}), record.Value{}, BadPayload},
		{named("x").kind(Bytes).bytes(metricBytes, []byte{1}), record.Value{}, Unsupported},
		{named("x").kind(DataSet).bytes(metricDataSet, nil), record.Value{}, Unsupported},
		{named("x").kind(22).bytes(metricBytes, []byte{1}), record.Value{}, Unsupported},
		{put(nil).kind(Int32).integer(1), record.Value{}, BadPayload},
		{named("x").kind(Int32).stamp(math.MaxUint64).integer(1), record.Value{}, BadPayload},
		{named("x").kind(Template).template(put(nil).integer(1)), record.Value{}, BadPayload},
	} {
		var out record.List
		_, err := NewHost(Default()).Decode("spBv1.0/g/NDATA/e", message(0, 1, c.m), 0, 0, at, &out)
		reason := ""
		var refusal *record.Refusal
		if errors.As(err, &refusal) {
			reason = refusal.Reason
		}
		var got record.Value
		if out.Len() == 1 {
			got = out.At(0).Field("x")
		}
		if reason != c.why || got != c.want {
			t.Errorf("%x: got %+v, %v; want %+v, %q", []byte(c.m), got, err, c.want, c.why)
		}
		// What no field can hold is left out on demand, and nothing else is.
		skip := Default()
		skip.Skip = true
		out.Reset()
		_, err = NewHost(skip).Decode("spBv1.0/g/NDATA/e", message(0, 1, c.m, named("y").integer(1)), 0, 0, at, &out)
		if skipped := err == nil; skipped != (c.why == "" || c.why == Unsupported) {
			t.Errorf("%x: with skip: %v", []byte(c.m), err)
		}
	}
}

func TestTemplatesAreFlattened(t *testing.T) {
	n := newTester(t, Default())
	n.want("NDATA/edge", message(0, 5, named("Motor").kind(Template).template(
		named("Speed").kind(Int32).integer(3),
		named("Bearing").kind(Template).template(named("Heat").kind(Double).double(50.5)),
	)), "", true, "sparkplug group=plant node=edge: Motor/Speed=3 Motor/Bearing/Heat=50.5 @5")
	deep := named("x").integer(1)
	for range 20 {
		deep = named("t").kind(Template).template(deep)
	}
	n.want("NDATA/edge", message(0, 5, deep), BadPayload, false)
}

// TestLongNamesOfTemplates: a message does not make hundreds of times its size of
// itself by a name around many members.
func TestLongNamesOfTemplates(t *testing.T) {
	n := newTester(t, Default())
	var members []put
	for i := range 2000 {
		members = append(members, named(fmt.Sprint(i)).kind(Int32).integer(1))
	}
	records, reason, _ := n.decode("spBv1.0/plant/NDATA/edge", message(0, 5, named("Motor").kind(Template).template(members...)))
	if reason != "" || len(records) == 0 {
		t.Errorf("a usual name: %d records, %q", len(records), reason)
	}
	n.want("NDATA/edge", message(1, 5, named(strings.Repeat("k", 60_000)).kind(Template).template(members...)), record.TooLarge, false)
}

func TestLargeBirth(t *testing.T) {
	n := newTester(t, Default())
	var all []put
	for i := range 1000 {
		all = append(all, named(fmt.Sprintf("metric-%d", i)).alias(uint64(i)).kind(Int32).integer(uint32(i)))
	}
	records, reason, _ := n.decode("spBv1.0/plant/NBIRTH/edge", birth(1, all...))
	if reason != "" || len(records) != 1+(1000+mostFields-1)/mostFields {
		t.Errorf("%d records, %q", len(records), reason)
	}
	n.want("NDATA/edge", message(1, 2, aliased(999).integer(5)), "", false, "sparkplug group=plant node=edge: metric-999=5 @2")
}

func TestMemoryIsBounded(t *testing.T) {
	c := Default()
	c.Nodes, c.Bytes = 5, 20_000
	h := NewHost(c)
	var out record.List
	send := func(topic string, payload []byte) error {
		out.Reset()
		_, err := h.Decode(topic, payload, 0, 0, at, &out)
		return err
	}
	check := func() {
		t.Helper()
		sum := 0
		for id, n := range h.nodes {
			bytes := nodeBytes + len(id.group) + len(id.node)
			metrics := 0
			for name := range n.gone {
				bytes += deviceBytes + len(name)
			}
			for name, d := range n.devices {
				bytes += deviceBytes + len(name)
				for m := range d.metrics {
					bytes += nameBytes + len(m)
					metrics++
				}
			}
			if bytes != n.bytes || len(n.aliases) > metrics {
				t.Fatalf("node %v is counted as %d bytes, and has %d; %d aliases of %d metrics", id, n.bytes, bytes, len(n.aliases), metrics)
			}
			sum += bytes
		}
		if sum != h.bytes || len(h.nodes) > c.Nodes || h.bytes > c.Bytes || h.order.Len() != len(h.nodes) {
			t.Fatalf("%d nodes, %d bytes counted, %d there", len(h.nodes), h.bytes, sum)
		}
	}
	some := []put{named("a").alias(1).integer(1), named("b").alias(2).integer(1)}
	for i := range 20 {
		edge := fmt.Sprintf("e%d", i)
		send("spBv1.0/g/NBIRTH/"+edge, birth(1, some...))
		for d := range i % 4 {
			send(fmt.Sprintf("spBv1.0/g/DBIRTH/%s/d%d", edge, d), message(1+d, 1, named("c").alias(uint64(3+d)).integer(1)))
			send(fmt.Sprintf("spBv1.0/g/DBIRTH/%s/d%d", edge, d), message(2+d, 1, named("c").alias(9).integer(1)))
			check()
		}
		send(fmt.Sprintf("spBv1.0/g/DDEATH/%s/d0", edge), message(3, 1))
		check()
		if i%3 == 0 {
			send("spBv1.0/g/NDEATH/"+edge, message(-1, 1))
			check()
			send(fmt.Sprintf("spBv1.0/g/DBIRTH/%s/d1", edge), message(1, 1))
			check()
		}
	}
	if err := send("spBv1.0/g/NDATA/e19", message(99, 1, named("a").integer(1))); err != nil {
		t.Error(err)
	}
	var many []put
	for i := range 500 {
		many = append(many, named(fmt.Sprint("m", i)).alias(uint64(i)).integer(1))
	}
	send("spBv1.0/g/NBIRTH/huge", birth(1, many...))
	check()
	if nodes := len(h.nodes); nodes != c.Nodes || len(h.nodes[nodeID{"g", "huge"}].aliases) != 0 {
		t.Errorf("%d nodes, and one that is too large kept its names", nodes)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("spBv1.0/g/NBIRTH/e", birth(1, named("A").alias(1).kind(Int32).integer(4)), message(1, 2, aliased(1).integer(5)))
	f.Add("spBv1.0/g/DBIRTH/e/d", message(1, 1, named("T").kind(Template).template(named("x").double(2))), message(2, 2, named("s").text("on")))
	f.Add("spBv1.0/g/NDEATH/e", message(-1, 1, named(bdSeqMetric).long(1)), message(0, 0))
	f.Add("spBv1.0/g/DDATA/e/d", message(1, 1, named("b").kind(Bytes).bytes(metricBytes, []byte("x"))), []byte{0x0b})
	f.Fuzz(func(t *testing.T, topic string, first, second []byte) {
		h := NewHost(Default())
		var out record.List
		for _, text := range [][]byte{first, second, first} {
			before := out.Len()
			_, err := h.Decode(topic, text, 0, 0, at, &out)
			var refusal *record.Refusal
			if err != nil && (!errors.As(err, &refusal) || out.Len() != before) {
				t.Fatalf("%v, with %d records more", err, out.Len()-before)
			}
			for i := before; i < out.Len(); i++ {
				r := out.At(i)
				seen := map[string]bool{}
				for _, f := range r.Fields {
					if f.Name == "" || f.Type == 0 || seen[f.Name] {
						t.Fatalf("a record has the field %+v", f)
					}
					seen[f.Name] = true
				}
				if len(r.Fields) == 0 || r.Measurement == "" {
					t.Fatalf("a record is %+v", r)
				}
			}
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	h := NewHost(Default())
	var out record.List
	var all, data []put
	for i := range uint64(20) {
		all = append(all, named(fmt.Sprintf("Line 4/Press/metric %d", i)).alias(i).kind(Double).double(1))
		data = append(data, aliased(i).stamp(1_700_000_000_000).double(float64(i)))
	}
	if _, err := h.Decode("spBv1.0/plant/NBIRTH/edge", birth(1, all...), 0, 0, at, &out); err != nil {
		b.Fatal(err)
	}
	text := message(-1, 1_700_000_000_000, data...)
	b.ReportAllocs()
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		out.Reset()
		if _, err := h.Decode("spBv1.0/plant/NDATA/edge", text, 0, 0, at, &out); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(20*b.N)/b.Elapsed().Seconds(), "metrics/s")
}
