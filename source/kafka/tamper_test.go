package kafka

import (
	"bytes"
	"context"
	"encoding/binary"
	"hash/crc32"
	"io"
	"net"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// tamper changes batches on their way from the broker, those in which mark stands.
type tamper struct {
	mark []byte

	mu   sync.Mutex // guards what follows
	edit func(batch []byte)
	n    int // batches that were changed
}

// set changes what is done to batches from now on; nil: nothing.
func (t *tamper) set(edit func(batch []byte)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.edit = edit
}

func (t *tamper) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.n
}

// dialer makes a client's connections go through t.
func (t *tamper) dialer() kgo.Opt {
	return kgo.Dialer(func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &tampered{Conn: c, by: t}, nil
	})
}

// tampered is a connection to a broker. The client reads it from one goroutine.
type tampered struct {
	net.Conn
	by    *tamper
	frame []byte // what is left of an answer
}

func (c *tampered) Read(b []byte) (int, error) {
	if len(c.frame) == 0 {
		var size [4]byte
		if _, err := io.ReadFull(c.Conn, size[:]); err != nil {
			return 0, err
		}
		c.frame = append(size[:], make([]byte, binary.BigEndian.Uint32(size[:]))...)
		if _, err := io.ReadFull(c.Conn, c.frame[4:]); err != nil {
			return 0, err
		}
		c.by.change(c.frame[4:])
	}
	n := copy(b, c.frame)
	c.frame = c.frame[n:]
	return n, nil
}

func (t *tamper) change(answer []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.edit == nil {
		return
	}
	for from := 0; ; {
		at := bytes.Index(answer[from:], t.mark)
		if at < 0 {
			return
		}
		at += from
		from = at + len(t.mark)
		for i := at - headOfV2; i >= 0; i-- {
			if b, _, ok := readPacked(answer[i:]); ok && b.sound && b.format == 2 && i+len(b.raw) > at {
				t.edit(b.raw)
				t.n++
				from = i + len(b.raw)
				break
			}
		}
	}
}

// sign makes the checksum of a batch right.
func sign(batch []byte) {
	binary.BigEndian.PutUint32(batch[17:], crc32.Checksum(batch[21:], castagnoli))
}
