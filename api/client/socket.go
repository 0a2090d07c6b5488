package client

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// SocketPrefix starts the address of a server that listens on a Unix socket: unix:///PATH.
const SocketPrefix = "unix://"

// SocketPath returns the absolute path of the Unix socket that a server address names. ok is false if the address names
// no Unix socket, or if the path is not absolute.
func SocketPath(address string) (path string, ok bool) {
	path, ok = strings.CutPrefix(address, SocketPrefix)
	return path, ok && filepath.IsAbs(path)
}

// CheckSocket returns an error if address begins like that of a Unix socket but names none.
func CheckSocket(address string) error {
	if _, ok := SocketPath(address); ok || !strings.HasPrefix(address, SocketPrefix) {
		return nil
	}
	return fmt.Errorf("invalid server address %.200q: use unix:///PATH with an absolute path", address)
}

// socketDialTimeout bounds one attempt to connect. A server whose queue of connections is full does not answer.
const socketDialTimeout = 5 * time.Second

// socketTransports holds one transport per socket path, so that requests share connections.
var socketTransports sync.Map // of path to *http.Transport

// SocketClient returns an HTTP client whose requests all go to the Unix socket at path, whatever host they name. It
// uses neither TLS nor a proxy: the permissions of the socket decide who can connect.
func SocketClient(path string) *http.Client {
	transport, _ := socketTransports.LoadOrStore(path, &http.Transport{DialContext: dialSocket(path)})
	return &http.Client{Transport: transport.(*http.Transport)}
}

// dialSocket returns a function that connects to the Unix socket at path, whatever address it is given.
func dialSocket(path string) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		dialer := net.Dialer{Timeout: socketDialTimeout}
		return dialer.DialContext(ctx, "unix", path)
	}
}
