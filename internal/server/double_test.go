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

// copied is a log of one server's making and a copy of it, each in a data folder of its own.
func copied(t *testing.T) (mine, copy, listen string) {
	t.Helper()
	mine, copy, listen = home(t), t.TempDir(), freePort(t)
	start(t, server.Config{Data: mine, Listen: listen}).stopped(t)
	text, err := os.ReadFile(filepath.Join(mine, "drover.db"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(copy, "drover.db"), text, 0o600))
	return mine, copy, listen
}

func TestAServerOfACopyLeavesTheContextToTheServerOfTheLog(t *testing.T) {
	mine, copy, listen := copied(t)
	for _, at := range []string{freePort(t), "127.0.0.1:0"} {
		living := start(t, server.Config{Data: mine, Listen: listen})
		before := contexts(t)
		look := start(t, server.Config{Data: copy, Listen: at})
		require.Equal(t, before, contexts(t))
		look.stopped(t)
		require.Equal(t, before, contexts(t))
		living.stopped(t)
		require.Equal(t, before, contexts(t))
	}
}

func TestALogWhoseCopyIsServedGetsItsContextForItselfAgain(t *testing.T) {
	mine, copy, listen := copied(t)
	look := start(t, server.Config{Data: copy, Listen: freePort(t)})
	require.Equal(t, []string{"http://" + listen, look.address}, contexts(t).List[0].Servers, "the log itself is not served now")
	living := start(t, server.Config{Data: mine, Listen: listen})
	require.Equal(t, []string{living.address}, contexts(t).List[0].Servers)
	look.stopped(t)
	living.stopped(t)
}

func TestAServerThatWasTriedElsewhereLeavesNoAddressBehind(t *testing.T) {
	data, listen := home(t), freePort(t)
	start(t, server.Config{Data: data, Listen: listen}).stopped(t)
	tried := start(t, server.Config{Data: data, Listen: freePort(t)})
	require.Equal(t, []string{"http://" + listen, tried.address}, contexts(t).List[0].Servers)
	tried.stopped(t)
	require.Equal(t, []string{"http://" + listen}, contexts(t).List[0].Servers)
}

func TestAStrangeProgramAtAKnownAddressIsNoServerOfACopy(t *testing.T) {
	data := home(t)
	start(t, server.Config{Data: data, Listen: freePort(t)}).stopped(t)
	otherData := t.TempDir()
	other := start(t, server.Config{Data: otherData, Listen: freePort(t)}) // of another origin: it does not take the token
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
