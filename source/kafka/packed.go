package kafka

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
)

// packed is a batch as a broker keeps it. Its header is never compressed, so that it
// tells of messages that cannot be read. Of formats before 2 (Kafka 0.10) a message with
// others in it is a batch.
//
//	offset  bytes  (format 2)
//	     0      8  offset of the first message; before format 2 that of the last
//	     8      4  length of what follows
//	    12      4  epoch of the leader; before format 2 the checksum (CRC-32) from 16 on
//	    16      1  format
//	    17      4  checksum (CRC-32C) from 21 on; before format 2 attributes (1 byte)
//	    21      2  attributes; the three lowest bits are the codec
//	    23      4  offset of the last message, less that of the first
//	    27      8  time of the first message, in milliseconds since 1970
//	    35      8  latest time
//	    43     14  producer
//	    57      4  how many messages
//	    61         messages
type packed struct {
	raw         []byte // all of it
	first, last int64  // offsets; last is below first if the header does not tell
	format      byte
	sound       bool // the checksum is right
	codec       int
	messages    int32 // as the header says; -1 if it does not
	latest      int64 // milliseconds since 1970; 0 if it does not say
}

const (
	headOfAny = 17 // bytes up to the format
	headOfV2  = 61
	lastCodec = 4 // zstd
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// readPacked reads the header of the first batch of in, and returns what follows it. It
// reports false if there is no whole one.
func readPacked(in []byte) (b packed, rest []byte, ok bool) {
	if len(in) < headOfAny {
		return b, nil, false
	}
	length := int64(int32(binary.BigEndian.Uint32(in[8:]))) + 12
	if length < headOfAny || length > int64(len(in)) {
		return b, nil, false
	}
	raw := in[:length]
	at := int64(binary.BigEndian.Uint64(raw))
	b = packed{raw: raw, first: at, last: at, format: raw[16], messages: -1}
	switch {
	case b.format < 2 && len(raw) > headOfAny:
		b.sound = binary.BigEndian.Uint32(raw[12:]) == crc32.ChecksumIEEE(raw[16:])
		b.codec = int(raw[17] & 7)
	case b.format == 2 && len(raw) >= headOfV2:
		b.sound = binary.BigEndian.Uint32(raw[17:]) == crc32.Checksum(raw[21:], castagnoli)
		b.codec = int(binary.BigEndian.Uint16(raw[21:]) & 7)
		b.last = at + int64(int32(binary.BigEndian.Uint32(raw[23:])))
		b.latest = int64(binary.BigEndian.Uint64(raw[35:]))
		b.messages = int32(binary.BigEndian.Uint32(raw[57:]))
	default:
		b.last = at - 1
	}
	return b, in[length:], true
}

// behind returns where reading goes on behind b, of which from is the first message that
// has not been read, -1 if that is not sure. rest is what follows b in the answer of the
// broker, end where the partition ended. Offsets of a batch whose checksum is wrong may
// be wrong themselves: nothing is passed over that they alone speak of.
func (b *packed) behind(rest []byte, from, end int64) int64 {
	next := b.last + 1
	if next <= from || next > end {
		next = -1
	}
	if b.sound && next >= 0 {
		return next
	}
	if len(rest) == 0 {
		if next == end {
			return next
		}
		return -1
	}
	if len(rest) >= headOfAny && int64(binary.BigEndian.Uint64(rest)) == next {
		return next
	}
	if n, _, ok := readPacked(rest); ok && n.sound && n.format == 2 && n.first > from && n.first < end {
		return n.first
	}
	return -1
}

func (b *packed) String() string {
	var s strings.Builder
	if b.last >= b.first {
		fmt.Fprintf(&s, "offsets %d to %d", b.first, b.last)
	} else {
		fmt.Fprintf(&s, "offset %d", b.first)
	}
	if b.messages >= 0 {
		fmt.Fprintf(&s, ", %d messages", b.messages)
	}
	fmt.Fprintf(&s, ", %s, %d bytes packed", b.codecName(), len(b.raw))
	return s.String()
}

func (b *packed) codecName() string {
	if names := []string{"not compressed", "gzip", "snappy", "lz4", "zstd"}; b.codec < len(names) {
		return names[b.codec]
	}
	return fmt.Sprintf("codec %d", b.codec)
}
