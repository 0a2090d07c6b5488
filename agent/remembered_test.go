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
		c.complete(t, config, work(deployment, "true"))
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
	c.complete(t, config, work("d-1", "true"))
	close(first.stopNow)
	require.NoError(t, first.wait(t))
	require.NoError(t, os.Remove(filepath.Join(config.Data, "memory.json")))

	startAgent(t, config)
	require.Empty(t, rememberedBy(t, server.welcome(t)))
}

// If the log has lost d-1, only its end tells the server that d-2 must not run over it.
func TestAgentReportsAnEndBeforeItClaimsAnotherPartOfTheProject(t *testing.T) {
	server := newServer(t)
	startAgent(t, configuration(t, server))
	c := server.welcome(t)
	c.offerAndConfirmClaim(t, work("d-1", "echo started; sleep 0.3"))
	next := work("d-2", "true")
	c.send(t, client.ToAgent{Offer: &next})
	first := expect(t, c, func(m client.FromAgent) *client.FromAgent {
		if m.End == nil && m.Claim == nil {
			return nil
		}
		return &m
	})
	require.NotNil(t, first.End)
	require.Equal(t, "d-2", expect(t, c, aClaim).Deployment)
}

func TestAgentStatesWhichPartsAreNotConfirmed(t *testing.T) {
	server := newServer(t)
	startAgent(t, configuration(t, server))
	c := server.welcome(t)
	require.Empty(t, expect(t, c, aStatement).Unconfirmed)
	c.offerAndConfirmClaim(t, work("d-1", "false"))
	expect(t, c, anEnd)
	c.offerAndConfirmClaim(t, work("d-2", "sleep 60"))
	c.drop()
	c = server.welcome(t)
	ran := client.RanPart{Project: "shop", Release: "1.4.3"}
	require.Equal(t, map[string]client.RanPart{"d-1": ran, "d-2": ran}, expect(t, c, aStatement).Unconfirmed)
}

// The record keeps the last successes of a project. A new success must not count as older than those of earlier runs.
func TestRestartedAgentRemembersWhatItInstallsNext(t *testing.T) {
	server := newServer(t)
	config := configuration(t, server)
	deploy := func(deployments ...string) {
		a := startAgent(t, config)
		c := server.welcome(t)
		for _, deployment := range deployments {
			c.complete(t, config, work(deployment, "true"))
		}
		a.stop()
		require.NoError(t, a.wait(t))
	}
	deploy("d-1", "d-2", "d-3", "d-4", "d-5", "d-6", "d-7", "d-8", "d-9")
	deploy("d-10")
	startAgent(t, config)
	statement := expect(t, server.welcome(t), aStatement)
	require.Contains(t, statement.Projects["shop"].Deployments, "d-10")
}
