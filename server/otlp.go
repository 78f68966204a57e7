package server

import (
	"context"
	"runtime"
	"sync"

	"github.com/varvedb/varve/httpapi"
	"github.com/varvedb/varve/source/otlp"
	"github.com/varvedb/varve/transport"
)

// openOTLP opens the port for OTLP over gRPC.
func (s *server) openOTLP(connections int, certificates *transport.Certificates) (*otlp.Port, error) {
	c := otlp.DefaultPort(runtime.GOMAXPROCS(0))
	c.Addr, c.MaxConnections = s.config.OTLPAddr, connections
	c.MaxMessageBytes = min(c.MaxMessageBytes, int(s.config.MaxBody))
	c.ReceiveTimeout = s.config.Limits.BodyTimeout
	if certificates != nil {
		c.TLS = certificates.For("h2")
	}
	return otlp.Listen(c, func(ctx context.Context, from httpapi.Sender) (otlp.Admission, *httpapi.Error) {
		a, err := s.api.AdmitMetrics(ctx, from)
		if err != nil {
			return nil, err
		}
		return a, nil
	}, s.log)
}

// serveOTLP answers on the port, if there is one, until the returned function is
// called.
func (s *server) serveOTLP(p *otlp.Port) (stop func()) {
	if p == nil {
		return func() {}
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := p.Serve(); err != nil {
			s.log.Error("OTLP over gRPC is no longer answered", "error", err)
		}
	})
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), s.config.StopTimeout)
		defer cancel()
		p.Stop(ctx)
		serving.Wait()
	}
}
