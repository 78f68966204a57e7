package source

import (
	"context"
	"errors"
	"time"
)

const (
	// firstPause is about how long an intake that is busy is so; lastPause is how
	// long a person who has put it right is ready to wait.
	firstPause, lastPause = 20 * time.Millisecond, 2 * time.Second
)

// Persist calls take, which is Take or TakeBatch of an intake, until it returns
// without an error or ctx ends, with growing pauses, or those that a BusyError
// asks for. It is for sources that keep what they hand over until it is taken.
// trouble is told each error, and nil in the end. The error is that of ctx.
func Persist(ctx context.Context, take func(context.Context) (Result, error), trouble func(error)) (Result, error) {
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		if err := ctx.Err(); err != nil {
			return Result{}, err
		}
		r, err := take(ctx)
		if err == nil {
			trouble(nil)
			return r, nil
		}
		if ctx.Err() == nil {
			trouble(err)
		}
		wait := pause
		var busy *BusyError
		if errors.As(err, &busy) && busy.RetryAfter > 0 {
			wait = min(busy.RetryAfter, lastPause)
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}
