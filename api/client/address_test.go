package client_test

import (
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/api/client/handshake"
)

func TestIPv6AddressesOfServersNeedBracketsAndNoZone(t *testing.T) {
	for _, good := range []string{"http://[::1]:7070", "https://[2001:db8::1]", "https://drover.example.com:7070/path:a:b",
		"http://127.0.0.1:7070", "https://user:pass@host:1", "drover:7070", ""} {
		require.NoError(t, client.CheckURL(good), good)
	}
	for bad, want := range map[string]string{
		"http://::1:7070":            "write an IPv6 address in brackets, for example [2001:db8::1]:7070",
		"https://2001:db8::1/":       "in brackets",
		"http://[fe80::1%25eth0]:1":  "has an IPv6 zone",
		"http://[fe80::1%eth0]:7070": "has an IPv6 zone",
	} {
		require.ErrorContains(t, client.CheckURL(bad), want, bad)
		_, err := (&client.Client{Servers: []string{bad}}).Get(t.Context(), "/machines", nil, nil)
		require.ErrorContains(t, err, want, bad)
		require.Equal(t, client.Invalid, client.KindOf(err), "a retry cannot help")
	}
}

func TestSameAddressIsRecognizedInEachForm(t *testing.T) {
	for other, same := range map[string]bool{"[::1]:7070": true, "[0:0:0:0:0:0:0:1]:7070": true, "[::1]:7071": false, "127.0.0.1:7070": false,
		"[::ffff:127.0.0.1]:7070": false} {
		require.Equal(t, same, handshake.SameAddress("[::1]:7070", other), other)
	}
	require.True(t, handshake.SameAddress("127.0.0.1:7070", "[::ffff:127.0.0.1]:7070"))
}

func TestObjectThatIsMissingIsReportedOverASocketToo(t *testing.T) {
	folder, err := os.MkdirTemp("", "d")
	require.NoError(t, err)
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "s")
	listener, err := net.Listen("unix", path)
	require.NoError(t, err)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", client.ProblemType)
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"status": 404, "kind": "not-found", "detail": "no machine web-01"}`)
	})}
	go func() { _ = server.Serve(listener) }()
	defer server.Close()
	_, err = (&client.Client{Servers: []string{client.SocketPrefix + path}}).Get(t.Context(), "/machines/web-01", nil, nil)
	require.EqualError(t, err, "no machine web-01")
}
