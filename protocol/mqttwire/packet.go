// Package mqttwire is the packets of MQTT 3.1.1 and 5 as bytes, both ways: what
// a broker reads a client writes. The sources are the standards of OASIS, whose
// sections the comments name. It is pure: no connections, no sessions.
//
// Decoders check what the standard calls malformed (lengths, flags, UTF-8,
// properties that do not belong there) and never keep or change the bytes they
// are given; what they return shares memory with them unless it is a string.
// Encoders append, so that many packets go out in one write.
package mqttwire

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// Versions of the protocol, as CONNECT has them.
const (
	V311 = 4
	V5   = 5
)

// Type is the type of a packet (section 2.1.2).
type Type byte

// The types of packets.
const (
	CONNECT Type = 1 + iota
	CONNACK
	PUBLISH
	PUBACK
	PUBREC
	PUBREL
	PUBCOMP
	SUBSCRIBE
	SUBACK
	UNSUBSCRIBE
	UNSUBACK
	PINGREQ
	PINGRESP
	DISCONNECT
	AUTH
)

// MaxRemaining is the most bytes that a packet can have after its length.
const MaxRemaining = 1<<28 - 1

// Packet is one packet, not decoded yet.
type Packet struct {
	Type  Type
	Flags byte // the lower four bits of the first byte
	Body  []byte
}

// Error is what is wrong with a packet, with the reason code that tells it to
// the other side.
type Error struct {
	Reason  Reason
	Problem string
}

func (e *Error) Error() string { return e.Reason.String() + ": " + e.Problem }

func malformed(format string, args ...any) error {
	return &Error{MalformedPacket, fmt.Sprintf(format, args...)}
}

func violation(format string, args ...any) error {
	return &Error{ProtocolError, fmt.Sprintf(format, args...)}
}

// Next returns the first packet of b and how many bytes it takes. If b holds
// only a part of it, n is 0 and need is how many bytes it takes, as far as that
// is known yet. Packets of more than maxBytes in all are refused as soon as
// their length has come.
func Next(b []byte, maxBytes int) (p Packet, n, need int, err error) {
	p, size, err := Begin(b)
	switch {
	case err != nil:
		return Packet{}, 0, 0, err
	case size == 0:
		return Packet{}, 0, max(2, len(b)+1), nil
	case size > maxBytes:
		return Packet{}, 0, 0, &Error{PacketTooLarge, fmt.Sprintf("%d bytes, at most %d are taken", size, maxBytes)}
	case len(b) < size:
		return Packet{}, 0, size, nil
	}
	return p, size, size, nil
}

// Begin returns the first packet of b with as much of its body as b holds, and how
// many bytes the whole packet takes, or 0 if b does not say yet.
func Begin(b []byte) (p Packet, size int, err error) {
	if len(b) < 2 {
		return Packet{}, 0, nil
	}
	p.Type, p.Flags = Type(b[0]>>4), b[0]&15
	if err := p.checkFlags(); err != nil {
		return Packet{}, 0, err
	}
	remaining, k, err := varint(b[1:])
	if err != nil || k == 0 {
		return Packet{}, 0, err
	}
	size = 1 + k + remaining
	end := min(size, len(b))
	p.Body = b[1+k : end : end]
	return p, size, nil
}

// checkFlags: section 2.1.3.
func (p Packet) checkFlags() error {
	want := byte(0)
	switch p.Type {
	case 0:
		return malformed("packet type 0")
	case PUBLISH:
		switch {
		case p.Flags>>1&3 == 3:
			return malformed("quality of service 3")
		case p.Flags>>1&3 == 0 && p.Flags&8 != 0:
			return malformed("a repeat without quality of service")
		}
		return nil
	case PUBREL, SUBSCRIBE, UNSUBSCRIBE:
		want = 2
	}
	if p.Flags != want {
		return malformed("flags %#x of packet type %d", p.Flags, p.Type)
	}
	return nil
}

// varint reads a variable byte integer (section 1.5.5); k is 0 if b ends in it.
func varint(b []byte) (n, k int, err error) {
	for k < len(b) {
		c := b[k]
		n |= int(c&127) << (7 * k)
		k++
		if c < 128 {
			if k > 1 && c == 0 {
				return 0, 0, malformed("a length takes more bytes than it needs")
			}
			return n, k, nil
		}
		if k == 4 {
			return 0, 0, malformed("a length of more than four bytes")
		}
	}
	return 0, 0, nil
}

func appendVarint(dst []byte, n int) []byte {
	for n >= 128 {
		dst = append(dst, byte(n)|128)
		n >>= 7
	}
	return append(dst, byte(n))
}

func sizeVarint(n int) int {
	k := 1
	for ; n >= 128; n >>= 7 {
		k++
	}
	return k
}

// open begins something that has its length before it; shut puts it there.
func open(dst []byte) (_ []byte, start int) { return append(dst, 0, 0, 0, 0), len(dst) }

func shut(dst []byte, start int) []byte {
	n := len(dst) - start - 4
	k := sizeVarint(n)
	copy(dst[start+k:], dst[start+4:])
	appendVarint(dst[:start], n)
	return dst[:start+k+n]
}

func appendText(dst []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(dst, uint16(len(s))), s...)
}

func appendBytes(dst, b []byte) []byte {
	return append(binary.BigEndian.AppendUint16(dst, uint16(len(b))), b...)
}

// reader takes a body apart; after the first fault it yields nothing more.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.b = nil
}

func (r *reader) take(n int, what string) []byte {
	if n > len(r.b) {
		r.fail(malformed("it ends within %s", what))
		return nil
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) byte(what string) byte {
	if v := r.take(1, what); v != nil {
		return v[0]
	}
	return 0
}

func (r *reader) uint16(what string) uint16 {
	if v := r.take(2, what); v != nil {
		return binary.BigEndian.Uint16(v)
	}
	return 0
}

func (r *reader) bytes(what string) []byte { return r.take(int(r.uint16(what)), what) }

// text is UTF-8 without a zero byte (section 1.5.4).
func (r *reader) text(what string) []byte {
	v := r.bytes(what)
	if !utf8.Valid(v) || bytes.IndexByte(v, 0) >= 0 {
		r.fail(malformed("%s is not UTF-8 without a zero byte", what))
		return nil
	}
	return v
}

// packetID reads an identifier, which is never 0 (section 2.2.1).
func (r *reader) packetID() uint16 {
	id := r.uint16("the packet identifier")
	if id == 0 && r.err == nil {
		r.fail(violation("packet identifier 0"))
	}
	return id
}

// properties returns the section of properties, checked.
func (r *reader) properties(of Type, allowed set) Properties {
	n, k, err := varint(r.b)
	switch {
	case err != nil:
		r.fail(err)
		return nil
	case k == 0:
		r.fail(malformed("it ends within the length of properties"))
		return nil
	}
	r.b = r.b[k:]
	p := Properties(r.take(n, "the properties"))
	if err := p.check(of, allowed); err != nil {
		r.fail(err)
		return nil
	}
	return p
}

// done returns the first fault; bytes that are left over are one.
func (r *reader) done() error {
	if r.err == nil && len(r.b) > 0 {
		return malformed("%d bytes too many", len(r.b))
	}
	return r.err
}
