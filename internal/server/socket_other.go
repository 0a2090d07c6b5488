//go:build !unix

package server

import (
	"errors"
	"net"
)

// listenPrivately reports that this system has no sockets with permissions.
func listenPrivately(string) (net.Listener, error) {
	return nil, errors.New("this system does not support Unix sockets with permissions")
}

// refused reports whether a connection attempt failed because nothing listens.
func refused(error) bool { return false }
