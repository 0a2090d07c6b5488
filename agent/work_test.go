package agent_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/agent"
	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
)

func TestOfferedPartIsClaimedRunAndReported(t *testing.T) {
	server := newServer(t)
	config := configuration(t, server)
	first := startAgent(t, config)

	c := server.welcome(t)
	require.Equal(t, "web-01", c.hello.Machine)
	require.NotEmpty(t, c.hello.JoinProof)
	require.Equal(t, []string{"web"}, c.hello.Roles)
	require.Nil(t, c.hello.Memory, "before its first welcome, the agent has no memory of a log")
	c.send(t, client.ToAgent{Newest: &client.NewestEvent{Log: "log-1", Revision: 3, Event: "event-3"}})

	offered := work("d-1", "echo $DROVER_PROJECT $DROVER_RELEASE", "echo on $DROVER_MACHINE")
	c.send(t, client.ToAgent{Offer: &offered})
	expect(t, c, aClaim)
	require.Contains(t, read(t, entry(config, "d-1")), `"claiming"`, "the journal is written before the claim")
	c.send(t, client.ToAgent{Claimed: &client.Claimed{Deployment: "d-1", Counts: true}})
	output, end := outputAndEnd(t, c)
	require.Equal(t, "shop 1.4.3\non web-01\n", output)
	require.Equal(t, client.End{Deployment: "d-1", State: "succeeded"}, end)
	require.Contains(t, read(t, entry(config, "d-1")), `"ended"`)
	c.confirm(t, "d-1")
	waitUntilRemoved(t, entry(config, "d-1"))
	waitUntilRemoved(t, filepath.Join(config.Data, "parts", "d-1"))

	first.stop()
	require.False(t, expect(t, c, aGoodbye).Delete)
	require.NoError(t, first.wait(t))

	startAgent(t, config)
	again := server.welcome(t)
	require.Equal(t, c.hello.Instance, again.hello.Instance)
	require.Empty(t, again.hello.JoinProof, "the join token is needed only once")
	require.Empty(t, again.hello.Verifier)
	require.NotEqual(t, c.hello.Session, again.hello.Session)
	require.Equal(t, &client.Memory{
		Log:         "log-1",
		Machine:     "web-01",
		Revision:    3,
		Event:       "event-3",
		Successes:   map[string]string{"shop": "event-of-d-1"},
		Deployments: map[string]string{"shop": "d-1"},
	}, again.hello.Memory)
}

func TestPartWhoseClaimDoesNotCountNeverStarts(t *testing.T) {
	ran := inFolder(t, "ran")
	_, config, c := unansweredClaim(t, "echo > "+ran)
	c.send(t, client.ToAgent{Claimed: &client.Claimed{Deployment: "d-1", Reason: "superseded"}})
	waitUntilRemoved(t, entry(config, "d-1"))
	c.offerAndConfirmClaim(t, work("d-2", "true"))
	expect(t, c, anEnd)
	require.NoFileExists(t, ran)
}

func TestOnePartRunsAtATimeAndNoPartRunsTwice(t *testing.T) {
	server := newServer(t)
	config := configuration(t, server)
	count, going := inFolder(t, "count"), inFolder(t, "going")
	startAgent(t, config)
	c := server.welcome(t)
	first := work("d-1", "echo d-1 >> "+count+"; while ! [ -e "+going+" ]; do sleep 0.01; done")
	second := work("d-2", "echo d-2 >> "+count)
	c.offerAndConfirmClaim(t, first)
	waitUntilExists(t, count)
	c.send(t, client.ToAgent{Offer: &first})
	c.send(t, client.ToAgent{Offer: &second})
	c.send(t, client.ToAgent{Offer: &second})
	c.send(t, client.ToAgent{Claimed: &client.Claimed{Deployment: "d-1", Counts: true}})
	c.send(t, client.ToAgent{Claimed: &client.Claimed{Deployment: "d-2", Counts: true}})
	require.NoError(t, os.WriteFile(going, nil, 0o600))

	require.Equal(t, "d-1", expect(t, c, anEnd).Deployment)
	c.send(t, client.ToAgent{Offer: &first}) // ended, but not confirmed
	require.Equal(t, "d-2", expect(t, c, aClaim).Deployment)
	c.confirm(t, "d-1")
	c.send(t, client.ToAgent{Claimed: &client.Claimed{Deployment: "d-2", Counts: true}})
	require.Equal(t, "d-2", expect(t, c, func(m client.FromAgent) *client.End {
		if m.End != nil && m.End.Deployment == "d-1" {
			return nil
		}
		return m.End
	}).Deployment)
	require.Equal(t, "d-1\nd-2\n", read(t, count))
}

