package server

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/droverhq/drover/api/client"
)

// socketName is the name of the Unix socket in the data folder. Only the owner of the folder can connect to it.
const socketName = "drover.sock"

// maxSocketPath is the longest path of a Unix socket that every supported system accepts.
const maxSocketPath = 103

// maxSocketConnections bounds the connections over the socket. They come from programs on this machine.
const maxSocketConnections = 1024

// socket is the Unix socket of a server. Its zero value listens on nothing.
type socket struct {
	listener net.Listener
	// address is the URL for clients on this machine, such as unix:///var/lib/drover/drover.sock.
	address string
}

// listenSocket binds the Unix socket in folder. It removes a socket that a killed server has left. A server runs
// without a socket if another server with the same folder has it. An error explains why the server has no socket.
func listenSocket(folder string) (socket, error) {
	if folder == "" {
		return socket{}, nil
	}
	path, err := filepath.Abs(filepath.Join(folder, socketName))
	if err != nil {
		return socket{}, err
	}
	if len(path) > maxSocketPath {
		return socket{}, fmt.Errorf("the path %s is longer than %d bytes", path, maxSocketPath)
	}
	// without the lock, two servers that start together could remove each other's socket
	unlock, err := lockPrivately(path + ".lock")
	if err != nil {
		return socket{}, err
	}
	defer unlock()
	if err := removeStaleSocket(path); err != nil {
		return socket{}, err
	}
	listener, err := listenPrivately(path)
	if err != nil {
		return socket{}, err
	}
	return socket{listener: listener, address: client.SocketPrefix + path}, nil
}

// removeStaleSocket removes the socket at path if no server accepts connections there.
func removeStaleSocket(path string) error {
	found, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case found.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s exists and is not a socket", path)
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		_ = conn.Close()
		return fmt.Errorf("another server uses %s", path)
	}
	if !refused(err) {
		return err
	}
	return os.Remove(path)
}

// close stops listening and removes the socket.
func (s socket) close() {
	if s.listener != nil {
		_ = s.listener.Close()
	}
}
