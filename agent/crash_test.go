package agent_test

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/agent/run"
	"github.com/droverhq/drover/api/client"
)

func TestKilledAgentReportsItsStepInterruptedAndKillsOrphans(t *testing.T) {
	server := newServer(t)
	config := configuration(t, server)
	folder := t.TempDir()
	process := startProcess(t, config)
	c := server.welcome(t)
	c.offerAndConfirmClaim(t, work("d-1", "echo ran >> "+folder+"/count; echo out; echo $$ > "+folder+"/id; sleep 60; sleep 60",
		"echo not reached >> "+folder+"/count"))
	waitUntilExists(t, folder+"/id")
	require.Equal(t, "out\n", string(expect(t, c, func(m client.FromAgent) *client.Output { return m.Output }).Data))
	kill9(process)
	require.True(t, isRunning(t, folder+"/id"), "the orphan continues to run")

	startProcess(t, config)
	c = server.accept(t)
	require.False(t, isRunning(t, folder+"/id"), "the agent kills the orphan before its hello")
	c.send(t, client.ToAgent{Welcome: &client.Welcome{
		Log: "log-1", Settings: shortSettings(nil), Unfinished: []client.Unfinished{{Deployment: "d-1"}},
	}})
	output, end := outputAndEnd(t, c)
	require.Equal(t, "out\n\ndrover: the agent stopped while this step was running\n", output)
	require.Equal(t, client.End{
		Deployment: "d-1", State: "failed", Reason: "interrupted", Step: "step-1",
		Detail: "the agent stopped while step step-1 was running; it is unknown how far the step got " +
			"(if the step restarts the agent, it must do that after its end: " + run.Recipe + ")",
	}, end)
	w := work("d-1", "echo again >> "+folder+"/count")
	c.send(t, client.ToAgent{Offer: &w})
	c.confirm(t, "d-1")
	waitUntilRemoved(t, entry(config, "d-1"))
	require.Equal(t, "ran\n", read(t, folder+"/count"))
}

