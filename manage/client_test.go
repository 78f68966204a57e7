package manage

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Who shows the same at the same time has it checked once, others on their own.
func TestChecksAreShared(t *testing.T) {
	c := checks{all: map[credentials]*underWay{}}
	var calls atomic.Int32
	release := make(chan struct{})
	ada, bob := &Client{}, &Client{}
	var asked, all sync.WaitGroup
	for i := range 100 {
		asked.Add(1)
		all.Go(func() {
			of, want := credentials{"ada", "correct horse", true}, ada
			if i%2 == 1 {
				of, want = credentials{"bob", "correct horse", true}, bob
			}
			asked.Done()
			got, err := c.share(t.Context(), of, func() (*Client, error) {
				calls.Add(1)
				<-release
				return want, nil
			})
			if got != want || err != nil {
				t.Errorf("%s: %v, %v", of.name, got, err)
			}
		})
	}
	asked.Wait()
	time.Sleep(100 * time.Millisecond) // until all wait
	// Who does not wait any more leaves the others alone.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.share(ctx, credentials{"ada", "correct horse", true}, func() (*Client, error) { return ada, nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("one that was called off: %v", err)
	}
	close(release)
	all.Wait()
	if n := calls.Load(); n != 2 {
		t.Errorf("two passwords were checked %d times", n)
	}
	if len(c.all) != 0 {
		t.Errorf("%d checks are held", len(c.all))
	}
}

// A check that panics leaves nothing behind, and nobody waits for it.
func TestCheckThatPanics(t *testing.T) {
	c := checks{all: map[credentials]*underWay{}}
	of := credentials{"ada", "correct horse", true}
	begun, release, panicked := make(chan struct{}), make(chan struct{}), make(chan any, 1)
	go func() {
		defer func() { panicked <- recover() }()
		c.share(t.Context(), of, func() (*Client, error) {
			close(begun)
			<-release
			panic("out of luck")
		})
	}()
	<-begun
	shared := make(chan error, 1)
	go func() {
		_, err := c.share(t.Context(), of, func() (*Client, error) { return nil, errors.New("checked anew") })
		shared <- err
	}()
	time.Sleep(50 * time.Millisecond) // until it waits
	close(release)
	if got := <-panicked; got != "out of luck" {
		t.Errorf("the panic is %v", got)
	}
	select {
	case err := <-shared:
		if err == nil {
			t.Error("who waited for it is told that the password is wrong")
		}
	case <-time.After(10 * time.Second):
		t.Error("who waited for it waits on")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.all) != 0 {
		t.Errorf("%d checks are held", len(c.all))
	}
}

// What failed elsewhere is not blamed on an address.
func TestBlamed(t *testing.T) {
	c := &clock{time.Unix(1_800_000_000, 0)}
	a := newAttempts(c.now)
	for range freeByPair {
		if wait := a.blamed("ada", "1.1.1.1"); wait != 0 {
			t.Fatalf("it waits %s", wait)
		}
		a.begin("ada", "1.1.1.1")
	}
	if wait := a.blamed("ada", "1.1.1.1"); wait != time.Second {
		t.Errorf("after %d failures it waits %s", freeByPair, wait)
	}
	for i := range 2 * freeByUser {
		a.begin("ada", string(rune('a'+i)))
	}
	if wait := a.blamed("ada", "2.2.2.2"); wait != 0 {
		t.Errorf("for what failed elsewhere it waits %s", wait)
	}
	c.at = c.at.Add(time.Second)
	if wait := a.blamed("ada", "1.1.1.1"); wait != 0 {
		t.Errorf("after the wait it waits %s", wait)
	}
}
