package server_test

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/internal/config"
	"github.com/droverhq/drover/internal/server"
)

func freePort(t *testing.T) (listen string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	return listener.Addr().String()
}

// copiedLog creates a log and a copy of it, each in its own data folder.
func copiedLog(t *testing.T) (original, copy, listen string) {
	t.Helper()
	original, copy, listen = home(t), t.TempDir(), freePort(t)
	start(t, server.Config{Data: original, Listen: listen}).stopped(t)
	text, err := os.ReadFile(filepath.Join(original, "drover.db"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(copy, "drover.db"), text, 0o600))
	return original, copy, listen
}

func TestServerOfCopyDoesNotChangeTheContext(t *testing.T) {
	original, copy, listen := copiedLog(t)
	for _, at := range []string{freePort(t), "127.0.0.1:0"} {
		serving := start(t, server.Config{Data: original, Listen: listen})
		before := contexts(t)
		copied := start(t, server.Config{Data: copy, Listen: at})
		require.Equal(t, before, contexts(t))
		copied.stopped(t)
		require.Equal(t, before, contexts(t))
		serving.stopped(t)
		require.Equal(t, before, contexts(t))
	}
}

func TestServerOfOriginalRemovesTheServerOfCopyFromTheContext(t *testing.T) {
	original, copy, listen := copiedLog(t)
	copied := start(t, server.Config{Data: copy, Listen: freePort(t)})
	require.Equal(t, []string{"http://" + listen, copied.address}, contexts(t).List[0].Servers,
		"no server serves the original")
	serving := start(t, server.Config{Data: original, Listen: listen})
	require.Equal(t, []string{serving.address}, contexts(t).List[0].Servers)
	copied.stopped(t)
	serving.stopped(t)
}

func TestStoppedServerRemovesItsAddressFromTheContext(t *testing.T) {
	data, listen := home(t), freePort(t)
	start(t, server.Config{Data: data, Listen: listen}).stopped(t)
	second := start(t, server.Config{Data: data, Listen: freePort(t)})
	require.Equal(t, []string{"http://" + listen, second.address}, contexts(t).List[0].Servers)
	second.stopped(t)
	require.Equal(t, []string{"http://" + listen}, contexts(t).List[0].Servers)
}

func TestServerOfUnrelatedLogIsNotTreatedAsACopy(t *testing.T) {
	data := home(t)
	start(t, server.Config{Data: data, Listen: freePort(t)}).stopped(t)
	otherData := t.TempDir()
	other := start(t, server.Config{Data: otherData, Listen: freePort(t)}) // it does not accept the token
	path, err := config.ContextsPath()
	require.NoError(t, err)
	require.NoError(t, config.ChangeContexts(path, func(all *config.Contexts) (bool, error) {
		all.List[0].Servers = []string{other.address}
		return true, nil
	}))
	here := start(t, server.Config{Data: data, Listen: freePort(t)})
	require.Equal(t, []string{other.address, here.address}, contexts(t).List[0].Servers)
	here.stopped(t)
	other.stopped(t)
}
