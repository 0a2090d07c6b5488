package run_test

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/agent/run"
)

// orphan starts a script, leaves it running as a crashed agent does, and returns its leader.
func orphan(t *testing.T, script, deployment string) *exec.Cmd {
	t.Helper()
	c := exec.Command("/bin/sh", "-c", script)
	c.Dir = t.TempDir()
	c.Env = append(os.Environ(), "DROVER_DEPLOYMENT="+deployment)
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	require.NoError(t, c.Start())
	t.Cleanup(func() {
		_ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL)
		_ = c.Wait()
	})
	return c
}

// groupOf returns the group that the journal would contain.
func groupOf(t *testing.T, c *exec.Cmd) run.Group {
	t.Helper()
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(c.Process.Pid) + "/stat")
	if err != nil {
		if os.Getenv("DROVER_TEST_REQUIRE") == "all" {
			t.Fatal("needs /proc")
		}
		t.Skip("needs /proc")
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	require.NoError(t, err)
	start, err := strconv.ParseUint(strings.Fields(string(stat[strings.LastIndex(string(stat), ")"):]))[20], 10, 64)
	require.NoError(t, err)
	return run.Group{ID: c.Process.Pid, Start: start, Boot: strings.TrimSpace(string(boot))}
}

func waitForLine(t *testing.T, file string) {
	t.Helper()
	require.Eventually(t, func() bool {
		content, err := os.ReadFile(file)
		return err == nil && strings.HasSuffix(string(content), "\n")
	}, 10*time.Second, 5*time.Millisecond)
}

func TestOrphansOfCrashedAgentAreKilled(t *testing.T) {
	c := orphan(t, `trap "" TERM; (sleep 60; sleep 60) & echo $! > child; sleep 60; sleep 60`, "d-1")
	g := groupOf(t, c)
	waitForLine(t, c.Dir+"/child")
	left, stuck := g.ClearOrphans("d-1", 50*time.Millisecond)
	require.GreaterOrEqual(t, left, 2)
	require.Zero(t, stuck)
	waitUntilGone(t, c.Dir+"/child")
}

func TestOrphansWithoutLeaderAreIdentifiedByTheirMark(t *testing.T) {
	c := orphan(t, `sleep 100 & echo $! > child; sleep 0.05`, "d-1")
	g := groupOf(t, c)
	require.NoError(t, c.Wait())
	waitForLine(t, c.Dir+"/child")

	left, _ := g.ClearOrphans("d-2", 50*time.Millisecond)
	require.Zero(t, left, "the mark names another deployment")
	left, stuck := g.ClearOrphans("d-1", 50*time.Millisecond)
	require.Equal(t, 1, left)
	require.Zero(t, stuck)
	waitUntilGone(t, c.Dir+"/child")
}

func TestUnrelatedProcessIsNeverSignalled(t *testing.T) {
	c := orphan(t, "exec sleep 100", "d-other")
	sure := groupOf(t, c)
	for name, g := range map[string]run.Group{
		"the id was reused by another process": {ID: sure.ID, Start: sure.Start - 1, Boot: sure.Boot},
		"the machine was rebooted":             {ID: sure.ID, Start: sure.Start, Boot: "another boot"},
		"the start time is unknown":            {ID: sure.ID, Boot: sure.Boot},
		"the id is that of init":               {ID: 1, Start: sure.Start, Boot: sure.Boot},
		"the id is negative":                   {ID: -1, Start: sure.Start, Boot: sure.Boot},
	} {
		t.Run(name, func(t *testing.T) {
			left, _ := g.ClearOrphans("d-1", 0)
			require.Zero(t, left)
			require.True(t, isRunning(sure.ID))
		})
	}
}
