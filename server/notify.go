package server

import (
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"
)

// notifier tells a service manager how the server is, by datagrams of text as
// sd_notify(3) describes them. Without a socket it does nothing.
type notifier struct {
	socket string
	every  time.Duration // of the watchdog; 0: none
	alive  func()        // returns if the server is
	log    *slog.Logger
	end    chan struct{}
	done   sync.WaitGroup
}

func (s *server) notifier() *notifier {
	// The store answers only if its locks are free: a server that hangs is
	// restarted, one that is merely unwell is not.
	return &notifier{
		socket: s.config.NotifySocket, every: s.config.Watchdog, log: s.log, end: make(chan struct{}),
		alive: func() {
			for _, sh := range s.store.shards {
				sh.Stats()
			}
		},
	}
}

// ready says that the ports are open, and goes on to say that the server lives.
func (n *notifier) ready(status string) {
	n.send("READY=1\nSTATUS=" + status)
	if n.socket == "" || n.every == 0 {
		return
	}
	n.done.Go(func() {
		// Twice in each span, as sd_watchdog_enabled(3) advises.
		tick := time.NewTicker(n.every / 2)
		defer tick.Stop()
		for {
			select {
			case <-n.end:
				return
			case <-tick.C:
				n.alive()
				n.send("WATCHDOG=1")
			}
		}
	})
}

func (n *notifier) stopping() { n.send("STOPPING=1\nSTATUS=waiting for requests under way") }

func (n *notifier) close() {
	close(n.end)
	n.done.Wait()
}

// send says something. What goes wrong is logged and of no further consequence:
// the manager notices by itself that it hears nothing.
func (n *notifier) send(text string) {
	if n.socket == "" {
		return
	}
	if err := n.write(text); err != nil {
		n.log.Warn("the service manager was not told", "socket", n.socket, "error", err)
	}
}

func (n *notifier) write(text string) error {
	// A leading @ stands for an abstract address, for Go too.
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	defer c.Close()
	// A manager that does not read must not stop the server from stopping.
	if err := c.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	if _, err := c.Write([]byte(text)); err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	return nil
}
