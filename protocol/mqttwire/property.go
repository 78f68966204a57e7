package mqttwire

import (
	"bytes"
	"encoding/binary"
	"iter"
	"unicode/utf8"
)

// Property is the identifier of a property of MQTT 5 (section 2.2.2.2).
type Property byte

// The properties.
const (
	PayloadFormat          Property = 1
	MessageExpiry          Property = 2
	ContentType            Property = 3
	ResponseTopic          Property = 8
	CorrelationData        Property = 9
	SubscriptionIdentifier Property = 11
	SessionExpiry          Property = 17
	AssignedClientID       Property = 18
	ServerKeepAlive        Property = 19
	AuthMethod             Property = 21
	AuthData               Property = 22
	RequestProblem         Property = 23
	WillDelay              Property = 24
	RequestResponse        Property = 25
	ResponseInformation    Property = 26
	ServerReference        Property = 28
	ReasonString           Property = 31
	ReceiveMaximum         Property = 33
	TopicAliasMaximum      Property = 34
	TopicAlias             Property = 35
	MaximumQoS             Property = 36
	RetainAvailable        Property = 37
	UserProperty           Property = 38
	MaximumPacketSize      Property = 39
	WildcardAvailable      Property = 40
	IdentifiersAvailable   Property = 41
	SharedAvailable        Property = 42
)

// form is how the value of a property is written.
type form byte

const (
	unknown form = iota
	oneByte
	twoBytes
	fourBytes
	variable
	text
	binaryData
	pair
)

func (p Property) form() form {
	switch p {
	case PayloadFormat, RequestProblem, RequestResponse, MaximumQoS, RetainAvailable, WildcardAvailable, IdentifiersAvailable, SharedAvailable:
		return oneByte
	case ServerKeepAlive, ReceiveMaximum, TopicAliasMaximum, TopicAlias:
		return twoBytes
	case MessageExpiry, SessionExpiry, WillDelay, MaximumPacketSize:
		return fourBytes
	case SubscriptionIdentifier:
		return variable
	case ContentType, ResponseTopic, AssignedClientID, AuthMethod, ResponseInformation, ServerReference, ReasonString:
		return text
	case CorrelationData, AuthData:
		return binaryData
	case UserProperty:
		return pair
	}
	return unknown
}

// flag reports whether the value may only be 0 or 1.
func (p Property) flag() bool { return p.form() == oneByte }

// positive reports whether 0 is not allowed.
func (p Property) positive() bool {
	switch p {
	case SubscriptionIdentifier, ReceiveMaximum, MaximumPacketSize, TopicAlias:
		return true
	}
	return false
}

// set is a set of properties.
type set uint64

func of(all ...Property) set {
	var s set
	for _, p := range all {
		s |= 1 << p
	}
	return s
}

func (s set) has(p Property) bool { return p < 64 && s&(1<<p) != 0 }

// Properties are those of a packet, as they are written, without their length.
type Properties []byte

// Value is the value of a property.
type Value struct {
	Number uint32 // of bytes, integers and identifiers
	Data   []byte // of texts and binary data; the key of a user property
	Second []byte // the value of a user property
}

// next returns the first property and where it ends; 0 if it is malformed.
func (p Properties) next() (id Property, v Value, end int) {
	id = Property(p[0])
	at := 1
	data := func() []byte {
		if at+2 > len(p) {
			at = len(p) + 1
			return nil
		}
		n := int(binary.BigEndian.Uint16(p[at:]))
		from := at + 2
		at = from + n
		if at > len(p) {
			return nil
		}
		return p[from:at]
	}
	switch id.form() {
	case oneByte:
		if at++; at <= len(p) {
			v.Number = uint32(p[1])
		}
	case twoBytes:
		if at += 2; at <= len(p) {
			v.Number = uint32(binary.BigEndian.Uint16(p[1:]))
		}
	case fourBytes:
		if at += 4; at <= len(p) {
			v.Number = binary.BigEndian.Uint32(p[1:])
		}
	case variable:
		n, k, err := varint(p[1:])
		if err != nil || k == 0 {
			return id, v, 0
		}
		v.Number, at = uint32(n), 1+k
	case text, binaryData:
		v.Data = data()
	case pair:
		v.Data = data()
		if at <= len(p) {
			v.Second = data()
		}
	default:
		return id, v, 0
	}
	if at > len(p) {
		return id, v, 0
	}
	return id, v, at
}

func plain(b []byte) bool { return utf8.Valid(b) && bytes.IndexByte(b, 0) < 0 }

// check returns what is wrong with p in a packet that may have those allowed.
func (p Properties) check(in Type, allowed set) error {
	var seen set
	for len(p) > 0 {
		id, v, end := p.next()
		switch {
		case end == 0:
			return malformed("property %d", id)
		case !allowed.has(id):
			return violation("property %d does not belong in packet type %d", id, in)
		case seen.has(id) && id != UserProperty && (id != SubscriptionIdentifier || in != PUBLISH):
			return violation("property %d stands twice", id)
		case id.flag() && v.Number > 1, id.positive() && v.Number == 0:
			return violation("property %d is %d", id, v.Number)
		case (id.form() == text || id.form() == pair) && (!plain(v.Data) || !plain(v.Second)):
			return malformed("property %d is not UTF-8 without a zero byte", id)
		}
		seen |= 1 << id
		p = p[end:]
	}
	return nil
}

// All yields the properties, which a decoder has checked.
func (p Properties) All() iter.Seq2[Property, Value] {
	return func(yield func(Property, Value) bool) {
		for len(p) > 0 {
			id, v, end := p.next()
			if end == 0 || !yield(id, v) {
				return
			}
			p = p[end:]
		}
	}
}

// Get returns the value of a property, the first if there are several.
func (p Properties) Get(id Property) (Value, bool) {
	for len(p) > 0 {
		found, v, end := p.next()
		if end == 0 {
			break
		}
		if found == id {
			return v, true
		}
		p = p[end:]
	}
	return Value{}, false
}

// AppendNumber appends a property whose value is a number.
func AppendNumber(dst Properties, id Property, n uint32) Properties {
	dst = append(dst, byte(id))
	switch id.form() {
	case oneByte:
		return append(dst, byte(n))
	case twoBytes:
		return binary.BigEndian.AppendUint16(dst, uint16(n))
	case variable:
		return appendVarint(dst, int(n))
	}
	return binary.BigEndian.AppendUint32(dst, n)
}

// AppendData appends a property whose value is a text or binary data.
func AppendData(dst Properties, id Property, b []byte) Properties {
	return appendBytes(append(dst, byte(id)), b)
}

// AppendUser appends a user property.
func AppendUser(dst Properties, key, value string) Properties {
	return appendText(appendText(append(dst, byte(UserProperty)), key), value)
}

// Without returns p without some of its properties; a copy if there are any.
func (p Properties) Without(ids ...Property) Properties {
	leave := of(ids...)
	var kept Properties
	copied := false
	for from := 0; from < len(p); {
		id, _, end := p[from:].next()
		if end == 0 {
			break
		}
		switch {
		case leave.has(id) && !copied:
			kept = append(kept, p[:from]...)
			copied = true
		case !leave.has(id) && copied:
			kept = append(kept, p[from:from+end]...)
		}
		from += end
	}
	if !copied {
		return p
	}
	return kept
}

// appendProperties appends p with its length.
func appendProperties(dst []byte, p Properties) []byte {
	return append(appendVarint(dst, len(p)), p...)
}
