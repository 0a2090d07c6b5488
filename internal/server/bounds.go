package server

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/droverhq/drover/access"
	"github.com/droverhq/drover/api/client"
)

// What one server takes from all who can reach it, be they known or not.
const (
	// maxConnections bounds all open connections. An idle agent costs one.
	maxConnections = 65_536
	// maxFromOneAddress bounds those from one address elsewhere: a fleet of ten thousand behind one router comes in, and
	// nobody alone keeps all others out. What comes from this machine, such as a proxy, is not bounded so.
	maxFromOneAddress = 16_384
	// sparedFiles are kept for the log and all else that is no connection, of the files that the system lets a process have.
	sparedFiles = 256
	// maxHeaderBytes bounds the first line and the headers of a request.
	maxHeaderBytes = 64 << 10
	// headersWithin bounds how long those may take, and the handshake of TLS.
	headersWithin = 10 * time.Second
	// idleWithin is how long a connection may stay open between two requests.
	idleWithin = 2 * time.Minute
	// sayWithin bounds the sentence with which a connection is turned away, and sayToMost how many are told at a time.
	sayWithin = time.Second
	sayToMost = 64
)

// bounded is a listener that takes so many connections at a time.
type bounded struct {
	net.Listener
	most, mostFromOne int
	plain             bool // a sentence can be said before there is a handshake
	complain          func(error)

	telling chan struct{} // a place in it is the right to be told why
	mu      sync.Mutex
	open    int
	from    map[netip.Prefix]int
}

func bound(l net.Listener, most, mostFromOne int, plain bool, complain func(error)) *bounded {
	return &bounded{Listener: l, most: most, mostFromOne: mostFromOne, plain: plain, complain: complain,
		telling: make(chan struct{}, sayToMost), from: map[netip.Prefix]int{}}
}

// bounded is the listener of a server, which takes no more connections than it may have files.
func (r *run) bounded() net.Listener {
	return bound(r.endpoint.listener, max(min(maxConnections, files()-sparedFiles), 1), maxFromOneAddress, r.endpoint.tls == nil, func(err error) {
		if r.said.again(err.Error()) {
			r.logger.Warn("connection turned away", zap.Error(err))
		}
	})
}

// Accept returns the next connection that there is room for; the others are told so and closed.
func (b *bounded) Accept() (net.Conn, error) {
	for {
		conn, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from := access.NetworkOf(conn.RemoteAddr().String())
		if full := b.enter(from); full != nil {
			b.complain(full)
			b.turnAway(conn, full)
			continue
		}
		return &counted{Conn: conn, leave: sync.OnceFunc(func() { b.leave(from) })}, nil
	}
}

// enter counts a connection in, or says why there is no room for it.
func (b *bounded) enter(from netip.Prefix) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.open >= b.most:
		return fmt.Errorf("this server has %d connections already; try again later, or another server", b.most)
	case !from.Addr().IsLoopback() && b.from[from] >= b.mostFromOne:
		return fmt.Errorf("address %s has %d connections to this server already; end some", from.Addr(), b.mostFromOne)
	}
	b.open++
	b.from[from]++
	return nil
}

func (b *bounded) leave(from netip.Prefix) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open--
	if b.from[from]--; b.from[from] == 0 {
		delete(b.from, from)
	}
}

// turnAway closes a connection, and says why before where that can be said at once.
func (b *bounded) turnAway(conn net.Conn, why error) {
	if b.plain {
		select {
		case b.telling <- struct{}{}:
			go func() {
				defer func() { <-b.telling }()
				defer conn.Close()
				tell(conn, why)
			}()
			return
		default: // too many at once
		}
	}
	_ = conn.Close()
}

// tell answers whatever is asked, unread.
func tell(conn net.Conn, why error) {
	text, _ := json.Marshal(client.Problem{Type: "about:blank", Title: http.StatusText(http.StatusServiceUnavailable),
		Status: http.StatusServiceUnavailable, Kind: client.Unavailable, Detail: why.Error()})
	_ = conn.SetDeadline(time.Now().Add(sayWithin))
	fmt.Fprintf(conn, "HTTP/1.1 503 Service Unavailable\r\nContent-Type: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", client.ProblemType, len(text), text)
	if half, ok := conn.(*net.TCPConn); ok { // closed with a request unread, the answer would be lost
		_ = half.CloseWrite()
		_, _ = half.Read(make([]byte, maxHeaderBytes))
	}
}

// counted is a connection that is counted out when it is closed.
type counted struct {
	net.Conn
	leave func()
}

func (c *counted) Close() error {
	c.leave()
	return c.Conn.Close()
}
