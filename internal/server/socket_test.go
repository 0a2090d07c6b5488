package server_test

import (
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/explain"
	"github.com/droverhq/drover/internal/server"
)

// socketOf returns a data folder whose path is short enough for a socket, and the address of the socket in it.
func socketOf(t *testing.T) (data, address string) {
	t.Helper()
	home(t)
	data, err := os.MkdirTemp("", "d")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(data) })
	return data, client.SocketPrefix + filepath.Join(data, "drover.sock")
}

func machinesOver(t *testing.T, address string) error {
	t.Helper()
	all := contexts(t)
	c := &client.Client{Servers: []string{address}, Token: all.For(address).Token}
	var machines explain.List[explain.Machine]
	_, err := c.Get(t.Context(), "/machines", url.Values{}, &machines)
	return err
}

func TestOnlyTheOwnerCanConnectToTheSocket(t *testing.T) {
	data, address := socketOf(t)
	s := start(t, server.Config{Data: data})
	require.NoError(t, machinesOver(t, address))
	info, err := os.Stat(filepath.Join(data, "drover.sock"))
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
	s.stopped(t)
	require.NoFileExists(t, filepath.Join(data, "drover.sock"))
}

func TestLocalDetailsNeedNoTokenOverTheSocket(t *testing.T) {
	data, address := socketOf(t)
	start(t, server.Config{Data: data})
	path, _ := client.SocketPath(address)
	response, err := client.SocketClient(path).Get("http://any/metrics")
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode)
	refused, err := client.SocketClient(path).Get("http://any/api/v1/machines")
	require.NoError(t, err)
	defer refused.Body.Close()
	require.Equal(t, http.StatusUnauthorized, refused.StatusCode, "a token is required as over TCP")
}

func TestSocketOfAKilledServerIsReplaced(t *testing.T) {
	data, address := socketOf(t)
	path, _ := client.SocketPath(address)
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	require.NoError(t, err)
	left.SetUnlinkOnClose(false)
	require.NoError(t, left.Close())
	require.FileExists(t, path)
	start(t, server.Config{Data: data})
	require.NoError(t, machinesOver(t, address))
}

func TestSecondServerLeavesTheSocketToTheFirst(t *testing.T) {
	data, address := socketOf(t)
	start(t, server.Config{Data: data})
	second := start(t, server.Config{Data: data})
	second.stopped(t)
	require.NoError(t, machinesOver(t, address), "the first server still has its socket")
}

func TestServerRunsWithoutASocketThatItCannotBind(t *testing.T) {
	data, address := socketOf(t)
	path, _ := client.SocketPath(address)
	require.NoError(t, os.WriteFile(path, []byte("mine"), 0o600))
	s := start(t, server.Config{Data: data})
	require.NoError(t, machinesOver(t, s.address))
	kept, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "mine", string(kept), "a file that is not a socket is never removed")

	long := filepath.Join(data, strings.Repeat("x", 120))
	s = start(t, server.Config{Data: long})
	require.NoError(t, machinesOver(t, s.address))
}
