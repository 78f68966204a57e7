package source_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/varvedb/varve/source"
)

func TestPersist(t *testing.T) {
	var told []error
	trouble := func(err error) { told = append(told, err) }
	calls := 0
	away := errors.New("away")
	take := func(context.Context) (source.Result, error) {
		switch calls++; calls {
		case 1:
			return source.Result{}, away
		case 2:
			return source.Result{}, &source.BusyError{Reason: "full", RetryAfter: time.Millisecond}
		}
		return source.Result{Stored: 7}, nil
	}
	r, err := source.Persist(t.Context(), take, trouble)
	if err != nil || r.Stored != 7 || calls != 3 || len(told) != 3 || told[0] != away || told[2] != nil {
		t.Errorf("%+v, %v after %d calls; told %v", r, err, calls, told)
	}

	ctx, cancel := context.WithCancel(t.Context())
	calls, told = 0, nil
	_, err = source.Persist(ctx, func(context.Context) (source.Result, error) {
		if calls++; calls == 2 {
			cancel()
		}
		return source.Result{}, away
	}, trouble)
	if !errors.Is(err, context.Canceled) || calls != 2 || len(told) != 1 {
		t.Errorf("%v after %d calls; told %v", err, calls, told)
	}
}
