//go:build unix

package server

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// socketMode lets only the owner connect.
const socketMode = 0o600

// listenPrivately binds a Unix socket that only its owner can connect to. The mode is set before the socket has a name
// (on Linux) and again afterwards (for other systems), so that nobody else can connect meanwhile.
func listenPrivately(path string) (net.Listener, error) {
	config := net.ListenConfig{Control: func(_, _ string, conn syscall.RawConn) error {
		var failure error
		err := conn.Control(func(fd uintptr) { failure = unix.Fchmod(int(fd), socketMode) })
		if err == nil && !errors.Is(failure, unix.EINVAL) { // EINVAL: only the second way is supported
			err = failure
		}
		return err
	}}
	listener, err := config.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, socketMode); err != nil {
		_ = listener.Close()
		return nil, err
	}
	return listener, nil
}

// refused reports whether a connection attempt failed because nothing listens.
func refused(err error) bool { return errors.Is(err, unix.ECONNREFUSED) }
