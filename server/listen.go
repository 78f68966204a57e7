package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	// headerTimeout is generous for a device on a bad line and short against
	// clients that send headers forever.
	headerTimeout = 10 * time.Second
	// bodyTimeout lets 50 MiB through at 1 MiB/s.
	bodyTimeout = time.Minute
	// idleTimeout is longer than the flush interval of agents (10 s to 1 min),
	// so that their connections last.
	idleTimeout = 3 * time.Minute
	// maxHeaderBytes leaves room for long tokens and trace headers.
	maxHeaderBytes = 64 << 10
)

// listener is a port with its handler.
type listener struct {
	name string
	net.Listener
	http *http.Server
}

func listen(name, addr string, h http.Handler, log *slog.Logger) (*listener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("open %s port: %w", name, err)
	}
	return &listener{name, l, &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       bodyTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}}, nil
}

// serve answers on all ports until ctx ends or a port fails, then stops
// taking requests and waits at most so long for those under way.
func serve(ctx context.Context, drain time.Duration, log *slog.Logger, ports ...*listener) error {
	failed := make(chan error, len(ports))
	var wg sync.WaitGroup
	for _, p := range ports {
		wg.Go(func() {
			if err := p.http.Serve(p.Listener); !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("serve %s port: %w", p.name, err)
			}
		})
	}
	var err error
	select {
	case <-ctx.Done():
		log.Info("stopping", "drain", drain)
	case err = <-failed:
	}
	// Not derived from ctx, which has ended.
	deadline, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	for _, p := range ports {
		wg.Go(func() {
			if p.http.Shutdown(deadline) != nil {
				log.Warn("requests did not end in time and were cut off", "port", p.name)
				p.http.Close()
			}
		})
	}
	wg.Wait()
	return err
}
