package catalog

import (
	"context"
	"errors"
	"iter"
	"testing"
)

// lapsed is a catalog whose first watches fail, as when a connection breaks
// and then too much has happened meanwhile.
type lapsed struct {
	Catalog
	watches, lists int
}

func (c *lapsed) List(context.Context, string) ([]Record, uint64, error) {
	c.lists++
	return nil, uint64(c.lists * 10), nil
}

func (c *lapsed) Watch(ctx context.Context, _ string, since uint64) iter.Seq2[[]Change, error] {
	c.watches++
	n := c.watches
	return func(yield func([]Change, error) bool) {
		switch n {
		case 1:
			yield(nil, errors.New("connection lost"))
		case 2:
			yield(nil, ErrCompacted)
		default:
			if yield([]Change{{Record: Record{Key: "a", Version: since + 1}}}, nil) {
				<-ctx.Done()
				yield(nil, ctx.Err())
			}
		}
	}
}

type counting struct{ resets, changes int }

func (v *counting) Reset([]Record) error         { v.resets++; return nil }
func (v *counting) Apply(changes []Change) error { v.changes += len(changes); return nil }

func TestFollowerRecovers(t *testing.T) {
	c, v := &lapsed{}, &counting{}
	f, err := Follow(context.Background(), c, "", v)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Wait(context.Background(), 21); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if v.resets != 2 || v.changes != 1 || c.watches != 3 {
		t.Errorf("%d resets, %d changes and %d watches, want 2, 1 and 3", v.resets, v.changes, c.watches)
	}
}
