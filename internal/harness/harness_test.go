package harness_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/internal/harness"
)

// newHost returns a host whose program is /bin/sh, so that its processes are scripts.
func newHost(t *testing.T) *harness.Host {
	t.Helper()
	h := &harness.Host{Program: "/bin/sh", Dir: t.TempDir(), Env: harness.Environment(t.TempDir())}
	t.Cleanup(h.Close)
	return h
}

// start starts a script.
func start(t *testing.T, h *harness.Host, script string) *harness.Process {
	t.Helper()
	p, err := h.Start(harness.Spec{Name: "the script", Args: []string{"-c", script}})
	require.NoError(t, err)
	return p
}

// timeout limits the wait for a condition that must become true.
const timeout = time.Minute

// awaitOutput waits until a process has printed text.
func awaitOutput(t *testing.T, p *harness.Process, text string) {
	t.Helper()
	require.NoError(t, p.Await(t.Context(), timeout, "print "+text, func(context.Context) error {
		if !strings.Contains(p.Tail(1000), text) {
			return errors.New("not yet")
		}
		return nil
	}))
}

func TestServerThatNeverBecomesReadyIsReportedWithItsLog(t *testing.T) {
	address, err := harness.FreeAddress()
	require.NoError(t, err)
	for name, log := range map[string]string{"log in a file": filepath.Join(t.TempDir(), "server.log"),
		"log in memory": ""} {
		t.Run(name, func(t *testing.T) {
			script := "echo waiting for the log to open; exec sleep 600"
			p, err := newHost(t).Start(harness.Spec{Name: "the server", Log: log, Args: []string{"-c", script}})
			require.NoError(t, err)
			err = p.Await(t.Context(), 300*time.Millisecond, "become ready", func(ctx context.Context) error {
				return harness.Ready(ctx, http.DefaultClient, "http://"+address)
			})
			require.ErrorContains(t, err,
				fmt.Sprintf("the server (process %d) did not become ready: timed out after 300ms: Get", p.PID()))
			require.ErrorContains(t, err, "connection refused; its log ends with:\nwaiting for the log to open\n")
		})
	}
}

func TestAgentThatDiesAtStartIsReportedAtOnceWithItsLog(t *testing.T) {
	h := newHost(t)
	spec := harness.Agent{Name: "web-01"}.Spec()
	spec.Args = []string{"-c", "echo unknown join token >&2; exit 4"}
	p, err := h.Start(spec)
	require.NoError(t, err)
	begun := time.Now()
	err = p.Await(t.Context(), time.Hour, "come online", func(context.Context) error { return errors.New("offline") })
	require.EqualError(t, err,
		fmt.Sprintf("the agent of web-01 (process %d) did not come online: it ended: exit status 4; "+
			"its log ends with:\nunknown join token\n", p.PID()))
	require.Less(t, time.Since(begun), timeout)
}

func TestAnswerOfAnotherProcessDoesNotCountAsReady(t *testing.T) {
	p := start(t, newHost(t), "echo the address is in use; exit 1")
	<-p.Ended()
	err := p.Await(t.Context(), timeout, "become ready", func(context.Context) error { return nil })
	require.ErrorContains(t, err, "it ended: exit status 1; its log ends with:\nthe address is in use")
}

func TestBlockedReadyCheckDoesNotHideEndOfProcess(t *testing.T) {
	p := start(t, newHost(t), "exit 1")
	err := p.Await(t.Context(), time.Hour, "become ready",
		func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
	require.ErrorContains(t, err, "it ended: exit status 1")
}

func TestAwaitEndsWithItsContext(t *testing.T) {
	p := start(t, newHost(t), "exec sleep 600")
	ctx, cancel := context.WithCancel(t.Context())
	err := p.Await(ctx, timeout, "become ready",
		func(context.Context) error { cancel(); return errors.New("unavailable") })
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "unavailable")
}

