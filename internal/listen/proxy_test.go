package listen

import (
	"net"
	"net/url"
	"sync"
	"testing"
	"time"
)

type state int

const (
	open   state = iota
	frozen       // connections stand, nothing passes
	closed       // connections are broken, and new ones at once
)

// proxy is a network between a client and Postgres that can be interrupted.
type proxy struct {
	url    string
	target string
	delay  time.Duration // of what comes from Postgres
	mu     sync.Mutex
	now    state
	change *sync.Cond
	conns  map[net.Conn]bool
}

func newProxy(t *testing.T, direct string, delay time.Duration) *proxy {
	t.Helper()
	address, err := url.Parse(direct)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{target: address.Host, delay: delay, conns: map[net.Conn]bool{}}
	p.change = sync.NewCond(&p.mu)
	address.Host = listener.Addr().String()
	p.url = address.String()
	t.Cleanup(func() { _ = listener.Close(); p.set(closed) })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go p.serve(client)
		}
	}()
	return p
}

func (p *proxy) set(s state) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now = s
	if s == closed {
		for conn := range p.conns {
			_ = conn.Close()
		}
	}
	p.change.Broadcast()
}

// passes waits while the network is frozen.
func (p *proxy) passes() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.now == frozen {
		p.change.Wait()
	}
	return p.now == open
}

func (p *proxy) keep(conn net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[conn] = true
	return p.now != closed
}

func (p *proxy) serve(client net.Conn) {
	defer client.Close()
	if !p.keep(client) {
		return
	}
	server, err := net.Dial("tcp", p.target)
	if err != nil || !p.keep(server) {
		return
	}
	defer server.Close()
	go p.copy(server, client, 0)
	p.copy(client, server, p.delay)
}

func (p *proxy) copy(to, from net.Conn, delay time.Duration) {
	defer to.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil || !p.passes() {
			return
		}
		time.Sleep(delay)
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}
