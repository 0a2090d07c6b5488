package agent_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/droverhq/drover/api/client"
)

func TestAgentWithADamagedMemoryReportsItOnceAndContinuesWithoutIt(t *testing.T) {
	server := newServer(t)
	config := configuration(t, server)
	first := startAgent(t, config)
	c := server.welcome(t)
	c.send(t, client.ToAgent{Newest: &client.NewestEvent{Log: "log-1", Revision: 3, Event: "event-3"}})
	c.complete(t, config, work("d-1", "true"))
	first.stop()
	require.NoError(t, first.wait(t))
	path := filepath.Join(config.Data, "memory.json")
	damaged := strings.Replace(read(t, path), "event-3", "event-2", 1)
	require.NoError(t, os.WriteFile(path, []byte(damaged), 0o600))

	second := startAgent(t, config)
	again := server.welcome(t)
	require.Equal(t, c.hello.Instance, again.hello.Instance)
	require.Nil(t, again.hello.Memory, "the servers must not see a wrong event")
	lines := second.log.FilterField(zap.String("file", path)).All()
	require.Len(t, lines, 1)
	require.Contains(t, lines[0].Message, "continuing with an empty memory")
	require.Equal(t, path+".damaged-1", lines[0].ContextMap()["renamed"])
	again.offerAndConfirmClaim(t, work("d-2", "true"))
	require.EqualValues(t, "succeeded", expect(t, again, anEnd).State)
}
