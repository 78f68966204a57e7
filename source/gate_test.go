package source_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/source"
)

type intake struct{}

func (intake) Take(context.Context, []source.Message) (source.Result, error) {
	return source.Result{}, nil
}

func (intake) TakeBatch(context.Context, uint64, *column.Batch, *source.Message) (source.Result, error) {
	return source.Result{}, nil
}

func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g source.Gate[string]
		if o, err := g.Enter(); o != nil || err != nil {
			t.Fatalf("a gate that nobody opened: %v, %v", o, err)
		}
		closing, err := g.Open("settings", intake{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := g.Open("others", intake{}); !errors.Is(err, source.ErrTaken) {
			t.Errorf("a second pipeline: error %v", err)
		}
		o, err := g.Enter()
		if err != nil || o.Settings != "settings" || o.Intake == nil {
			t.Fatalf("%+v, %v", o, err)
		}
		closed := make(chan struct{})
		go func() { closing(); close(closed) }()
		synctest.Wait()
		select {
		case <-closed:
			t.Error("it is closed though somebody is inside")
		default:
		}
		if _, err := g.Enter(); !errors.Is(err, source.ErrBusy) {
			t.Errorf("while it closes: error %v, want that it is busy", err)
		}
		o.Leave()
		<-closed
		if _, err := g.Enter(); !errors.Is(err, source.ErrBusy) {
			t.Errorf("right after: error %v, want that it is busy", err)
		}
		time.Sleep(20 * time.Second)
		if o, err := g.Enter(); o != nil || err != nil {
			t.Errorf("later: %v, %v", o, err)
		}
		if closing, err = g.Open("anew", intake{}); err != nil {
			t.Fatal(err)
		}
		if o, err := g.Enter(); err != nil || o.Settings != "anew" {
			t.Errorf("opened anew: %v, %v", o, err)
		} else {
			o.Leave()
		}
		closing()
	})
}