func isRunning(t *testing.T, file string) bool {
	t.Helper()
	id, err := strconv.Atoi(strings.TrimSpace(read(t, file)))
	require.NoError(t, err)
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", id))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

func TestKilledAgentAsksTheServerAboutItsOpenClaim(t *testing.T) {
	for name, c := range map[string]struct {
		unfinished []client.Unfinished
		ended      bool
	}{
		"a claim that counts ends interrupted":     {[]client.Unfinished{{Deployment: "d-1"}}, true},
		"a claim that does not count is forgotten": {nil, false},
		"a claim of another part changes nothing":  {[]client.Unfinished{{Deployment: "d-0"}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			server := newServer(t)
			config := configuration(t, server)
			process := startProcess(t, config)
			conn := server.welcome(t)
			ran := inFolder(t, "ran")
			w := work("d-1", "touch "+ran)
			conn.send(t, client.ToAgent{Offer: &w})
			expect(t, conn, aClaim)
			kill9(process)

			startProcess(t, config)
			conn = server.welcome(t, c.unfinished...)
			if c.ended {
				require.Equal(t, client.End{
					Deployment: "d-1",
					State:      "failed",
					Reason:     "interrupted",
					Detail:     "the agent stopped before the first step started",
				}, *expect(t, conn, anEnd))
				conn.confirm(t, "d-1")
			}
			waitUntilRemoved(t, entry(config, "d-1"))
			require.NoFileExists(t, ran)
		})
	}
}

func TestUnconfirmedEndSurvivesAKillOfTheAgent(t *testing.T) {
	server := newServer(t)
	config := configuration(t, server)
	process := startProcess(t, config)
	c := server.welcome(t)
	c.offerAndConfirmClaim(t, work("d-1", "echo done"))
	expect(t, c, anEnd)
	kill9(process)

	startProcess(t, config)
	c = server.welcome(t) // the server may have declared the part lost
	output, end := outputAndEnd(t, c)
	require.Equal(t, "done\n", output)
	require.Equal(t, client.End{Deployment: "d-1", State: "succeeded"}, end)
	c.confirm(t, "d-1")
	waitUntilRemoved(t, entry(config, "d-1"))
}

func TestAgentKilledAtAnyMomentRunsNoPartTwice(t *testing.T) {
	server := newServer(t)
	config := configuration(t, server)
	folder := t.TempDir()
	for i := range 12 {
		deployment := fmt.Sprintf("d-%d", i)
		process := startProcess(t, config)
		c := server.welcome(t)
		c.offerAndConfirmClaim(t, work(deployment, "echo "+deployment+" >> "+folder+"/count; sleep 0.02; echo over"))
		time.Sleep(time.Duration(i) * 4 * time.Millisecond) // kill it at a different moment each time
		kill9(process)

		process = startProcess(t, config)
		c = server.welcome(t, client.Unfinished{Deployment: deployment})
		w := work(deployment, "echo "+deployment+" >> "+folder+"/count")
		c.send(t, client.ToAgent{Offer: &w})
		require.Equal(t, deployment, expect(t, c, anEnd).Deployment)
		c.confirm(t, deployment)
		waitUntilRemoved(t, entry(config, deployment))
		kill9(process)
	}
	lines := strings.Fields(read(t, folder+"/count"))
	seen := map[string]bool{}
	for _, line := range lines {
		require.False(t, seen[line], "%s ran twice", line)
		seen[line] = true
	}
	require.NotEmpty(t, seen)
}

func TestStoppingAgentFinishesAndReportsTheRunningStep(t *testing.T) {
	server := newServer(t)
	config := configuration(t, server)
	folder := t.TempDir()
	process := startProcess(t, config)
	c := server.welcome(t)
	c.offerAndConfirmClaim(t, work("d-1",
		"touch "+folder+"/started; while ! [ -e "+folder+"/continue ]; do sleep 0.01; done; touch "+folder+"/finished",
		"touch "+folder+"/second"))
	waitUntilExists(t, folder+"/started")
	require.NoError(t, process.Process.Signal(syscall.SIGTERM))
	w := work("d-2", "true")
	c.send(t, client.ToAgent{Offer: &w})
	expect(t, c, aHeartbeat)
	require.NoError(t, os.WriteFile(folder+"/continue", nil, 0o600))

	require.Equal(t, client.End{
		Deployment: "d-1",
		State:      "failed",
		Reason:     "interrupted",
		Step:       "step-2",
		Detail:     `the agent was stopped before step "step-2"`,
	}, *expect(t, c, anEnd))
	c.confirm(t, "d-1")
	expect(t, c, aGoodbye)
	require.NoError(t, process.Wait())
	require.FileExists(t, folder+"/finished")
	require.NoFileExists(t, folder+"/second")
	require.NoFileExists(t, entry(config, "d-1"))
	require.NoFileExists(t, entry(config, "d-2"))
}

// signalUntilEnd repeats a signal until the process ends. Two signals in quick succession can reach a process as one.
func signalUntilEnd(process *exec.Cmd, s os.Signal) error {
	ended := make(chan error, 1)
	go func() { ended <- process.Wait() }()
	for {
		_ = process.Process.Signal(s) // the process may have ended
		select {
		case err := <-ended:
			return err
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func TestSecondStopSignalKillsTheStepAndNextStartReportsIt(t *testing.T) {
	server := newServer(t)
	config := configuration(t, server)
	folder := t.TempDir()
	process := startProcess(t, config)
	c := server.welcome(t)
	c.offerAndConfirmClaim(t, work("d-1", `trap "" TERM; echo $$ > `+folder+"/id; sleep 60; sleep 60"))
	waitUntilExists(t, folder+"/id")
	require.NoError(t, signalUntilEnd(process, syscall.SIGTERM))
	require.False(t, isRunning(t, folder+"/id"))

	startProcess(t, config)
	c = server.welcome(t, client.Unfinished{Deployment: "d-1"})
	require.Equal(t, client.End{
		Deployment: "d-1", State: "failed", Reason: "interrupted", Step: "step-1", ExitCode: 137,
		Detail: `step "step-1" was killed because the agent was stopped`,
	}, *expect(t, c, anEnd))
}
