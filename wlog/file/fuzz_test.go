package file

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"testing"

	"github.com/varvedb/varve/vfs"
	"github.com/varvedb/varve/wlog"
)

// repair puts the right checksums into all frame headers, so that the fuzzer
// gets past them.
func repair(b []byte, number uint64) {
	for at := fileHeaderSize; at+frameHeaderSize <= len(b); at += frameAlign {
		if binary.LittleEndian.Uint32(b[at:]) == frameMagic {
			binary.LittleEndian.PutUint32(b[at+offChecksum:], crc32.Update(frameSeed(number), castagnoli, b[at:at+offChecksum]))
		}
	}
}

// FuzzFiles opens and reads a log of two files of any content. Each sequence
// up to the end is served once or reported lost once.
func FuzzFiles(f *testing.F) {
	golden, err := os.ReadFile("testdata/v1.wlog")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(golden, []byte{}, uint8(0), true)
	f.Add(golden[:len(golden)-90], []byte{}, uint8(3), false)
	f.Add(golden[:100], golden, uint8(0), true)
	f.Add(golden, golden, uint8(2), true)
	f.Fuzz(func(t *testing.T, first, second []byte, gap uint8, repaired bool) {
		fs := vfs.NewMem(nil)
		if err := vfs.MkdirAllSync(fs, "/log"); err != nil {
			t.Fatal(err)
		}
		ids := []fileID{{epoch: 7, number: 1, first: 1000}, {epoch: 7, number: 2, first: 1000 + uint64(gap)}}
		for i, b := range [][]byte{first, second} {
			if len(b) == 0 {
				continue
			}
			if repaired {
				b = bytes.Clone(b)
				repair(b, ids[i].number)
			}
			if err := vfs.WriteFileAtomic(fs, "/log/"+ids[i].name(), b); err != nil {
				t.Fatal(err)
			}
		}
		l, err := Open(Default(fs, "/log"))
		if errors.Is(err, errVersion) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		next := l.First().Seq
		step := func(from, to uint64) {
			if from != next || to < from {
				t.Fatalf("records %d to %d where %d is due", from, to, next)
			}
			next = to + 1
		}
		r, err := l.Read(t.Context(), wlog.Position{}, wlog.ReadOptions{OnCorrupt: func(e *wlog.CorruptError) {
			if e.First <= e.Last {
				step(e.First, e.Last)
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		for {
			rec, err := r.Next(t.Context())
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			step(rec.Pos.Seq, rec.Pos.Seq)
		}
		if next != l.Last().Seq+1 {
			t.Fatalf("reading ended before %d, the log at %v", next, l.Last())
		}
	})
}

// FuzzFrame decodes a frame of any content under good checksums: what a bug
// in a writer could leave. Allocation is bounded by the frame's own limits.
func FuzzFrame(f *testing.F) {
	f.Add(appendFrame(nil, &wlog.Record{Kind: 1, Payload: make([]byte, 300)}))
	f.Add(appendFrame(nil, &wlog.Record{Kind: 2, Payload: []byte("raw")}))
	f.Add(appendSeal(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < frameHeaderSize {
			return
		}
		seed := frameSeed(1)
		if stored := binary.LittleEndian.Uint32(b[offStored:]); int64(stored) <= int64(len(b)-frameHeaderSize) {
			binary.LittleEndian.PutUint32(b[offPayload:], crc32.Checksum(b[frameHeaderSize:][:stored], castagnoli))
		}
		binary.LittleEndian.PutUint32(b[offChecksum:], crc32.Update(seed, castagnoli, b[:offChecksum]))
		h, err := parseFrame(b, seed)
		if err != nil || h.size() > len(b) {
			return
		}
		stored := b[frameHeaderSize:][:h.stored]
		if err := h.checkPayload(stored); err != nil {
			t.Fatal(err)
		}
		payload, buf, err := h.decodePayload(stored, nil)
		if cap(buf) > wlog.MaxPayload {
			t.Fatalf("%d bytes were allocated", cap(buf))
		}
		if err == nil && len(payload) != int(h.raw) {
			t.Fatalf("payload of %d bytes, its header says %d", len(payload), h.raw)
		}
	})
}