func TestCloseKillsProcessGroupsIncludingSuspendedOnes(t *testing.T) {
	h := newHost(t)
	p := start(t, h, "sleep 600 & echo child $!; wait")
	awaitOutput(t, p, "child ")
	var child int
	_, err := fmt.Sscanf(p.Tail(1000), "child %d", &child)
	require.NoError(t, err)
	p.Signal(syscall.SIGSTOP)
	require.False(t, p.Died())

	h.Close()
	require.False(t, p.Running())
	require.Equal(t, -1, p.State().ExitCode())
	require.False(t, p.Died(), "the end was requested")
	require.Eventually(t, func() bool { return gone(child) }, timeout, 10*time.Millisecond, "the child must end, too")
	_, err = h.Start(harness.Spec{Name: "another process"})
	require.ErrorIs(t, err, harness.ErrClosed)
}

// gone reports whether a process has ended, even if it is a zombie.
func gone(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return true
	}
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, state, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(state, "Z")
}

func TestStopKillsProcessesThatIgnoreSIGTERM(t *testing.T) {
	h := newHost(t)
	orderly := start(t, h, "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.01; done")
	stubborn := start(t, h, "trap '' TERM; echo ready; while :; do sleep 0.01; done")
	awaitOutput(t, orderly, "ready")
	awaitOutput(t, stubborn, "ready")
	orderly.Signal(syscall.SIGSTOP) // Stop must resume a suspended process so that it can exit
	harness.Stop(timeout, orderly)
	harness.Stop(50*time.Millisecond, stubborn)
	require.Zero(t, orderly.State().ExitCode())
	require.Contains(t, orderly.Tail(1000), "bye")
	require.Equal(t, "signal: killed", stubborn.State().String())
}

func TestProcessThatExitsHasDied(t *testing.T) {
	p := start(t, newHost(t), "exit 3")
	require.Equal(t, 3, p.State().ExitCode())
	require.True(t, p.Died())
	p.Kill() // killing an ended process is allowed
}

func TestOnlyEndOfLogIsShown(t *testing.T) {
	h := newHost(t)
	p := start(t, h, "yes line | head -n 10000; echo the end")
	<-p.Ended()
	require.Equal(t, "e\nthe end\n", p.Tail(10))
	require.LessOrEqual(t, len(p.Tail(1<<20)), 20_000)

	log := filepath.Join(t.TempDir(), "server.log")
	for range 2 {
		p, err := h.Start(harness.Spec{Name: "the server", Log: log, Args: []string{"-c", "echo started"}})
		require.NoError(t, err)
		<-p.Ended()
	}
	require.Equal(t, "the script:\nthe end\n\nserver.log:\nstarted\n", h.Logs(8), "both processes write to one log")
}

func TestCommandRunsWithInputToItsEnd(t *testing.T) {
	h := newHost(t)
	result, err := h.Run(t.Context(), "typed", "-c", "cat; echo words >&2; exit 7")
	require.NoError(t, err)
	require.Equal(t, harness.Result{Stdout: "typed", Stderr: "words\n", Code: 7}, result)
	h.Program = filepath.Join(h.Dir, "missing")
	_, err = h.Run(t.Context(), "", "version")
	require.ErrorContains(t, err, "run drover version: ")
	_, err = h.Start(harness.Spec{Name: "the server"})
	require.ErrorContains(t, err, "start the server: ")
}

func TestEnvironmentRemovesSettingsOfUser(t *testing.T) {
	t.Setenv("DROVER_SERVER", "http://production")
	t.Setenv("XDG_CONFIG_HOME", "/home/user/.config")
	env := harness.Environment("/the/home", "DROVER_TICK=1s")
	require.Contains(t, env, "PATH="+os.Getenv("PATH"))
	require.Equal(t, []string{"HOME=/the/home", "DROVER_TICK=1s"}, slices.DeleteFunc(env, func(pair string) bool {
		return !strings.HasPrefix(pair, "HOME=") && !strings.HasPrefix(pair, "DROVER_") &&
			!strings.HasPrefix(pair, "XDG_")
	}))
}
