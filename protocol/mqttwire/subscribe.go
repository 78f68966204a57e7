package mqttwire

import "encoding/binary"

// Subscription is a filter of a SUBSCRIBE with its options (section 3.8.3).
type Subscription struct {
	Filter            string
	QoS               byte
	NoLocal           bool
	RetainAsPublished bool
	// RetainHandling is 0 if retained messages are wanted, 1 if they are only
	// when the subscription is new, 2 if not.
	RetainHandling byte
}

// Subscribe is a SUBSCRIBE, and an UNSUBSCRIBE with filters alone.
type Subscribe struct {
	PacketID   uint16
	Identifier uint32 // of MQTT 5; 0: none
	Filters    []Subscription
}

var (
	subscribeProperties   = of(SubscriptionIdentifier, UserProperty)
	unsubscribeProperties = of(UserProperty)
)

// DecodeSubscribe reads a SUBSCRIBE. Whether the filters are good ones is not
// looked at.
func DecodeSubscribe(body []byte, version byte) (*Subscribe, error) {
	r := &reader{b: body}
	s := &Subscribe{PacketID: r.packetID()}
	if version == V5 {
		if v, ok := r.properties(SUBSCRIBE, subscribeProperties).Get(SubscriptionIdentifier); ok {
			s.Identifier = v.Number
		}
	}
	for len(r.b) > 0 {
		f := Subscription{Filter: string(r.text("a filter"))}
		options := r.byte("the options")
		f.QoS = options & 3
		reserved := options &^ 3
		if version == V5 {
			f.NoLocal, f.RetainAsPublished, f.RetainHandling = options&4 != 0, options&8 != 0, options>>4&3
			reserved = options & 0xC0
		}
		if f.QoS == 3 || reserved != 0 || f.RetainHandling == 3 {
			return nil, violation("options %#x of a subscription", options)
		}
		s.Filters = append(s.Filters, f)
	}
	if r.err == nil && len(s.Filters) == 0 {
		return nil, violation("a SUBSCRIBE without a filter")
	}
	return s, r.done()
}

// AppendSubscribe appends s.
func AppendSubscribe(dst []byte, version byte, s *Subscribe) []byte {
	dst, start := open(append(dst, byte(SUBSCRIBE)<<4|2))
	dst = binary.BigEndian.AppendUint16(dst, s.PacketID)
	if version == V5 {
		var p Properties
		if s.Identifier > 0 {
			p = AppendNumber(p, SubscriptionIdentifier, s.Identifier)
		}
		dst = appendProperties(dst, p)
	}
	for _, f := range s.Filters {
		options := f.QoS
		if version == V5 {
			options |= f.RetainHandling << 4
			if f.NoLocal {
				options |= 4
			}
			if f.RetainAsPublished {
				options |= 8
			}
		}
		dst = append(appendText(dst, f.Filter), options)
	}
	return shut(dst, start)
}

// DecodeUnsubscribe reads an UNSUBSCRIBE (section 3.10).
func DecodeUnsubscribe(body []byte, version byte) (*Subscribe, error) {
	r := &reader{b: body}
	s := &Subscribe{PacketID: r.packetID()}
	if version == V5 {
		r.properties(UNSUBSCRIBE, unsubscribeProperties)
	}
	for len(r.b) > 0 {
		s.Filters = append(s.Filters, Subscription{Filter: string(r.text("a filter"))})
	}
	if r.err == nil && len(s.Filters) == 0 {
		return nil, violation("an UNSUBSCRIBE without a filter")
	}
	return s, r.done()
}

// AppendUnsubscribe appends an UNSUBSCRIBE.
func AppendUnsubscribe(dst []byte, version byte, s *Subscribe) []byte {
	dst, start := open(append(dst, byte(UNSUBSCRIBE)<<4|2))
	dst = binary.BigEndian.AppendUint16(dst, s.PacketID)
	if version == V5 {
		dst = append(dst, 0)
	}
	for _, f := range s.Filters {
		dst = appendText(dst, f.Filter)
	}
	return shut(dst, start)
}

// AppendSuback appends a SUBACK or UNSUBACK (sections 3.9 and 3.11) with a
// reason for each filter. That of MQTT 3.1.1 has one code for all failures, and
// its UNSUBACK has none.
func AppendSuback(dst []byte, t Type, version byte, id uint16, reasons []Reason) []byte {
	dst, start := open(append(dst, byte(t)<<4))
	dst = binary.BigEndian.AppendUint16(dst, id)
	if version == V5 {
		dst = append(dst, 0)
	}
	for _, r := range reasons {
		switch {
		case version == V5:
			dst = append(dst, byte(r))
		case t == SUBACK && r.Failed():
			dst = append(dst, 0x80)
		case t == SUBACK:
			dst = append(dst, byte(r))
		}
	}
	return shut(dst, start)
}

// DecodeSuback reads a SUBACK or UNSUBACK.
func DecodeSuback(t Type, body []byte, version byte) (id uint16, reasons []Reason, err error) {
	r := &reader{b: body}
	id = r.packetID()
	if version == V5 {
		r.properties(t, ackProperties)
	}
	for _, c := range r.take(len(r.b), "the reasons") {
		reasons = append(reasons, Reason(c))
	}
	return id, reasons, r.done()
}
