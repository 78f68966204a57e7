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
		release := g.Source("held").Hold()
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
		time.Sleep(time.Hour)
		if _, err := g.Enter(); !errors.Is(err, source.ErrBusy) {
			t.Errorf("later: error %v, want that it is busy", err)
		}
		other := g.Source("other").Hold()
		release()
		release()
		if _, err := g.Enter(); !errors.Is(err, source.ErrBusy) {
			t.Errorf("another holds it: error %v, want that it is busy", err)
		}
		other()
		if o, err := g.Enter(); o != nil || err != nil {
			t.Errorf("when nobody holds it: %v, %v", o, err)
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

func TestAtGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g source.Gate[string]
		s := g.Source("settings")
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- s.Run(ctx, intake{}) }()
		synctest.Wait()
		if st := s.Status(); !st.Connected || st.Lag != -1 {
			t.Errorf("while it runs: %+v", st)
		}
		o, err := g.Enter()
		if err != nil || o.Settings != "settings" {
			t.Fatalf("%+v, %v", o, err)
		}
		if err := g.Source("others").Run(ctx, intake{}); !errors.Is(err, source.ErrTaken) {
			t.Errorf("a second one: error %v", err)
		}
		cancel()
		synctest.Wait()
		select {
		case <-ended:
			t.Error("it ended though somebody is inside")
		default:
		}
		o.Leave()
		if err := <-ended; err != nil || s.Status().Connected {
			t.Errorf("ended with %v, %+v", err, s.Status())
		}
	})
}
