package httpapi

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// countingBudget is a budget that knows how much was taken.
type countingBudget struct{ taken, most int64 }

func (c *countingBudget) Acquire(_ context.Context, n int64) error {
	c.taken += n
	c.most = max(c.most, c.taken)
	return nil
}

func (c *countingBudget) Release(n int64) { c.taken -= n }

// Who announces much and sends little holds little.
func TestPromisesHoldNoMemory(t *testing.T) {
	for sent, most := range map[int]int64{0: 9 << 10, 8 << 10: 65 << 10, 64 << 10: 513 << 10} {
		budget := &countingBudget{}
		bs := &bodies{max: 50 << 20, budget: budget}
		stalled := iotest.ErrReader(io.ErrUnexpectedEOF)
		req := httptest.NewRequest(http.MethodPost, "/", io.MultiReader(strings.NewReader(strings.Repeat("x", sent)), stalled))
		req.ContentLength = 40 << 20
		if _, err := bs.read(req, time.Second); err == nil {
			t.Fatal("half a body is read")
		}
		if budget.most > most {
			t.Errorf("%d of 40 MiB came: %d bytes were taken, want at most %d", sent, budget.most, most)
		}
		if budget.taken != 0 {
			t.Errorf("%d bytes were not given back", budget.taken)
		}
	}
}

// Bodies of all sizes come whole, whether their length is known or not, and
// whatever buffers others have left.
func TestBodiesComeWhole(t *testing.T) {
	budget := &countingBudget{}
	bs := &bodies{max: 4 << 20, budget: budget}
	for range 2 {
		for _, size := range []int{1, 8 << 10, 8<<10 + 1, 100_000, 128 << 10, 600_000, 4<<20 - 1, 4 << 20, 3} {
			for _, known := range []bool{true, false} {
				text := bytes.Repeat([]byte("0123456789"), size/10+1)[:size]
				req := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(text))
				if !known {
					req.ContentLength = -1
				}
				b, err := bs.read(req, time.Second)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(b.Bytes, text) {
					t.Errorf("%d bytes, known %t: %d came", size, known, len(b.Bytes))
				}
				if budget.taken < int64(size) {
					t.Errorf("%d bytes were taken for %d", budget.taken, size)
				}
				b.close()
			}
		}
	}
	if budget.taken != 0 {
		t.Errorf("%d bytes were not given back", budget.taken)
	}
}
