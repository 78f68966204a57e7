package apptest

import (
	"io"
	"net"
	"sync"
	"testing"
)

// proxy is a port that stays where it is while the server behind it comes and
// goes, and a cable that can be cut.
type proxy struct {
	listener net.Listener

	mu    sync.Mutex // guards what follows
	to    string     // "": nothing answers
	conns map[net.Conn]bool
	wg    sync.WaitGroup
}

func newProxy(t *testing.T) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, conns: map[net.Conn]bool{}}
	p.wg.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			p.wg.Go(func() { p.carry(nc) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		p.lead("")
		p.cut()
		p.wg.Wait()
	})
	return p
}

func (p *proxy) addr() string { return p.listener.Addr().String() }

// lead lets new connections end at an address.
func (p *proxy) lead(to string) {
	p.mu.Lock()
	p.to = to
	p.mu.Unlock()
}

// cut breaks all connections, wherever in a message they are.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for nc := range p.conns {
		if tcp, ok := nc.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // a reset, not an end in good order
		}
		nc.Close()
	}
}

// hold notes a connection until the function that it returns is called.
func (p *proxy) hold(nc net.Conn) func() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[nc] = true
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.conns, nc)
		nc.Close()
	}
}

func (p *proxy) carry(front net.Conn) {
	defer p.hold(front)()
	p.mu.Lock()
	to := p.to
	p.mu.Unlock()
	if to == "" {
		return
	}
	back, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer p.hold(back)()
	done := make(chan struct{}, 2)
	for _, pair := range [][2]net.Conn{{front, back}, {back, front}} {
		p.wg.Go(func() {
			// When one direction ends, however it does, so does the other.
			_, _ = io.Copy(pair[0], pair[1])
			front.Close()
			back.Close()
			done <- struct{}{}
		})
	}
	<-done
	<-done
}
