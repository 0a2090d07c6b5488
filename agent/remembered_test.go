package agent_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/api/client"
)

func aStatement(m client.FromAgent) *client.Remembered { return m.Remembered }

// rememberedBy returns the deployments of project shop that the agent states after its welcome.
func rememberedBy(t *testing.T, c *conversation) []string {
	t.Helper()
	statement := expect(t, c, aStatement)
	require.False(t, statement.Partial)
	return statement.Projects["shop"].Deployments
}

func TestAgentStatesItsSuccessesAfterEachWelcome(t *testing.T) {
	server := newServer(t)
	config := configuration(t, server)
	first := startAgent(t, config)
	c := server.welcome(t)
	require.Empty(t, rememberedBy(t, c))
	for _, deployment := range []string{"d-1", "d-2"} {
		c.offerAndConfirmClaim(t, work(deployment, "true"))
		expect(t, c, anEnd)
		c.confirm(t, deployment)
		waitUntilRemoved(t, entry(config, deployment))
	}
	c.offerAndConfirmClaim(t, work("d-3", "false"))
	expect(t, c, anEnd)
	c.drop()
	c = server.welcome(t)
	require.Equal(t, []string{"d-1", "d-2"}, rememberedBy(t, c), "the failed part is no success")
	close(first.stopNow)
	require.NoError(t, first.wait(t))

	startAgent(t, config)
	require.Equal(t, []string{"d-1", "d-2"}, rememberedBy(t, server.welcome(t)))
}

// The server has recorded the success, and its confirmation did not arrive.
func TestAgentStatesASuccessThatIsNotConfirmed(t *testing.T) {
	server := newServer(t)
	config := configuration(t, server)
	first := startAgent(t, config)
	c := server.welcome(t)
	c.offerAndConfirmClaim(t, work("d-1", "true"))
	expect(t, c, anEnd)
	c.drop()
	c = server.welcome(t)
	require.Equal(t, []string{"d-1"}, rememberedBy(t, c))
	close(first.stopNow)
	require.NoError(t, first.wait(t))

	startAgent(t, config)
	c = server.welcome(t)
	require.Equal(t, []string{"d-1"}, rememberedBy(t, c), "the journal has it")
	c.confirm(t, "d-1")
	waitUntilRemoved(t, entry(config, "d-1"))
	c.drop()
	require.Equal(t, []string{"d-1"}, rememberedBy(t, server.welcome(t)))
}

// The machine lost power after the last step succeeded and before the journal was written.
func TestAgentDoesNotStateAPartThatWasInterrupted(t *testing.T) {
	server := newServer(t)
	config := configuration(t, server)
	first := startAgent(t, config)
	c := server.welcome(t)
	c.offerAndConfirmClaim(t, work("d-1", "true"))
	expect(t, c, anEnd)
	close(first.stopNow)
	require.NoError(t, first.wait(t))
	running := `{"format": 1, "deployment": "d-1", "project": "shop", "state": "running", "number": 1}`
	require.NoError(t, os.WriteFile(filepath.Join(config.Data, "journal", "d-1.json"), []byte(running), 0o600))

	startAgent(t, config)
	c = server.welcome(t)
	require.Empty(t, rememberedBy(t, c))
	require.EqualValues(t, "interrupted", expect(t, c, anEnd).Reason)
}

func TestAgentWithALostMemoryStatesThatItRemembersNothing(t *testing.T) {
	server := newServer(t)
	config := configuration(t, server)
	first := startAgent(t, config)
	c := server.welcome(t)
	c.offerAndConfirmClaim(t, work("d-1", "true"))
	expect(t, c, anEnd)
	c.confirm(t, "d-1")
	waitUntilRemoved(t, entry(config, "d-1"))
	close(first.stopNow)
	require.NoError(t, first.wait(t))
	require.NoError(t, os.Remove(filepath.Join(config.Data, "memory.json")))

	startAgent(t, config)
	require.Empty(t, rememberedBy(t, server.welcome(t)))
}
