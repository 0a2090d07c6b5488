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

const patience = time.Minute

// secured is a server with a certificate that a test replaces.
type secured struct {
	running
	host, cert, key string
	said            *observer.ObservedLogs
}

func startSecured(t *testing.T, cert, key string) secured {
	core, said := observer.New(zap.InfoLevel)
	r := start(t, server.Config{Data: home(t), TLSCert: cert, TLSKey: key, Logger: zap.New(core)})
	t.Cleanup(func() { r.stopped(t) })
	u, err := url.Parse(r.address)
	require.NoError(t, err)
	return secured{r, net.JoinHostPort("127.0.0.1", u.Port()), cert, key, said}
}

func fresh(t *testing.T) secured {
	t.Helper()
	cert, key := certificate(t)
	return startSecured(t, cert, key)
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return text
}

// dial connects as somebody who trusts the certificate in a file alone.
func (s secured) dial(ca []byte) (*tls.Conn, error) {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	return tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", s.host, &tls.Config{RootCAs: pool, ServerName: "drover.test"})
}

// alive sends a request over a connection that is open.
func alive(t *testing.T, conn net.Conn, in *bufio.Reader) {
	t.Helper()
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	_, err := io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: drover.test\r\n\r\n")
	require.NoError(t, err)
	answer, err := http.ReadResponse(in, nil)
	require.NoError(t, err)
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, answer.Body)
	require.Equal(t, 200, answer.StatusCode)
}

// shows waits until new connections get a certificate.
func (s secured) shows(t *testing.T, cert []byte) {
	t.Helper()
	require.Eventually(t, func() bool {
		conn, err := s.dial(cert)
		if err != nil {
			return false
		}
		return conn.Close() == nil
	}, patience, 20*time.Millisecond, "new connections get the certificate that stands in the file")
}

func TestACertificateThatIsReplacedIsShownToNewConnectionsAndOpenOnesStay(t *testing.T) {
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
	s := startSecured(t, cert, key)
	open, err := s.dial(read(t, oldCert))
	require.NoError(t, err)
	defer open.Close()
	in := bufio.NewReader(open)
	alive(t, open, in)

	require.NoError(t, os.Symlink("two", filepath.Join(folder, "next")))
	require.NoError(t, os.Rename(filepath.Join(folder, "next"), filepath.Join(folder, "live")))
	s.shows(t, read(t, newCert))
	_, err = s.dial(read(t, oldCert))
	require.Error(t, err)
	alive(t, open, in)

	for name, from := range map[string]string{cert: third, key: thirdKey} { // as a tool that writes beside and renames
		require.NoError(t, os.WriteFile(name+".new", read(t, from), 0o600))
		require.NoError(t, os.Rename(name+".new", name))
	}
	s.shows(t, read(t, third))
	alive(t, open, in)
	require.NotZero(t, s.said.FilterMessage("certificate is read anew").Len())
}

func TestACertificateThatIsBrokenOrHalfWrittenChangesNothingAndIsTold(t *testing.T) {
	cert, key := certificate(t)
	other, otherKey := certificate(t)
	before := read(t, cert)
	s := startSecured(t, cert, key)
	for i, broken := range []func(){
		func() { require.NoError(t, os.WriteFile(cert, before[:len(before)/2], 0o600)) },
		func() { require.NoError(t, os.WriteFile(cert, read(t, other), 0o600)) }, // its key is another's
		func() { require.NoError(t, os.Remove(cert)) },
	} {
		broken()
		require.Eventually(t, func() bool { return s.said.FilterMessageSnippet("is not taken").Len() > i }, patience, 20*time.Millisecond)
		s.shows(t, before)
	}
	complaint := s.said.FilterMessageSnippet("is not taken").All()[0].ContextMap()["error"]
	require.Contains(t, complaint, cert)
	require.NoError(t, os.WriteFile(key, read(t, otherKey), 0o600))
	require.NoError(t, os.WriteFile(cert, read(t, other), 0o600))
	s.shows(t, read(t, other))
}

func TestOnlyTLS12AndNewerIsSpoken(t *testing.T) {
	s := fresh(t)
	for version, spoken := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		conn, err := tls.Dial("tcp", s.host, &tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version})
		require.Equal(t, spoken, err == nil, "%s: %v", tls.VersionName(version), err)
		if err == nil {
			conn.Close()
		}
	}
}

func TestWithoutTLSNobodyElsewhereCanConnectUnlessThatIsSaid(t *testing.T) {
	for _, listen := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:0"} {
		err := server.Run(t.Context(), server.Config{Data: home(t), Listen: listen})
		require.ErrorContains(t, err, "--insecure", listen)
	}
	start(t, server.Config{Data: home(t), Listen: "0.0.0.0:0", Insecure: true}).stopped(t)
}

// sees waits until a connection is closed by the other side, and returns what came before.
func sees(t *testing.T, conn net.Conn) string {
	t.Helper()
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
	text, err := io.ReadAll(conn)
	var late net.Error
	require.False(t, errors.As(err, &late) && late.Timeout(), "the connection stays open")
	return string(text)
}

func TestWhoDoesNotSayInTimeWhatTheyWantIsHungUpOn(t *testing.T) {
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

	mute := fresh(t)
	silent, err := net.Dial("tcp", mute.host) // it never begins the handshake
	require.NoError(t, err)
	defer silent.Close()
	sees(t, slow)
	sees(t, silent)
}
