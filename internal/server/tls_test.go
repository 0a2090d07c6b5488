package server_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/droverhq/drover/internal/server"
)

const timeout = time.Minute

// tlsServer is a server whose certificate the test replaces.
type tlsServer struct {
	running
	host, cert, key string
	logged          *observer.ObservedLogs
}

func startTLS(t *testing.T, cert, key string) tlsServer {
	core, logged := observer.New(zap.InfoLevel)
	r := start(t, server.Config{Data: home(t), TLSCert: cert, TLSKey: key, Logger: zap.New(core)})
	t.Cleanup(func() { r.stopped(t) })
	u, err := url.Parse(r.address)
	require.NoError(t, err)
	return tlsServer{r, net.JoinHostPort("127.0.0.1", u.Port()), cert, key, logged}
}

func fresh(t *testing.T) tlsServer {
	t.Helper()
	cert, key := certificate(t)
	return startTLS(t, cert, key)
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return text
}

// dial connects as a client that trusts only the given certificate.
func (s tlsServer) dial(ca []byte) (*tls.Conn, error) {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	return tls.DialWithDialer(&net.Dialer{Timeout: timeout}, "tcp", s.host,
		&tls.Config{RootCAs: pool, ServerName: "drover.test"})
}

// alive sends a request over an open connection and requires a response.
func alive(t *testing.T, conn net.Conn, in *bufio.Reader) {
	t.Helper()
	require.NoError(t, conn.SetDeadline(time.Now().Add(timeout)))
	_, err := io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: drover.test\r\n\r\n")
	require.NoError(t, err)
	answer, err := http.ReadResponse(in, nil)
	require.NoError(t, err)
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, answer.Body)
	require.Equal(t, 200, answer.StatusCode)
}

// presents waits until new connections get a certificate.
func (s tlsServer) presents(t *testing.T, cert []byte) {
	t.Helper()
	require.Eventually(t, func() bool {
		conn, err := s.dial(cert)
		if err != nil {
			return false
		}
		return conn.Close() == nil
	}, timeout, 20*time.Millisecond, "new connections get the certificate of the file")
}

func TestReplacedCertificateIsUsedForNewConnectionsOnly(t *testing.T) {
	oldCert, oldKey := certificate(t)
	newCert, newKey := certificate(t)
	third, thirdKey := certificate(t)
	folder := t.TempDir()
	cert, key := filepath.Join(folder, "live", "cert.pem"), filepath.Join(folder, "live", "key.pem")
	archive := func(name, cert, key string) {
		require.NoError(t, os.Mkdir(filepath.Join(folder, name), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(folder, name, "cert.pem"), read(t, cert), 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(folder, name, "key.pem"), read(t, key), 0o600))
	}
	archive("one", oldCert, oldKey)
	archive("two", newCert, newKey)
	require.NoError(t, os.Symlink("one", filepath.Join(folder, "live"))) // as Kubernetes mounts it
	s := startTLS(t, cert, key)
	open, err := s.dial(read(t, oldCert))
	require.NoError(t, err)
	defer open.Close()
	in := bufio.NewReader(open)
	alive(t, open, in)

	require.NoError(t, os.Symlink("two", filepath.Join(folder, "next")))
	require.NoError(t, os.Rename(filepath.Join(folder, "next"), filepath.Join(folder, "live")))
	s.presents(t, read(t, newCert))
	_, err = s.dial(read(t, oldCert))
	require.Error(t, err)
	alive(t, open, in)

	// as a tool that writes a temporary file and renames it
	for name, from := range map[string]string{cert: third, key: thirdKey} {
		require.NoError(t, os.WriteFile(name+".new", read(t, from), 0o600))
		require.NoError(t, os.Rename(name+".new", name))
	}
	s.presents(t, read(t, third))
	alive(t, open, in)
	require.NotZero(t, s.logged.FilterMessage("certificate reloaded").Len())
}

func TestInvalidCertificateIsLoggedAndNotUsed(t *testing.T) {
	cert, key := certificate(t)
	other, otherKey := certificate(t)
	before := read(t, cert)
	s := startTLS(t, cert, key)
	for i, broken := range []func(){
		func() { require.NoError(t, os.WriteFile(cert, before[:len(before)/2], 0o600)) },
		func() { require.NoError(t, os.WriteFile(cert, read(t, other), 0o600)) }, // it does not match the key
		func() { require.NoError(t, os.Remove(cert)) },
	} {
		broken()
		require.Eventually(t, func() bool { return s.logged.FilterMessageSnippet("could not reload").Len() > i },
			timeout, 20*time.Millisecond)
		s.presents(t, before)
	}
	fault := s.logged.FilterMessageSnippet("could not reload").All()[0].ContextMap()["error"]
	require.Contains(t, fault, cert)
	require.NoError(t, os.WriteFile(key, read(t, otherKey), 0o600))
	require.NoError(t, os.WriteFile(cert, read(t, other), 0o600))
	s.presents(t, read(t, other))
}

func TestOnlyTLS12AndNewerIsAccepted(t *testing.T) {
	s := fresh(t)
	for version, accepted := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false,
		tls.VersionTLS12: true, tls.VersionTLS13: true} {
		conn, err := tls.Dial("tcp", s.host, &tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version})
		require.Equal(t, accepted, err == nil, "%s: %v", tls.VersionName(version), err)
		if err == nil {
			conn.Close()
		}
	}
}

func TestListeningBeyondLoopbackWithoutTLSRequiresInsecure(t *testing.T) {
	for _, listen := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:0"} {
		err := server.Run(t.Context(), server.Config{Data: home(t), Listen: listen})
		require.ErrorContains(t, err, "--insecure", listen)
	}
	start(t, server.Config{Data: home(t), Listen: "0.0.0.0:0", Insecure: true}).stopped(t)
}

// waitForClose waits until the server closes a connection.
func waitForClose(t *testing.T, conn net.Conn) {
	t.Helper()
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(timeout)))
	_, err := io.ReadAll(conn)
	var late net.Error
	require.False(t, errors.As(err, &late) && late.Timeout(), "the server did not close the connection")
}

func TestSlowAndOversizedRequestsAreDisconnected(t *testing.T) {
	plain := start(t, server.Config{Data: home(t)})
	defer plain.stopped(t)
	host := strings.TrimPrefix(plain.address, "http://")
	slow, err := net.Dial("tcp", host)
	require.NoError(t, err)
	defer slow.Close()
	_, err = io.WriteString(slow, "GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ")
	require.NoError(t, err)

	long, err := net.Dial("tcp", host)
	require.NoError(t, err)
	defer long.Close()
	go func() { _, _ = io.WriteString(long, "GET /?"+strings.Repeat("x", 1<<18)+" HTTP/1.1\r\n\r\n") }()
	answer, err := http.ReadResponse(bufio.NewReader(long), nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, answer.StatusCode)

	secure := fresh(t)
	silent, err := net.Dial("tcp", secure.host) // it never starts the handshake
	require.NoError(t, err)
	defer silent.Close()
	waitForClose(t, slow)
	waitForClose(t, silent)
}