func TestPartOfferedAgainByARestoredLogDoesNotRunAgain(t *testing.T) {
	server := newServer(t)
	config := configuration(t, server)
	count := inFolder(t, "count")
	first := startAgent(t, config)
	c := server.welcome(t)
	offered := work("d-1", "echo once >> "+count, "exit 3")
	c.offerAndConfirmClaim(t, offered)
	end := expect(t, c, anEnd)
	require.Equal(t, domain.PartFailed, end.State)
	c.confirm(t, "d-1")
	waitUntilRemoved(t, entry(config, "d-1"))
	first.stop()
	require.NoError(t, first.wait(t))

	startAgent(t, config)
	c = server.welcome(t) // the restored log does not have the claim
	c.offerAndConfirmClaim(t, offered)
	require.Equal(t, end, expect(t, c, anEnd), "the agent reports the same result again")
	require.Equal(t, "once\n", read(t, count))
	c.confirm(t, "d-1")
	c.offerAndConfirmClaim(t, work("d-2", "echo other >> "+count))
	require.Equal(t, domain.PartSucceeded, expect(t, c, anEnd).State)
	require.Equal(t, "once\nother\n", read(t, count))
}

func TestRestoredLogReceivesTheEndOfAnUnfinishedPartAgain(t *testing.T) {
	server := newServer(t)
	config := configuration(t, server)
	first := startAgent(t, config)
	c := server.welcome(t)
	for _, deployment := range []string{"d-1", "d-2"} {
		c.offerAndConfirmClaim(t, work(deployment, "true"))
		require.Equal(t, domain.PartSucceeded, expect(t, c, anEnd).State)
		c.confirm(t, deployment)
		waitUntilRemoved(t, entry(config, deployment))
	}
	first.stop()
	require.NoError(t, first.wait(t))

	startAgent(t, config)
	c = server.welcome(t, client.Unfinished{Deployment: "d-2", Project: "shop"},
		client.Unfinished{Deployment: "d-1", Project: "shop"})
	require.Equal(t, client.End{Deployment: "d-2", State: "succeeded"}, *expect(t, c, anEnd))
	older := *expect(t, c, anEnd)
	require.Equal(t, "d-1", older.Deployment)
	require.Equal(t, domain.PartFailed, older.State, "another part has replaced the release of that part")
}

func TestInvalidServerMessagesAreIgnored(t *testing.T) {
	server := newServer(t)
	config := configuration(t, server)
	config.Data = filepath.Join(config.Data, "deep", "data")
	a := startAgent(t, config)
	c := server.welcome(t)
	other := work("d-1", "true")
	other.Machine = "web-02"
	c.send(t, client.ToAgent{Offer: &other})
	for _, id := range []string{"../../escaped", "", "/etc/x", strings.Repeat("x", 5000)} {
		w := work(id, "true")
		c.send(t, client.ToAgent{Offer: &w})
	}
	c.sendText(t, `{"shutdown": {"force": true}}`)
	c.sendText(t, `{"offer": "not work"}`)
	c.sendText(t, `[]`)
	c.sendText(t, `not JSON`)
	c.send(t, client.ToAgent{Claimed: &client.Claimed{Deployment: "never claimed", Counts: true}})
	c.send(t, client.ToAgent{Ended: &client.Ended{Deployment: "../..", Event: "e"}})
	c.send(t, client.ToAgent{Settings: &client.Settings{HeartbeatEvery: -1, OfflineAfter: -1}})
	c.sendText(t, `{"told": {"log": "log-1", "revision": 1, "event": "e", "colour": "blue"}, "weather": 1}`)

	require.Equal(t, "d-2", func() string {
		w := work("d-2", "true")
		c.send(t, client.ToAgent{Offer: &w})
		return expect(t, c, aClaim).Deployment
	}(), "the first claim is for the valid offer")
	require.Equal(t, 1, a.log.FilterMessage("ignored an offer for another machine").Len())
	require.Equal(t, 4, a.log.FilterMessage("ignored an offer with an invalid deployment id").Len())
	require.Equal(t, 4, a.log.FilterMessage("ignored an unsupported message").Len())
	files, err := os.ReadDir(filepath.Dir(config.Data))
	require.NoError(t, err)
	require.Len(t, files, 1)
}

