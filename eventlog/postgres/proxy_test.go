package postgres_test

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// proxy is a TCP proxy between a log and its server. It can suppress answers from the server.
type proxy struct {
	listener net.Listener
	server   string
	// losing discards the bytes of the server. The connection stays open.
	losing atomic.Bool
	// discarded is the number of discarded bytes.
	discarded atomic.Int64

	mu    sync.Mutex
	conns []net.Conn
}

func newProxy(t *testing.T, server string) *proxy {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{listener: listener, server: server}
	t.Cleanup(func() {
		listener.Close()
		p.cut()
	})
	go p.serve()
	return p
}

func (p *proxy) address() string { return p.listener.Addr().String() }

func (p *proxy) serve() {
	for {
		in, err := p.listener.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", p.server)
		if err != nil {
			in.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, in, out)
		p.mu.Unlock()
		go func() {
			_, _ = io.Copy(out, in)
			out.Close()
		}()
		go func() {
			_, _ = io.Copy(answers{p, in}, out)
			in.Close()
		}()
	}
}

// answers forwards data from the server to the log.
type answers struct {
	proxy *proxy
	log   net.Conn
}

func (a answers) Write(data []byte) (int, error) {
	if a.proxy.losing.Load() {
		a.proxy.discarded.Add(int64(len(data)))
		return len(data), nil
	}
	return a.log.Write(data)
}

// cut closes all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range p.conns {
		conn.Close()
	}
	p.conns = nil
}
