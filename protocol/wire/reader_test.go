package wire_test

import (
	"bytes"
	"math"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/varvedb/varve/protocol/wire"
)

// reference reads a message by Google's library; ok is false if it is none.
func reference(b []byte) (fields []field, ok bool) {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return fields, false
		}
		b = b[n:]
		f := field{number: uint64(number), kind: wire.Kind(kind)}
		switch kind {
		case protowire.VarintType:
			f.word, n = protowire.ConsumeVarint(b)
		case protowire.Fixed64Type:
			f.word, n = protowire.ConsumeFixed64(b)
		case protowire.Fixed32Type:
			var w uint32
			w, n = protowire.ConsumeFixed32(b)
			f.word = uint64(w)
		case protowire.BytesType:
			f.bytes, n = protowire.ConsumeBytes(b)
		default:
			return fields, false // a group, which nobody sends
		}
		if n < 0 {
			return fields, false
		}
		b = b[n:]
		fields = append(fields, f)
	}
	return fields, true
}

type field struct {
	number uint64
	kind   wire.Kind
	word   uint64
	bytes  []byte
}

func check(t *testing.T, message []byte) {
	t.Helper()
	want, ok := reference(message)
	r := wire.Read(message)
	i := 0
	for ; r.Next(); i++ {
		if i >= len(want) {
			t.Fatalf("%x: field %d is one more than there are", message, i)
		}
		w := want[i]
		if r.Number() != w.number || r.Field() != wire.Tag(w.number, w.kind) {
			t.Fatalf("%x: field %d has the tag %x, want %d of kind %d", message, i, r.Field(), w.number, w.kind)
		}
		if w.kind == wire.Bytes {
			if from := r.Offset() - len(r.Bytes()); !bytes.Equal(r.Bytes(), w.bytes) || !bytes.Equal(message[from:r.Offset()], w.bytes) {
				t.Fatalf("%x: field %d is %x, want %x", message, i, r.Bytes(), w.bytes)
			}
		} else if r.Word() != w.word || r.Sint() != protowire.DecodeZigZag(w.word) || r.Int() != int64(w.word) ||
			math.Float64bits(r.Float()) != w.word {
			t.Fatalf("%x: field %d is %x, want %x", message, i, r.Word(), w.word)
		}
	}
	if (r.Err() == nil) != ok || ok && i != len(want) {
		t.Fatalf("%x: %d fields, %v: want %d, malformed %t", message, i, r.Err(), len(want), !ok)
	}
}

func TestReader(t *testing.T) {
	for _, message := range [][]byte{
		nil, {0}, {8}, {8, 1}, {8, 0x80}, {8, 0x80, 0}, {9, 1, 2, 3, 4, 5, 6, 7, 8}, {9, 1}, {10, 0}, {10, 1}, {10, 0x80, 0x80, 0x80, 0x80, 0x10},
		{13, 1, 2, 3, 4}, {13, 1}, {11}, {12}, {14}, {0x80, 1, 5}, {7},
		append([]byte{8}, bytes.Repeat([]byte{0xff}, 9)...), append([]byte{8}, append(bytes.Repeat([]byte{0xff}, 9), 1)...),
		append([]byte{8}, append(bytes.Repeat([]byte{0xff}, 9), 2)...), append(bytes.Repeat([]byte{0xff}, 5), 1),
	} {
		check(t, message)
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte{8, 1, 18, 1, 'a', 25, 0, 0, 0, 0, 0, 0, 0, 0, 37, 0, 0, 0, 0})
	f.Fuzz(check)
}