func TestOversizedMessageClosesOnlyTheConnection(t *testing.T) {
	server := newServer(t)
	startAgent(t, configuration(t, server))
	c := server.welcome(t)
	w := work("d-1", strings.Repeat("#", client.MaxMessageBytes))
	c.send(t, client.ToAgent{Offer: &w})
	c = server.welcome(t)
	c.offerAndConfirmClaim(t, work("d-2", strings.Repeat("# a long step\n", 3<<20/14)+"true"))
	require.Equal(t, domain.PartSucceeded, expect(t, c, anEnd).State)
}

func TestStepsContinueWithoutAConnectionAndAreReportedLater(t *testing.T) {
	server := newServer(t)
	config := configuration(t, server)
	folder := t.TempDir()
	startAgent(t, config)
	c := server.welcome(t)
	c.offerAndConfirmClaim(t, work("d-1",
		"echo before; touch "+folder+"/started; while ! [ -e "+folder+"/cut ]; do sleep 0.01; done; "+
			"echo meanwhile; touch "+folder+"/finished"))
	waitUntilExists(t, folder+"/started")
	c.drop()
	require.NoError(t, os.WriteFile(folder+"/cut", nil, 0o600))
	waitUntilExists(t, folder+"/finished")

	c = server.welcome(t, client.Unfinished{Deployment: "d-1", Project: "shop"})
	output, end := outputAndEnd(t, c)
	require.Equal(t, "before\nmeanwhile\n", output)
	require.Equal(t, domain.PartSucceeded, end.State)
	c.drop()

	c = server.welcome(t, client.Unfinished{Deployment: "d-1", Project: "shop"})
	output, _ = outputAndEnd(t, c)
	require.Equal(t, "before\nmeanwhile\n", output, "unconfirmed output is sent again from the beginning")
	expect(t, c, anEnd)
	require.Equal(t, client.End{Deployment: "d-1", State: "succeeded"}, *expect(t, c, anEnd),
		"the end is sent until it is confirmed")
	c.confirm(t, "d-1")
	waitUntilRemoved(t, entry(config, "d-1"))
}

func TestRunningPartIsReportedAfterReconnect(t *testing.T) {
	server := newServer(t)
	folder := t.TempDir()
	startAgent(t, configuration(t, server))
	c := server.welcome(t)
	c.offerAndConfirmClaim(t, work("d-1", "touch "+folder+"/started; while ! [ -e "+folder+"/continue ]; do sleep 0.01; done"))
	waitUntilExists(t, folder+"/started")
	c.drop()
	c = server.welcome(t, client.Unfinished{Deployment: "d-1"})
	require.Equal(t, client.PartAnswer{Deployment: "d-1", Running: true}, *expect(t, c, anAnswer))
	require.NoError(t, os.WriteFile(folder+"/continue", nil, 0o600))
	require.Equal(t, domain.PartSucceeded, expect(t, c, anEnd).State)
}

// unansweredClaim starts an agent that has claimed part d-1, whose step runs a script, and waits for the answer.
func unansweredClaim(t *testing.T, script string) (server *scriptedServer, config agent.Config, c *conversation) {
	t.Helper()
	server = newServer(t)
	config = configuration(t, server)
	startAgent(t, config)
	c = server.welcome(t)
	offered := work("d-1", script)
	c.send(t, client.ToAgent{Offer: &offered})
	expect(t, c, aClaim)
	return server, config, c
}

func TestClaimWithoutAnAnswerIsSentAgainAndRunsOnce(t *testing.T) {
	for name, c := range map[string]struct {
		unfinished []client.Unfinished
		answer     client.Claimed
	}{
		"the claim was lost": {nil, client.Claimed{Deployment: "d-1", Counts: true}},
		"the answer was lost": {[]client.Unfinished{{Deployment: "d-1"}}, client.Claimed{Deployment: "d-1",
			Counts: true}},
		"the server rejects the repeated claim": {[]client.Unfinished{{Deployment: "d-1"}}, client.Claimed{Deployment: "d-1",
			Reason: "already-claimed"}},
	} {
		t.Run(name, func(t *testing.T) {
			count := inFolder(t, "count")
			server, _, conn := unansweredClaim(t, "echo ran >> "+count)
			conn.drop()
			conn = server.welcome(t, c.unfinished...)
			require.Equal(t, "d-1", expect(t, conn, aClaim).Deployment)
			conn.send(t, client.ToAgent{Claimed: &c.answer})
			require.Equal(t, domain.PartSucceeded, expect(t, conn, anEnd).State)
			require.Equal(t, "ran\n", read(t, count))
		})
	}
}

