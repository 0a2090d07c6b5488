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

// Limits on what one server accepts from all clients, whether or not they are authenticated.
const (
	// maxConnections bounds all open connections. An idle agent costs one.
	maxConnections = 65_536
	// maxFromOneAddress bounds the connections from one remote address. It admits a fleet of ten thousand machines behind
	// one router, but no single address can use up all connections. Connections from this machine, for example from a
	// proxy, are exempt.
	maxFromOneAddress = 16_384
	// reservedFiles is the number of open files that are reserved for everything except connections.
	reservedFiles = 256
	// maxHeaderBytes bounds the first line and the headers of a request.
	maxHeaderBytes = 64 << 10
	// headersWithin bounds how long the client can take to send the headers, and how long the TLS handshake can take.
	headersWithin = 10 * time.Second
	// idleWithin is how long a connection can stay open between two requests.
	idleWithin = 2 * time.Minute
	// rejectWithin bounds the time to send a response that rejects a connection; maxRejecting bounds how many are sent
	// at the same time.
	rejectWithin = time.Second
	maxRejecting = 64
)

// bounded is a listener that limits the number of open connections.
type bounded struct {
	net.Listener
	most, mostFromOne int
	plain             bool // without TLS, a rejected connection can get a response
	report            func(error)

	rejecting chan struct{} // limits how many responses to rejected connections are sent at the same time
	mu        sync.Mutex
	open      int
	from      map[netip.Prefix]int
}

func bound(l net.Listener, most, mostFromOne int, plain bool, report func(error)) *bounded {
	return &bounded{Listener: l, most: most, mostFromOne: mostFromOne, plain: plain, report: report,
		rejecting: make(chan struct{}, maxRejecting), from: map[netip.Prefix]int{}}
}

// bounded returns the listener of this server. It accepts at most as many connections as the process can open files.
func (r *run) bounded() net.Listener {
	return bound(r.endpoint.listener, connectionLimit(), maxFromOneAddress, r.endpoint.tls == nil, r.warnRejected)
}

// boundedSocket returns the listener of the Unix socket. Its connections have no remote address.
func (r *run) boundedSocket() net.Listener {
	most := min(maxSocketConnections, connectionLimit())
	return bound(r.socket.listener, most, most, true, r.warnRejected)
}

// connectionLimit returns how many connections this process can have open.
func connectionLimit() int { return max(min(maxConnections, files()-reservedFiles), 1) }

func (r *run) warnRejected(err error) {
	if r.recent.first(err.Error()) {
		r.logger.Warn("connection rejected", zap.Error(err))
	}
}

// Accept returns the next connection within the limits. It rejects the others with the reason.
func (b *bounded) Accept() (net.Conn, error) {
	for {
		conn, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from := access.NetworkOf(conn.RemoteAddr().String())
		if full := b.enter(from); full != nil {
			b.report(full)
			b.reject(conn, full)
			continue
		}
		return &counted{Conn: conn, leave: sync.OnceFunc(func() { b.leave(from) })}, nil
	}
}

// enter counts a new connection, or returns which limit it exceeds.
func (b *bounded) enter(from netip.Prefix) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.open >= b.most:
		return fmt.Errorf("this server already has %d connections; try again later, or use another server", b.most)
	case !from.Addr().IsLoopback() && b.from[from] >= b.mostFromOne:
		return fmt.Errorf("address %s already has %d connections to this server; close some of them",
			from.Addr(), b.mostFromOne)
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

// reject closes a connection. Without TLS it first sends a response with the reason, unless too many are being sent.
func (b *bounded) reject(conn net.Conn, reason error) {
	if b.plain {
		select {
		case b.rejecting <- struct{}{}:
			go func() {
				defer func() { <-b.rejecting }()
				defer conn.Close()
				sendUnavailable(conn, reason)
			}()
			return
		default:
		}
	}
	_ = conn.Close()
}

// sendUnavailable sends status 503 without reading the request.
func sendUnavailable(conn net.Conn, reason error) {
	text, _ := json.Marshal(client.Problem{Type: "about:blank", Title: http.StatusText(http.StatusServiceUnavailable),
		Status: http.StatusServiceUnavailable, Kind: client.Unavailable, Detail: reason.Error()})
	_ = conn.SetDeadline(time.Now().Add(rejectWithin))
	fmt.Fprintf(conn, "HTTP/1.1 503 Service Unavailable\r\nContent-Type: %s\r\nContent-Length: %d\r\nConnection: "+
		"close\r\n\r\n%s", client.ProblemType, len(text), text)
	if tcp, ok := conn.(*net.TCPConn); ok { // closing before the request is read would discard the response
		_ = tcp.CloseWrite()
		_, _ = tcp.Read(make([]byte, maxHeaderBytes))
	}
}

// counted is a connection that decreases the count when it is closed.
type counted struct {
	net.Conn
	leave func()
}

func (c *counted) Close() error {
	c.leave()
	return c.Conn.Close()
}
