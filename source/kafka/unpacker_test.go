package kafka

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestUnpacker: what unpacks to many messages is as large as they are in memory.
func TestUnpacker(t *testing.T) {
	const most = 1 << 20
	u, err := newUnpacker(most)
	if err != nil {
		t.Fatal(err)
	}
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	empty := []byte{12, 0, 0, 0, 1, 1, 0}
	large := binary.AppendVarint(nil, 1970)
	large = append(large, make([]byte, 1970)...)
	for name, c := range map[string]struct {
		in   []byte
		good bool
	}{
		"few":               {bytes.Repeat(empty, 1000), true},
		"as many as may be": {bytes.Repeat(empty, most/messageBytes), true},
		"one more":          {bytes.Repeat(empty, most/messageBytes+1), false},
		"large ones":        {bytes.Repeat(large, 500), true},
		"another format":    {make([]byte, most), true},
		"too large":         {make([]byte, most+1), false},
	} {
		out, err := u.Decompress(z.EncodeAll(c.in, nil), kgo.CodecZstd)
		if c.good && (err != nil || !bytes.Equal(out, c.in)) {
			t.Errorf("%s: %d bytes, %v", name, len(out), err)
		}
		if !c.good && !errors.Is(err, kgo.ErrMaxDecompress) {
			t.Errorf("%s: %d bytes, %v", name, len(out), err)
		}
	}
	if n := countMessages(bytes.Repeat(large, 500)); n != 500 {
		t.Errorf("%d messages, want 500", n)
	}
}

// TestUnpackerLarge: batches that are not small are unpacked as the library does it,
// whatever packed them, up to the bound and not beyond.
func TestUnpackerLarge(t *testing.T) {
	const most = atOnce + 1<<20
	u, err := newUnpacker(most)
	if err != nil {
		t.Fatal(err)
	}
	for name, codec := range map[string]struct {
		kgo.CompressionCodec
		of kgo.CompressionCodecType
	}{
		"gzip": {kgo.GzipCompression(), kgo.CodecGzip}, "snappy": {kgo.SnappyCompression(), kgo.CodecSnappy},
		"lz4": {kgo.Lz4Compression(), kgo.CodecLz4}, "zstd": {kgo.ZstdCompression(), kgo.CodecZstd},
	} {
		compressor, err := kgo.DefaultCompressor(codec.CompressionCodec)
		if err != nil {
			t.Fatal(err)
		}
		random := rand.New(rand.NewPCG(1, 2))
		for _, size := range []int{1 << 10, atOnce, atOnce + 1, most, most + 1, 4 * most} {
			in := make([]byte, size)
			for i := 0; i < len(in); i += 64 {
				in[i] = byte(random.Uint32())
			}
			var b bytes.Buffer
			src, got := compressor.Compress(&b, in)
			if got != codec.of {
				t.Fatalf("%s packed with codec %d", name, got)
			}
			out, err := u.Decompress(src, codec.of)
			switch {
			case size > most && !errors.Is(err, kgo.ErrMaxDecompress):
				t.Errorf("%s, %d bytes: %d, %v", name, size, len(out), err)
			case size <= most && (err != nil || !bytes.Equal(out, in)):
				t.Errorf("%s, %d bytes: %d, %v", name, size, len(out), err)
			}
			if size == most {
				src = bytes.Clone(src)
				if _, err := u.Decompress(src[:len(src)/2], codec.of); err == nil {
					t.Errorf("%s: half of a batch is unpacked", name)
				}
			}
		}
	}
}

// TestManyMessages: a batch with very many messages is passed over like one of very many
// bytes.
func TestManyMessages(t *testing.T) {
	t.Parallel()
	c := newCluster(t, kfake.SeedTopics(1, "a"))
	const n = 50000
	client := newClient(t, c.ListenAddrs(), kgo.ProducerBatchCompression(kgo.ZstdCompression()), kgo.MaxBufferedRecords(n), kgo.ManualFlushing())
	for range n {
		client.Produce(t.Context(), &kgo.Record{Topic: "a"}, nil)
	}
	if err := client.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	client.Produce(t.Context(), &kgo.Record{Topic: "a", Value: []byte("fine")}, nil)
	if err := client.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	cfg := testConfig(c, "a")
	cfg.MaxUnpackedBytes = 1 << 20
	f := newFakeIntake()
	r := start(t, cfg, f)
	eventually(t, "a commit of all", func() bool { return committedOffset(t, client, place{"a", 0}) == n+1 })
	r.stop()
	if len(f.copies) < 2 || f.copies[0].Unread == nil || f.copies[0].Unread.Reason != tooLarge {
		t.Errorf("took %d messages, the first: %+v", len(f.copies), f.copies[:1])
	}
}

// FuzzUnpacker unpacks any bytes, small and large: the same comes out either way.
func FuzzUnpacker(f *testing.F) {
	u, err := newUnpacker(atOnce + 1<<20)
	if err != nil {
		f.Fatal(err)
	}
	z, err := zstd.NewWriter(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(int8(kgo.CodecZstd), z.EncodeAll(bytes.Repeat([]byte{12, 0, 0, 0, 1, 1, 0}, 100), nil))
	f.Add(int8(kgo.CodecGzip), []byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Add(int8(kgo.CodecSnappy), []byte("\x03\x08abc"))
	f.Fuzz(func(t *testing.T, codec int8, src []byte) {
		c := kgo.CompressionCodecType(codec & 7)
		if c == kgo.CodecNone {
			return
		}
		out, err := u.Decompress(src, c)
		if err != nil {
			return
		}
		if len(out) > u.max || countMessages(out) > u.max/messageBytes {
			t.Fatalf("%d bytes, %d messages", len(out), countMessages(out))
		}
		if large, err := u.large(src, c); err != nil || !bytes.Equal(large, out) {
			t.Fatalf("%d bytes at once, %d else: %v", len(out), len(large), err)
		}
	})
}
