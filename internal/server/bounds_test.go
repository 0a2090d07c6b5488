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

const patience = 20 * time.Second

// elsewhere is a connection that seems to come from another machine.
type elsewhere struct {
	net.Conn
	from string
}

func (e elsewhere) RemoteAddr() net.Addr {
	at, _ := net.ResolveTCPAddr("tcp", e.from)
	return at
}

// strangers is a listener whose every connection comes from the same machine elsewhere.
type strangers struct {
	net.Listener
	from string
}

func (s strangers) Accept() (net.Conn, error) {
	conn, err := s.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return elsewhere{conn, s.from}, nil
}

// crowd serves nothing much to at most so many.
func crowd(t *testing.T, most, mostFromOne int, from string) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	if from != "" {
		l = strangers{l, from}
	}
	door := &http.Server{Handler: http.NotFoundHandler()}
	go door.Serve(bound(l, most, mostFromOne, true, func(error) {}))
	t.Cleanup(func() { door.Close() })
	return l.Addr().String()
}

func dialTo(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	return conn
}

// asks sends a request and returns all that comes back until there is an answer.
func asks(t *testing.T, conn net.Conn) (status int, body string) {
	t.Helper()
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return answer.StatusCode, string(text)
}

func TestAConnectionTooManyIsToldSoAndOneThatEndsMakesRoom(t *testing.T) {
	for name, each := range map[string]struct {
		address, sentence string
	}{
		"all":         {crowd(t, 2, 100, ""), "this server has 2 connections already"},
		"one address": {crowd(t, 100, 2, "192.0.2.7:1"), "address 192.0.2.7 has 2 connections"},
	} {
		t.Run(name, func(t *testing.T) {
			first, second := dialTo(t, each.address), dialTo(t, each.address)
			for _, conn := range []net.Conn{first, second} {
				status, _ := asks(t, conn)
				require.Equal(t, 404, status)
			}
			status, body := asks(t, dialTo(t, each.address))
			require.Equal(t, 503, status)
			require.Contains(t, body, each.sentence)
			require.NoError(t, first.Close())
			require.Eventually(t, func() bool {
				status, _ := asks(t, dialTo(t, each.address))
				return status == 404
			}, patience, 10*time.Millisecond)
		})
	}
}

func TestWhatComesFromThisMachineIsNotBoundedAsOneAddress(t *testing.T) {
	address := crowd(t, 100, 2, "") // a proxy in front of the server is one address to it
	for range 5 {
		status, _ := asks(t, dialTo(t, address))
		require.Equal(t, 404, status)
	}
}

func TestTheBoundIsBelowTheFilesThatTheProcessMayHave(t *testing.T) {
	require.Positive(t, files())
	require.LessOrEqual(t, files()-sparedFiles, maxConnections)
}
