package mqtt

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// Who reads slowly and without a pause stays; who reads nothing does not.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes ten seconds")
	}
	b, err := New(Default(), Deps{Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	b.writeWithin = int64(3 * time.Second)
	b.config.Addr = "127.0.0.1:0"
	if err := b.Listen(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	d, _ := connect(t, b, named("slow"))
	d.subscribe(filter("a", 1))
	if err := d.net.(*net.TCPConn).SetReadBuffer(64 << 10); err != nil {
		t.Fatal(err)
	}
	for range 8 { // in the session, what waits to be written, and the system's buffers
		if err := b.Publish("a", make([]byte, 900_000), 1, false); err != nil {
			t.Fatal(err)
		}
	}
	for began := time.Now(); time.Since(began) < 9*time.Second; time.Sleep(100 * time.Millisecond) {
		_ = d.net.SetReadDeadline(time.Now().Add(5 * time.Second))
		if n, err := io.ReadFull(d.net, make([]byte, 10_000)); err != nil {
			t.Fatalf("after %s: %d bytes, %v", time.Since(began), n, err)
		}
	}
	if b.connections() != 1 {
		t.Error("it is closed")
	}
	began := time.Now()
	eventually(t, "it is closed", func() bool { return b.connections() == 0 })
	if took := time.Since(began); took < 2*time.Second || took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
}

// A deadline that somebody set holds, nudged or not.
func TestSteadyDeadline(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	nc, err := steadyListener{l}.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	s := steadyOf(nc)
	_ = s.SetDeadline(time.Now().Add(600 * time.Millisecond))
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(20 * time.Millisecond):
				s.nudge()
			}
		}
	}()
	began := time.Now()
	n, err := s.Write(make([]byte, 64<<20))
	close(done)
	if took := time.Since(began); !errors.Is(err, os.ErrDeadlineExceeded) || n == 0 || took < 500*time.Millisecond || took > 5*time.Second {
		t.Errorf("%d bytes, %v after %s", n, err, took)
	}
}
