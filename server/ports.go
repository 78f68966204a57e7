package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/pprof"
	"os"

	"github.com/varvedb/varve/source/otlp"
	"github.com/varvedb/varve/transport"
	"github.com/varvedb/varve/vfs"
)

// ports are what the server listens on.
type ports struct {
	points, service, profiles *transport.Port // profiles may be nil
	otlp                      *otlp.Port      // may be nil
	certificates              *transport.Certificates
}

// openPorts is the first half of step 5.
func (s *server) openPorts() (_ *ports, err error) {
	c := &s.config
	p := &ports{}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close())
		}
	}()
	if c.TLS.Enabled() {
		read := func(name string) ([]byte, error) { return vfs.ReadFile(vfs.OS{}, name) }
		if p.certificates, err = transport.OpenCertificates(c.TLS, read, transport.LookEvery, s.log); err != nil {
			return nil, fmt.Errorf("open TLS: %w", err)
		}
	}
	l := c.Limits
	if l.MaxConnections == 0 {
		l.MaxConnections = transport.ConnectionsFor(s.budget.Limit)
	}
	if p.points, err = transport.Listen(transport.Config{
		Name: "points", Addr: c.HTTPAddr, Handler: s.api.Points(), Limits: l, TLS: p.certificates, Log: s.log,
	}); err != nil {
		return nil, err
	}
	if p.service, err = transport.Listen(transport.Config{
		Name: "service", Addr: c.ServiceAddr, Handler: s.api.Service(), Limits: l, TLS: p.certificates, Log: s.log,
	}); err != nil {
		return nil, err
	}
	if c.OTLPAddr != "" {
		if p.otlp, err = s.openOTLP(l.MaxConnections, p.certificates); err != nil {
			return nil, err
		}
	}
	if c.PprofAddr != "" {
		l.MaxConnections = pprofConnections
		p.profiles, err = transport.Listen(transport.Config{
			Name: "pprof", Addr: c.PprofAddr, Handler: profiles(), Limits: l, Log: s.log,
		})
		if err != nil {
			return nil, err
		}
	}
	return p, nil
}

// pprofConnections is more than one engineer with a browser needs.
const pprofConnections = 16

// profiles answers go tool pprof. The command line is left out: it is nobody's
// business who can reach loopback.
func profiles() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /debug/pprof/cmdline", http.NotFound)
	return mux
}

func (p *ports) all() []*transport.Port {
	var all []*transport.Port
	for _, x := range []*transport.Port{p.points, p.service, p.profiles} {
		if x != nil {
			all = append(all, x)
		}
	}
	return all
}

// close lets go of ports that serve nothing.
func (p *ports) close() error {
	var errs []error
	for _, x := range p.all() {
		errs = append(errs, x.Close())
	}
	if p.otlp != nil {
		p.otlp.Close()
	}
	if p.certificates != nil {
		p.certificates.Close()
	}
	return errors.Join(errs...)
}

func (p *ports) addresses() Addresses {
	a := Addresses{HTTP: p.points.Addr().String(), Service: p.service.Addr().String(), PID: os.Getpid(), TLS: p.certificates != nil}
	if p.otlp != nil {
		a.OTLP = p.otlp.Addr().String()
	}
	if p.profiles != nil {
		a.Pprof = p.profiles.Addr().String()
	}
	return a
}

// serve opens the ports and answers until ctx ends.
func (s *server) serve(ctx context.Context) error {
	p, err := s.openPorts()
	if err != nil {
		return err
	}
	if p.certificates != nil {
		defer p.certificates.Close()
	}
	s.registry.MustRegister(newPortCollector(p))
	a := p.addresses()
	if s.mqtt != nil {
		if err := s.mqtt.listen(&a); err != nil {
			return errors.Join(err, p.close())
		}
		s.log.Info("serving MQTT", "mqtt", a.MQTT, "mqtts", a.MQTTS, "websocket", a.MQTTWebSocket)
	}
	told, err := s.folder.writeAddresses(a)
	if err != nil {
		for _, x := range p.all() {
			err = errors.Join(err, x.Close())
		}
		if p.otlp != nil {
			p.otlp.Close()
		}
		return err
	}
	if !told {
		s.log.Warn("the disk is full: there is no room for addresses.json, so that commands find this server by --url only")
	}
	fmt.Fprintf(s.out, "varve %s: InfluxDB clients write to %s, questions go to %s\n", s.config.Version, a.URL(a.HTTP), a.URL(a.Service))
	s.log.Info("serving", "http", a.HTTP, "service", a.Service, "tls", a.TLS, "data", s.config.DataDir, "memory_limit", s.budget.Limit)
	if a.Pprof != "" {
		s.log.Info("serving profiles", "url", "http://"+a.Pprof+"/debug/pprof/")
	}
	if a.OTLP != "" {
		s.log.Info("serving OTLP over gRPC", "addr", a.OTLP)
	}
	stopOTLP := s.serveOTLP(p.otlp)
	n := s.notifier()
	n.ready(fmt.Sprintf("writes on %s, questions on %s", a.HTTP, a.Service))
	err = transport.Serve(ctx, transport.Stop{
		Delay: s.config.StopDelay, Timeout: s.config.StopTimeout,
		Begin: func() {
			s.stopping.Store(true)
			s.live.Stop() // a stream would not end by itself
			n.stopping()
		},
	}, s.log, p.all()...)
	n.close()
	stopOTLP()
	return errors.Join(err, s.folder.removeAddresses())
}
