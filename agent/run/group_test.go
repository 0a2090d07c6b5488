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

// orphan starts a script as a crashed agent would have left it and returns its leader.
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

// started is the group as the journal would have it.
func started(t *testing.T, c *exec.Cmd) run.Group {
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

func await(t *testing.T, file string) {
	t.Helper()
	require.Eventually(t, func() bool {
		content, err := os.ReadFile(file)
		return err == nil && strings.HasSuffix(string(content), "\n")
	}, 10*time.Second, 5*time.Millisecond)
}

func TestOrphansOfACrashedAgentAreEnded(t *testing.T) {
	c := orphan(t, `trap "" TERM; (sleep 60; sleep 60) & echo $! > child; sleep 60; sleep 60`, "d-1")
	g := started(t, c)
	await(t, c.Dir+"/child")
	left, stuck := g.ClearOrphans("d-1", 50*time.Millisecond)
	require.GreaterOrEqual(t, left, 2)
	require.Zero(t, stuck)
	gone(t, c.Dir+"/child")
}

func TestOrphansWhoseLeaderIsGoneAreKnownByTheirMark(t *testing.T) {
	c := orphan(t, `sleep 100 & echo $! > child; sleep 0.05`, "d-1")
	g := started(t, c)
	require.NoError(t, c.Wait())
	await(t, c.Dir+"/child")

	left, _ := g.ClearOrphans("d-2", 50*time.Millisecond)
	require.Zero(t, left, "it is of another deployment")
	left, stuck := g.ClearOrphans("d-1", 50*time.Millisecond)
	require.Equal(t, 1, left)
	require.Zero(t, stuck)
	gone(t, c.Dir+"/child")
}

func TestAProcessThatIsNotSurelyOursIsNeverTouched(t *testing.T) {
	c := orphan(t, "exec sleep 100", "of somebody else")
	sure := started(t, c)
	for name, g := range map[string]run.Group{
		"the id is another process's by now": {ID: sure.ID, Start: sure.Start - 1, Boot: sure.Boot},
		"the machine was booted since":       {ID: sure.ID, Start: sure.Start, Boot: "another boot"},
		"the start was not known":            {ID: sure.ID, Boot: sure.Boot},
		"the id is of everybody":             {ID: 1, Start: sure.Start, Boot: sure.Boot},
		"the id is of nobody":                {ID: -1, Start: sure.Start, Boot: sure.Boot},
	} {
		t.Run(name, func(t *testing.T) {
			left, _ := g.ClearOrphans("d-1", 0)
			require.Zero(t, left)
			require.True(t, lives(sure.ID))
		})
	}
}
