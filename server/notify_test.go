package server

import (
	"bytes"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// manager is the socket of a service manager.
type manager struct {
	t *testing.T
	*net.UnixConn
}

func openManager(t *testing.T, name string) manager {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return manager{t, c}
}

// next returns what the manager is told next.
func (m manager) next() string {
	m.t.Helper()
	if err := m.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		m.t.Fatal(err)
	}
	b := make([]byte, 4096)
	n, err := m.Read(b)
	if err != nil {
		m.t.Fatal(err)
	}
	return string(b[:n])
}

func TestNotify(t *testing.T) {
	for name, socket := range map[string]string{
		"file":     filepath.Join(t.TempDir(), "notify"),
		"abstract": "@varve-test-" + strings.ReplaceAll(t.TempDir(), "/", "-"),
	} {
		t.Run(name, func(t *testing.T) {
			m := openManager(t, socket)
			var looks atomic.Int64
			n := &notifier{
				socket: socket, every: 20 * time.Millisecond, alive: func() { looks.Add(1) },
				log: slog.New(slog.DiscardHandler), end: make(chan struct{}),
			}
			n.ready("here")
			if got := m.next(); got != "READY=1\nSTATUS=here" {
				t.Errorf("told %q", got)
			}
			for range 3 {
				if got := m.next(); got != "WATCHDOG=1" {
					t.Errorf("told %q", got)
				}
			}
			if looks.Load() < 3 {
				t.Error("it says that it is alive without having looked")
			}
			n.close() // first, so that no sign of life comes between
			n.stopping()
			for {
				got := m.next()
				if strings.HasPrefix(got, "STOPPING=1\n") {
					break
				}
				if got != "WATCHDOG=1" {
					t.Errorf("told %q", got)
				}
			}
		})
	}
}

// Without a manager nothing happens, and one that is gone is no reason to fail.
func TestNotifyNobody(t *testing.T) {
	var log bytes.Buffer
	for _, socket := range []string{"", filepath.Join(t.TempDir(), "gone")} {
		n := &notifier{socket: socket, every: time.Hour, alive: func() {}, log: slog.New(slog.NewTextHandler(&log, nil)), end: make(chan struct{})}
		n.ready("here")
		n.stopping()
		n.close()
		if told := strings.Count(log.String(), "was not told"); told != len(socket)/max(len(socket), 1)*2 {
			t.Errorf("socket %q: %d lines\n%s", socket, told, &log)
		}
	}
}
