package kafka

import (
	"encoding/binary"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// packedBatch returns a batch of n empty messages from an offset on.
func packedBatch(first int64, n int32) []byte {
	b := kmsg.RecordBatch{FirstOffset: first, Magic: 2, LastOffsetDelta: n - 1, NumRecords: n, MaxTimestamp: 1700000000000}
	for i := range n {
		b.Records = append(b.Records, 12, 0, 0, byte(2*i), 1, 1, 0)
	}
	b.Length = int32(headOfV2 - 12 + len(b.Records))
	raw := b.AppendTo(nil)
	sign(raw)
	return raw
}

func TestReadPacked(t *testing.T) {
	raw := packedBatch(100, 3)
	b, rest, ok := readPacked(append(raw, "rest"...))
	if !ok || string(rest) != "rest" || !b.sound || b.first != 100 || b.last != 102 || b.messages != 3 || b.latest != 1700000000000 || len(b.raw) != len(raw) {
		t.Errorf("got %+v, %q, %v", b, rest, ok)
	}
	if got, want := b.String(), "offsets 100 to 102, 3 messages, not compressed, 82 bytes packed"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for n := range raw {
		if b, _, ok := readPacked(raw[:n]); ok {
			t.Errorf("%d bytes are a batch: %+v", n, b)
		}
	}
	old := kmsg.MessageV1{Offset: 7, Magic: 1, Attributes: 1, Value: []byte("x")}
	old.MessageSize = int32(len(old.AppendTo(nil)) - 12)
	if b, _, ok := readPacked(old.AppendTo(nil)); !ok || b.sound || b.first != 7 || b.last != 7 || b.messages != -1 || b.codec != 1 {
		t.Errorf("a message of format 1: %+v, %v", b, ok)
	}
}

// TestBehind: where reading goes on is what a header with the right checksum says, else
// what follows says so.
func TestBehind(t *testing.T) {
	damaged := func(last int32) []byte {
		raw := packedBatch(100, 3)
		raw[40]++ // a time
		binary.BigEndian.PutUint32(raw[23:], uint32(last))
		return raw
	}
	unsigned := packedBatch(110, 3)
	unsigned[len(unsigned)-1]++
	for name, c := range map[string]struct {
		batch, rest []byte
		from, end   int64
		want        int64
	}{
		"sound":                             {packedBatch(100, 3), nil, 100, 200, 103},
		"sound, the end":                    {packedBatch(100, 3), nil, 100, 103, 103},
		"sound, read before":                {packedBatch(100, 3), nil, 103, 200, -1},
		"sound, beyond the end":             {packedBatch(100, 3), nil, 100, 102, -1},
		"damaged, the end":                  {damaged(2), nil, 100, 103, 103},
		"damaged, nothing follows":          {damaged(2), nil, 100, 200, -1},
		"damaged, ends before itself":       {damaged(-5), nil, 100, 200, -1},
		"damaged, another follows":          {damaged(9), packedBatch(103, 1), 100, 200, 103},
		"damaged, half of one that follows": {damaged(2), packedBatch(103, 1)[:20], 100, 200, 103},
		"damaged, a gap":                    {damaged(2), packedBatch(105, 1), 100, 200, 105},
		"damaged, half of one and a gap":    {damaged(2), packedBatch(105, 1)[:20], 100, 200, -1},
		"damaged, as what follows":          {damaged(2), unsigned, 100, 200, -1},
		"damaged, one from before follows":  {damaged(200), packedBatch(90, 1), 100, 200, -1},
	} {
		b, _, ok := readPacked(c.batch)
		if !ok {
			t.Fatal(name)
		}
		if got := b.behind(c.rest, c.from, c.end); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

// FuzzReadPacked reads any bytes as batches, and compares what has a right checksum with
// what the client's library reads.
func FuzzReadPacked(f *testing.F) {
	f.Add(append(packedBatch(5, 2), packedBatch(7, 1)...), int64(5))
	f.Add(packedBatch(5, 2)[:70], int64(0))
	f.Fuzz(func(t *testing.T, in []byte, from int64) {
		for {
			b, rest, ok := readPacked(in)
			if !ok {
				return
			}
			if len(b.raw)+len(rest) != len(in) || len(b.raw) < headOfAny {
				t.Fatalf("%d bytes are cut into %d and %d", len(in), len(b.raw), len(rest))
			}
			if b.format == 2 && b.sound {
				var want kmsg.RecordBatch
				if err := want.ReadFrom(b.raw); err != nil {
					t.Fatal(err)
				}
				if b.first != want.FirstOffset || b.last != want.FirstOffset+int64(want.LastOffsetDelta) || b.messages != want.NumRecords || b.codec != int(want.Attributes&7) {
					t.Fatalf("got %+v, want %+v", b, want)
				}
			}
			if next := b.behind(rest, from, 1<<40); next >= 0 && next <= from {
				t.Fatalf("reading goes on at %d behind %d", next, from)
			}
			_ = b.String()
			in = rest
		}
	})
}
