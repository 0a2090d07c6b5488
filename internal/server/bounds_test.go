package server

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const timeout = 20 * time.Second

// remoteConn is a connection that appears to come from another machine.
type remoteConn struct {
	net.Conn
	from string
}

func (c remoteConn) RemoteAddr() net.Addr {
	address, _ := net.ResolveTCPAddr("tcp", c.from)
	return address
}

// remoteListener is a listener whose connections all appear to come from the same remote machine.
type remoteListener struct {
	net.Listener
	from string
}

func (l remoteListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return remoteConn{conn, l.from}, nil
}

// serveBounded serves 404 responses to a bounded number of connections.
func serveBounded(t *testing.T, most, mostFromOne int, from string) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	if from != "" {
		l = remoteListener{l, from}
	}
	s := &http.Server{Handler: http.NotFoundHandler()}
	go s.Serve(bound(l, most, mostFromOne, true, func(error) {}))
	t.Cleanup(func() { s.Close() })
	return l.Addr().String()
}

func dialTo(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(timeout)))
	return conn
}

// request sends a request and returns the response.
func request(t *testing.T, conn net.Conn) (status int, body string) {
	t.Helper()
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return answer.StatusCode, string(text)
}

func TestExcessConnectionIsRejectedUntilAnotherCloses(t *testing.T) {
	for name, each := range map[string]struct {
		address, sentence string
	}{
		"all":         {serveBounded(t, 2, 100, ""), "this server already has 2 connections"},
		"one address": {serveBounded(t, 100, 2, "192.0.2.7:1"), "address 192.0.2.7 already has 2 connections"},
	} {
		t.Run(name, func(t *testing.T) {
			first, second := dialTo(t, each.address), dialTo(t, each.address)
			for _, conn := range []net.Conn{first, second} {
				status, _ := request(t, conn)
				require.Equal(t, 404, status)
			}
			status, body := request(t, dialTo(t, each.address))
			require.Equal(t, 503, status)
			require.Contains(t, body, each.sentence)
			require.NoError(t, first.Close())
			require.Eventually(t, func() bool {
				status, _ := request(t, dialTo(t, each.address))
				return status == 404
			}, timeout, 10*time.Millisecond)
		})
	}
}

func TestLocalConnectionsAreExemptFromTheLimitPerAddress(t *testing.T) {
	address := serveBounded(t, 100, 2, "") // a local proxy connects from a single address
	for range 5 {
		status, _ := request(t, dialTo(t, address))
		require.Equal(t, 404, status)
	}
}

func TestConnectionLimitIsBelowTheFileLimit(t *testing.T) {
	require.Positive(t, files())
	require.LessOrEqual(t, files()-reservedFiles, maxConnections)
}