func TestRecordedClaimThatMustNotStartEndsInterrupted(t *testing.T) {
	ran := inFolder(t, "ran")
	server, _, c := unansweredClaim(t, "touch "+ran)
	c.drop()
	c = server.welcome(t, client.Unfinished{Deployment: "d-1"})
	expect(t, c, aClaim)
	c.send(t, client.ToAgent{Claimed: &client.Claimed{Deployment: "d-1", Reason: "project-disabled"}})
	require.Equal(t, client.End{
		Deployment: "d-1",
		State:      "failed",
		Reason:     "interrupted",
		Detail:     "not started: the server rejected the claim, project-disabled",
	}, *expect(t, c, anEnd))
	require.NoFileExists(t, ran)
}

func TestUnfinishedPartWithoutARecordEndsInterrupted(t *testing.T) {
	server := newServer(t)
	startAgent(t, configuration(t, server))
	c := server.welcome(t, client.Unfinished{Deployment: "d-1", Project: "shop"}, client.Unfinished{Deployment: "../../x"})
	require.Equal(t, client.End{
		Deployment: "d-1", State: "failed", Reason: "interrupted", Detail: "the agent has no record of this part",
	}, *expect(t, c, anEnd))
	require.Equal(t, "../../x", expect(t, c, anEnd).Deployment)
	c.confirm(t, "d-1")
	c.confirm(t, "../../x")
	c.offerAndConfirmClaim(t, work("d-2", "true"))
	require.Equal(t, domain.PartSucceeded, expect(t, c, func(m client.FromAgent) *client.End {
		if m.End != nil && m.End.Deployment == "d-2" {
			return m.End
		}
		return nil
	}).State)
}

func TestNothingIsClaimedWhileTheJournalIsNotWritable(t *testing.T) {
	server := newServer(t)
	config := configuration(t, server)
	a := startAgent(t, config)
	c := server.welcome(t)
	require.True(t, c.hello.StatesConditions)
	require.Empty(t, expect(t, c, someConditions).Conditions, "also none are stated")
	journal := filepath.Join(config.Data, "journal")
	require.NoError(t, os.Rename(journal, journal+".away"))
	require.NoError(t, os.WriteFile(journal, nil, 0o600))
	w := work("d-1", "true")
	c.send(t, client.ToAgent{Offer: &w})
	require.Equal(t, []domain.Condition{{Kind: domain.JournalNotWritable, Detail: config.Data + ": not a directory"}},
		expect(t, c, someConditions).Conditions)
	require.NotContains(t, server.allReceived(), "claim")
	c.drop()
	c = server.welcome(t)
	require.Len(t, expect(t, c, someConditions).Conditions, 1, "another server hears it too")
	c.send(t, client.ToAgent{Offer: &w})
	require.NoError(t, os.Remove(journal))
	require.NoError(t, os.Rename(journal+".away", journal))
	require.Empty(t, expect(t, c, someConditions).Conditions)
	require.Equal(t, "d-1", expect(t, c, aClaim).Deployment)
	require.Equal(t, 1, a.log.FilterMessageSnippet("no part is claimed until that works again").Len(), "one line, not one per attempt")
}

func TestTheFirstStatementOfARunFollowsACheck(t *testing.T) {
	server := newServer(t)
	config := configuration(t, server)
	startAgent(t, config)
	c := server.accept(t)
	journal := filepath.Join(config.Data, "journal")
	require.NoError(t, os.Rename(journal, journal+".away"))
	require.NoError(t, os.WriteFile(journal, nil, 0o600))
	c.send(t, client.ToAgent{Welcome: &client.Welcome{Log: "log-1", Server: "server-1", Settings: shortSettings(nil)}})
	require.Len(t, expect(t, c, someConditions).Conditions, 1, "an empty one would let servers deploy again")
}

func someConditions(m client.FromAgent) *client.Conditions { return m.Conditions }

func TestDeletedDataFolderIsMadeAgain(t *testing.T) {
	server := newServer(t)
	config := configuration(t, server)
	startAgent(t, config)
	c := server.welcome(t)
	identity, err := os.ReadFile(filepath.Join(config.Data, "identity.json"))
	require.NoError(t, err)
	c.offerAndConfirmClaim(t, work("d-1", "true"))
	expect(t, c, anEnd)
	require.NoError(t, os.RemoveAll(config.Data))
	require.Eventually(t, func() bool {
		made, err := os.ReadFile(filepath.Join(config.Data, "journal", "d-1.json"))
		return err == nil && bytes.Contains(made, []byte(`"ended"`))
	}, timeout, 5*time.Millisecond, "the end is not confirmed")
	again, err := os.ReadFile(filepath.Join(config.Data, "identity.json"))
	require.NoError(t, err)
	require.Equal(t, string(identity), string(again))
	c.confirm(t, "d-1")
	c.offerAndConfirmClaim(t, work("d-2", "true"))
}

