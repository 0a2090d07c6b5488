package agent_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/api/client"
)

func TestAnAgentKilledInTheMiddleOfAStepReportsItInterruptedAndKillsItsOrphans(t *testing.T) {
	server := newServer(t)
	config := configuration(t, server)
	folder := t.TempDir()
	process := startProcess(t, config)
	c := server.welcome(t)
	c.give(t, work("d-1", "echo ran >> "+folder+"/count; echo out; echo $$ > "+folder+"/id; sleep 60; sleep 60", "echo not reached >> "+folder+"/count"))
	exists(t, folder+"/id")
	require.Equal(t, "out\n", string(expect(t, c, func(m client.FromAgent) *client.Output { return m.Output }).Data))
	kill9(process)
	require.True(t, lives(t, folder+"/id"), "the orphan goes on")

	startProcess(t, config)
	c = server.accept(t)
	require.False(t, lives(t, folder+"/id"), "the orphan is gone before the agent says hello")
	c.send(t, client.ToAgent{Welcome: &client.Welcome{Log: "log-1", Settings: quick(nil), Unfinished: []client.Unfinished{{Deployment: "d-1"}}}})
	output, end := outputAndEnd(t, c)
	require.Equal(t, "out\n\ndrover: the agent ended while this step was running\n", output)
	require.Equal(t, client.End{
		Deployment: "d-1", State: "failed", Reason: "interrupted", Step: "step-1",
		Detail: "the agent ended while step step-1 was running, and cannot know how far it came",
	}, end)
	w := work("d-1", "echo again >> "+folder+"/count")
	c.send(t, client.ToAgent{Offer: &w})
	c.confirm(t, "d-1")
	vanishes(t, entry(config, "d-1"))
	require.Equal(t, "ran\n", read(t, folder+"/count"))
}

func lives(t *testing.T, file string) bool {
	t.Helper()
	id, err := strconv.Atoi(strings.TrimSpace(read(t, file)))
	require.NoError(t, err)
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", id))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

func TestAnAgentKilledBeforeItsClaimWasAnsweredAsksTheServer(t *testing.T) {
	for name, c := range map[string]struct {
		unfinished []client.Unfinished
		ended      bool
	}{
		"the claim counts: it ends interrupted":  {[]client.Unfinished{{Deployment: "d-1"}}, true},
		"the claim does not: it is forgotten":    {nil, false},
		"another one counts: this one is nobody": {[]client.Unfinished{{Deployment: "d-0"}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			server := newServer(t)
			config := configuration(t, server)
			process := startProcess(t, config)
			talk := server.welcome(t)
			ran := inFolder(t, "ran")
			w := work("d-1", "touch "+ran)
			talk.send(t, client.ToAgent{Offer: &w})
			expect(t, talk, aClaim)
			kill9(process)

			startProcess(t, config)
			talk = server.welcome(t, c.unfinished...)
			if c.ended {
				require.Equal(t, client.End{
					Deployment: "d-1", State: "failed", Reason: "interrupted", Detail: "the agent ended before the first step was started",
				}, *expect(t, talk, anEnd))
				talk.confirm(t, "d-1")
			}
			vanishes(t, entry(config, "d-1"))
			require.NoFileExists(t, ran)
		})
	}
}

func TestAnEndThatWasNotConfirmedSurvivesTheAgent(t *testing.T) {
	server := newServer(t)
	config := configuration(t, server)
	process := startProcess(t, config)
	c := server.welcome(t)
	c.give(t, work("d-1", "echo done"))
	expect(t, c, anEnd)
	kill9(process)

	startProcess(t, config)
	c = server.welcome(t) // the log may have called it lost meanwhile
	output, end := outputAndEnd(t, c)
	require.Equal(t, "done\n", output)
	require.Equal(t, client.End{Deployment: "d-1", State: "succeeded"}, end)
	c.confirm(t, "d-1")
	vanishes(t, entry(config, "d-1"))
}

func TestKilledAtAnyMomentNoPartRunsTwice(t *testing.T) {
	server := newServer(t)
	config := configuration(t, server)
	folder := t.TempDir()
	for i := range 12 {
		deployment := fmt.Sprintf("d-%d", i)
		process := startProcess(t, config)
		c := server.welcome(t)
		c.give(t, work(deployment, "echo "+deployment+" >> "+folder+"/count; sleep 0.02; echo over"))
		time.Sleep(time.Duration(i) * 4 * time.Millisecond) // somewhere in the middle
		kill9(process)

		process = startProcess(t, config)
		c = server.welcome(t, client.Unfinished{Deployment: deployment})
		w := work(deployment, "echo "+deployment+" >> "+folder+"/count")
		c.send(t, client.ToAgent{Offer: &w})
		require.Equal(t, deployment, expect(t, c, anEnd).Deployment)
		c.confirm(t, deployment)
		vanishes(t, entry(config, deployment))
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

func TestAskedToStopTheRunningStepEndsAndIsReported(t *testing.T) {
	server := newServer(t)
	config := configuration(t, server)
	folder := t.TempDir()
	process := startProcess(t, config)
	c := server.welcome(t)
	c.give(t, work("d-1", "touch "+folder+"/began; while ! [ -e "+folder+"/on ]; do sleep 0.01; done; touch "+folder+"/over", "touch "+folder+"/second"))
	exists(t, folder+"/began")
	require.NoError(t, process.Process.Signal(syscall.SIGTERM))
	w := work("d-2", "true")
	c.send(t, client.ToAgent{Offer: &w})
	expect(t, c, aHeartbeat)
	require.NoError(t, os.WriteFile(folder+"/on", nil, 0o600))

	require.Equal(t, client.End{
		Deployment: "d-1", State: "failed", Reason: "interrupted", Step: "step-2", Detail: `the agent was stopped before step "step-2"`,
	}, *expect(t, c, anEnd))
	c.confirm(t, "d-1")
	expect(t, c, aGoodbye)
	require.NoError(t, process.Wait())
	require.FileExists(t, folder+"/over")
	require.NoFileExists(t, folder+"/second")
	require.NoFileExists(t, entry(config, "d-1"))
	require.NoFileExists(t, entry(config, "d-2"))
}

func TestAskedTwiceToStopAllIsKilledAtOnceAndReportedAtTheNextStart(t *testing.T) {
	server := newServer(t)
	config := configuration(t, server)
	folder := t.TempDir()
	process := startProcess(t, config)
	c := server.welcome(t)
	c.give(t, work("d-1", `trap "" TERM; echo $$ > `+folder+"/id; sleep 60; sleep 60"))
	exists(t, folder+"/id")
	require.NoError(t, process.Process.Signal(syscall.SIGTERM))
	expect(t, c, aHeartbeat)
	require.NoError(t, process.Process.Signal(syscall.SIGTERM))
	require.NoError(t, process.Wait())
	require.False(t, lives(t, folder+"/id"))

	startProcess(t, config)
	c = server.welcome(t, client.Unfinished{Deployment: "d-1"})
	require.Equal(t, client.End{
		Deployment: "d-1", State: "failed", Reason: "interrupted", Step: "step-1", ExitCode: 137,
		Detail: `step "step-1" was killed because the agent was stopped`,
	}, *expect(t, c, anEnd))
}