func TestSecretNeverLeavesTheMachine(t *testing.T) {
	server := newServer(t)
	config := configuration(t, server)
	require.NoError(t, os.WriteFile(filepath.Join(config.Data, "secrets.env"), []byte("DB_PASSWORD=hunter2\n"), 0o600))
	startAgent(t, config)
	c := server.welcome(t)
	w := work("d-1", `printf "with hun"; sleep 0.2; echo "ter2"; echo "no way in: $DB_PASSWORD" >&2; exit 3`)
	w.Secrets = []string{"DB_PASSWORD"}
	c.offerAndConfirmClaim(t, w)
	output, end := outputAndEnd(t, c)
	require.Equal(t, "with ***\nno way in: ***\n", output)
	require.Equal(t, `step "step-1" ended with exit code 3: no way in: ***`, end.Detail)
	require.NotContains(t, server.allReceived(), "hunter2")

	c.confirm(t, "d-1")
	w = work("d-2", "true")
	w.Secrets = []string{"API_KEY"}
	c.offerAndConfirmClaim(t, w)
	end = *expect(t, c, func(m client.FromAgent) *client.End {
		if m.End != nil && m.End.Deployment == "d-2" {
			return m.End
		}
		return nil
	})
	require.Equal(t, domain.SecretMissing, end.Reason)
}

func TestOneGigabyteOfOutputNeedsLittleMemory(t *testing.T) {
	server := newServer(t)
	config := configuration(t, server)
	process := startProcess(t, config)
	c := server.welcome(t)
	c.offerAndConfirmClaim(t, work("d-1", "echo first; head -c 1000000000 /dev/zero; echo; echo last"))
	output, end := outputAndEnd(t, c)
	require.Equal(t, domain.PartSucceeded, end.State)
	require.Less(t, len(output), 17<<20)
	require.True(t, strings.HasPrefix(output, "first\n"))
	require.True(t, strings.HasSuffix(output, "\nlast\n"))

	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", process.Process.Pid))
	if err != nil {
		skipOrFail(t, "needs /proc to measure memory")
	}
	_, peak, _ := strings.Cut(string(status), "VmHWM:")
	kilobytes, err := strconv.Atoi(strings.Fields(peak)[0])
	require.NoError(t, err)
	t.Logf("peak memory: %d kB", kilobytes)
	require.Less(t, kilobytes, 128<<10)
}

func TestKilledPartIsReportedAndTheAgentGoesOn(t *testing.T) {
	server := newServer(t)
	config := configuration(t, server)
	started := inFolder(t, "started")
	startAgent(t, config)
	c := server.welcome(t)
	c.send(t, client.ToAgent{Kill: &client.Kill{Deployment: "d-0", By: "token ops"}}) // no such part: void
	c.offerAndConfirmClaim(t, work("d-1", "echo > "+started+"; sleep 60"))
	waitUntilExists(t, started)
	c.send(t, client.ToAgent{Kill: &client.Kill{Deployment: "d-2", By: "token ops"}}) // not the running part: void
	c.send(t, client.ToAgent{Kill: &client.Kill{Deployment: "d-1", By: "token ops", Reason: "it hangs"}})
	end := expect(t, c, anEnd)
	require.Equal(t, domain.KilledByPerson, end.Reason)
	require.Contains(t, end.Detail, "was stopped by token ops (it hangs)")
	c.confirm(t, "d-1")
	c.offerAndConfirmClaim(t, work("d-2", "true"))
	require.Equal(t, domain.PartSucceeded, expect(t, c, anEnd).State)
}

func TestPartKilledBeforeItsClaimIsAnsweredNeverStarts(t *testing.T) {
	ran := inFolder(t, "ran")
	_, _, c := unansweredClaim(t, "echo > "+ran)
	require.True(t, c.hello.ObeysKill)
	c.send(t, client.ToAgent{Kill: &client.Kill{Deployment: "d-1", By: "token ops"}})
	c.send(t, client.ToAgent{Claimed: &client.Claimed{Deployment: "d-1", Counts: true}})
	require.Equal(t, domain.KilledByPerson, expect(t, c, anEnd).Reason)
	require.NoFileExists(t, ran)
}
