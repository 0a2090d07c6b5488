package run_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/agent/output"
	"github.com/droverhq/drover/agent/run"
	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
)

// lockedBuffer can be read while a part writes to it.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// part returns a part with these steps in its own folder, and a buffer that receives its output.
func part(t *testing.T, steps ...domain.Step) (run.Part, *lockedBuffer) {
	t.Helper()
	out := &lockedBuffer{}
	folder := t.TempDir()
	return run.Part{
		Work: client.Work{
			Deployment: "d-1", Project: "shop", Environment: "production", Machine: "web-01",
			Release: "1.4.3", PreviousRelease: "1.4.2", Cause: "trigger", Steps: steps,
		},
		Folder:      filepath.Join(folder, "d-1"),
		SecretsFile: filepath.Join(folder, "secrets.env"),
		Output:      out,
		Grace:       300 * time.Millisecond,
	}, out
}

func step(script string) domain.Step { return domain.Step{Name: "install", Run: script} }

// runPart runs the part and fails the test if it takes more than 30 seconds.
func runPart(t *testing.T, p run.Part) client.End {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	end := p.Run(ctx)
	require.NoError(t, ctx.Err(), "the part took longer than thirty seconds")
	require.Equal(t, "d-1", end.Deployment)
	return end
}

// waitUntilGone waits until the process whose id the script wrote to file has ended.
func waitUntilGone(t *testing.T, file string) {
	t.Helper()
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	id, err := strconv.Atoi(strings.TrimSpace(string(content)))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return !isRunning(id) }, 5*time.Second, 5*time.Millisecond,
		"process %d is still running", id)
}

func isRunning(id int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", id))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

func TestStepEnvironmentDescribesItsDeployment(t *testing.T) {
	t.Setenv("DROVER_TOKEN", "the agent's own token")
	p, out := part(t, step(`env | grep -e DROVER_ -e COLOUR | sort`))
	p.Work.Variables = map[string]string{"COLOUR": "green = blue"}

	require.Equal(t, client.End{Deployment: "d-1", State: domain.PartSucceeded}, runPart(t, p))
	require.Equal(t, strings.TrimSpace(`
COLOUR=green = blue
DROVER_ATTEMPT=1
DROVER_CAUSE=trigger
DROVER_DEPLOYMENT=d-1
DROVER_ENVIRONMENT=production
DROVER_MACHINE=web-01
DROVER_PREVIOUS_RELEASE=1.4.2
DROVER_PROJECT=shop
DROVER_RELEASE=1.4.3
DROVER_STEP=install`), strings.TrimSpace(out.String()))
}

func TestStepInheritsOnlyTheListedVariables(t *testing.T) {
	p, out := part(t, step(`env | grep -v -e ^DROVER_ -e ^PWD= -e ^SHLVL= -e ^_= | sort`))
	p.Inherit = []string{"PATH=" + os.Getenv("PATH"), "HOME=/home/ada", "LC_TIME=C", "LANG=C", "TZ=UTC",
		"https_proxy=http://proxy:1", "NO_PROXY=intern", "AWS_SECRET_ACCESS_KEY=leak", "VAULT_TOKEN=leak", "LANG_X=leak",
		"DROVER_TOKEN=leak", "AWS_PROFILE=passed"}
	p.PassEnv = []string{"AWS_PROFILE", "NOT_SET"}
	require.Equal(t, domain.PartSucceeded, runPart(t, p).State)
	require.Equal(t, "AWS_PROFILE=passed\nHOME=/home/ada\nLANG=C\nLC_TIME=C\nNO_PROXY=intern\nPATH="+os.Getenv("PATH")+
		"\nTZ=UTC\nhttps_proxy=http://proxy:1\n", out.String())
}

func TestStepsRunInOrderAndTheFirstFailureEndsThePart(t *testing.T) {
	p, out := part(t,
		domain.Step{Name: "fetch", Run: "echo fetched > file"},
		domain.Step{Name: "check", Run: "cat file; echo to standard error >&2; false; echo not reached"},
		domain.Step{Name: "start", Run: "echo not reached"})

	require.Equal(t, client.End{
		Deployment: "d-1", State: domain.PartFailed, Reason: domain.StepFailed, Step: "check", ExitCode: 1,
		Detail: `step "check" ended with exit code 1: to standard error`,
	}, runPart(t, p))
	require.Equal(t, "fetched\nto standard error\n", out.String())
}

func TestFailedStepIsRetriedAsConfigured(t *testing.T) {
	p, out := part(t,
		domain.Step{Name: "install", Retries: 2, Run: `printf "try $DROVER_ATTEMPT"; [ $DROVER_ATTEMPT = 3 ]`})
	require.Equal(t, domain.PartSucceeded, runPart(t, p).State)
	require.Equal(t, `try 1
drover: step "install" ended with exit code 1: try 1; attempt 2 of 3
try 2
drover: step "install" ended with exit code 1: try 2; attempt 3 of 3
try 3`, out.String())

	p, _ = part(t, domain.Step{Name: "install", Retries: 1, Run: `echo x >> count; exit 7`})
	require.Equal(t, 7, runPart(t, p).ExitCode)
	count, err := os.ReadFile(filepath.Join(p.Folder, "work", "count"))
	require.NoError(t, err)
	require.Equal(t, "x\nx\n", string(count))
}

func TestHangingStepIsKilledWithAllItsProcesses(t *testing.T) {
	p, out := part(t, domain.Step{Name: "install", Timeout: domain.Duration(300 * time.Millisecond), Run: `
		trap "" TERM
		sh -c 'trap "" TERM; echo $$ > child; sleep 60; sleep 60' &
		sleep 60; sleep 60`})

	require.Equal(t, client.End{
		Deployment: "d-1",
		State:      domain.PartFailed,
		Reason:     domain.StepTimedOut,
		Step:       "install",
		ExitCode:   128 + int(syscall.SIGKILL),
		Detail:     `step "install" exceeded its timeout of 300ms`,
	}, runPart(t, p))
	require.Empty(t, out.String())
	waitUntilGone(t, filepath.Join(p.Folder, "work", "child"))
}

func TestStepCanCleanUpAfterItsTimeout(t *testing.T) {
	p, out := part(t, domain.Step{Name: "install", Timeout: domain.Duration(300 * time.Millisecond), Run: `
		trap 'echo cleaned up; exit 3' TERM
		while :; do sleep 0.01; done`})
	p.Grace = 20 * time.Second
	end := runPart(t, p)
	require.Equal(t, domain.StepTimedOut, end.Reason)
	require.Equal(t, 3, end.ExitCode)
	require.Contains(t, out.String(), "cleaned up\n")
}

func TestBackgroundProcessIsStoppedAndDoesNotDelayThePart(t *testing.T) {
	for name, background := range map[string]string{
		"in the group":         `sleep 100 & echo $! > child`,
		"ignoring SIGTERM":     `(trap "" TERM; sleep 100 & echo $! > child)`,
		"with separate output": `nohup sleep 100 > log 2>&1 & echo $! > child`,
	} {
		t.Run(name, func(t *testing.T) {
			p, out := part(t, step(background))
			require.Equal(t, domain.PartSucceeded, runPart(t, p).State)
			require.Contains(t, out.String(), "left running were stopped: 1 ")
			waitUntilGone(t, filepath.Join(p.Folder, "work", "child"))
		})
	}
}

func TestChildInItsOwnProcessGroupIsStopped(t *testing.T) {
	if _, err := os.Stat("/bin/bash"); err != nil {
		if os.Getenv("DROVER_TEST_REQUIRE") == "all" {
			t.Fatal("needs /bin/bash")
		}
		t.Skip("needs /bin/bash, which starts jobs in separate process groups")
	}
	p, out := part(t, step("#!/bin/bash\nset -m; sleep 100 & echo $! > child\n"))
	require.Equal(t, domain.PartSucceeded, runPart(t, p).State)
	require.Contains(t, out.String(), "left running were stopped: 1 ")
	waitUntilGone(t, filepath.Join(p.Folder, "work", "child"))
}

func TestProcessThatLeftTheSessionKeepsRunningAndDoesNotDelayThePart(t *testing.T) {
	p, _ := part(t, step(
		`setsid sh -c 'echo $$ > child.new; mv child.new child; exec sleep 100' & while ! [ -e child ]; do sleep 0.01; done`,
	))
	require.Equal(t, domain.PartSucceeded, runPart(t, p).State)
	content, err := os.ReadFile(filepath.Join(p.Folder, "work", "child"))
	require.NoError(t, err)
	id, err := strconv.Atoi(strings.TrimSpace(string(content)))
	require.NoError(t, err)
	require.True(t, isRunning(id))
	require.NoError(t, syscall.Kill(id, syscall.SIGKILL))
}

// The process that calls setsid is still busy when its step ends, as on a slow machine.
func TestProcessStartedAtTheEndOfAStepHasTimeToLeaveTheSession(t *testing.T) {
	p, out := part(t, step(`
(i=0; while [ $i -lt 50000 ]; do i=$((i+1)); done
exec setsid sh -c 'echo $$ > child.new; mv child.new child; exec sleep 100') &`))
	require.Equal(t, domain.PartSucceeded, runPart(t, p).State)
	require.NotContains(t, out.String(), "left running")
	child := filepath.Join(p.Folder, "work", "child")
	waitForLine(t, child)
	content, err := os.ReadFile(child)
	require.NoError(t, err)
	id, err := strconv.Atoi(strings.TrimSpace(string(content)))
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(id, syscall.SIGKILL), "the process is running")
}

func TestStepsHaveAHome(t *testing.T) {
	for name, inherit := range map[string][]string{
		"none is inherited":         {"PATH=" + os.Getenv("PATH")},
		"an empty one is inherited": {"PATH=" + os.Getenv("PATH"), "HOME="},
	} {
		t.Run(name, func(t *testing.T) {
			p, out := part(t, step(`cd "$HOME"; echo "home: $HOME"`))
			p.Inherit = inherit
			require.Equal(t, domain.PartSucceeded, runPart(t, p).State)
			require.Contains(t, out.String(), "home: /")
		})
	}
	t.Run("the inherited one is kept", func(t *testing.T) {
		p, out := part(t, step(`echo "home: $HOME"`))
		p.Inherit = []string{"HOME=/srv/home"}
		require.Equal(t, domain.PartSucceeded, runPart(t, p).State)
		require.Contains(t, out.String(), "home: /srv/home\n")
	})
}

func TestRemovedWorkingFolderIsCreatedAgain(t *testing.T) {
	for name, remove := range map[string]string{
		"the working folder":   `cd ..; rm -rf work`,
		"the folder of a part": `cd ../..; rm -rf d-1`,
	} {
		t.Run(name, func(t *testing.T) {
			p, out := part(t, domain.Step{Name: "clean", Run: remove}, domain.Step{Name: "install", Run: "echo installing > done"})
			require.Equal(t, domain.PartSucceeded, runPart(t, p).State)
			require.Contains(t, out.String(), "drover: the working folder had been removed and was created again, empty: "+
				filepath.Join(p.Folder, "work"))
			require.FileExists(t, filepath.Join(p.Folder, "work", "done"))
		})
	}
}

func TestCancelledPartIsKilledImmediatelyAndEndsInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p, _ := part(t, domain.Step{Name: "install", Retries: 3, Run: `trap "" TERM; echo $$ > child; sleep 60; sleep 60`})
	p.Grace = time.Hour
	go func() {
		for range time.Tick(5 * time.Millisecond) {
			if content, _ := os.ReadFile(filepath.Join(p.Folder, "work", "child")); len(content) > 0 {
				cancel()
				return
			}
		}
	}()
	end := p.Run(ctx)
	require.Equal(t, domain.AgentInterrupted, end.Reason)
	require.Equal(t, `step "install" was killed because the agent was stopped`, end.Detail)
	waitUntilGone(t, filepath.Join(p.Folder, "work", "child"))
}

func TestStoppingAgentFinishesTheRunningStepOnly(t *testing.T) {
	stopping := make(chan struct{})
	p, out := part(t, domain.Step{Name: "one", Run: "echo one"}, domain.Step{Name: "two", Run: "echo two"})
	p.Stopping = stopping
	p.Starting = func(string, run.Group) error { close(stopping); return nil }
	end := runPart(t, p)
	require.Equal(t, run.InterruptedEnd("d-1", "two", `the agent was stopped before step "two"`), end)
	require.Equal(t, "one\n", out.String())

	p, out = part(t, domain.Step{Name: "only", Retries: 5, Run: "echo tried; exit 1"})
	p.Stopping = stopping
	require.Equal(t, domain.StepFailed, runPart(t, p).Reason)
	require.Equal(t, "tried\n", out.String(), "no further attempt starts")

	p, _ = part(t, domain.Step{Name: "only", Run: "echo only"})
	p.Stopping = stopping
	require.Equal(t, domain.PartSucceeded, runPart(t, p).State, "the part succeeds with its last step")
}

func TestScriptDoesNotRunIfItsProcessGroupCannotBeRecorded(t *testing.T) {
	p, _ := part(t, step(`echo ran > ran`))
	p.Starting = func(name string, g run.Group) error {
		require.Equal(t, "install", name)
		require.True(t, isRunning(g.ID))
		require.NotZero(t, g.Start)
		return errors.New("journal: no space left on device")
	}
	end := runPart(t, p)
	require.Equal(t, domain.OtherAgentFailure, end.Reason)
	require.Equal(t, `step "install" was not started: journal: no space left on device`, end.Detail)
	require.NoFileExists(t, filepath.Join(p.Folder, "work", "ran"))
}

func TestStepCanHaveAScriptOfThreeMegabytes(t *testing.T) {
	p, out := part(t, step(strings.Repeat("# a long comment\n", 3<<20/17)+"echo the end"))
	require.Equal(t, domain.PartSucceeded, runPart(t, p).State)
	require.Equal(t, "the end\n", out.String())
}

func TestScriptCanChooseItsInterpreter(t *testing.T) {
	p, out := part(t, step("#!/bin/cat\nfalse\n"))
	require.Equal(t, domain.PartSucceeded, runPart(t, p).State)
	require.Equal(t, "#!/bin/cat\nfalse\n", out.String())

	p, _ = part(t, step("#!/no/such/interpreter\n"))
	end := runPart(t, p)
	require.Equal(t, domain.StepFailed, end.Reason)
	require.Contains(t, []int{126, 127}, end.ExitCode)
}

func TestStepHasEmptyInputAndNoTerminal(t *testing.T) {
	p, out := part(t, step(`cat; if (: < /dev/tty) 2> /dev/null; then echo terminal; fi
		if [ -e /proc/$$/stat ] && [ "$(cut -d " " -f 6 /proc/$$/stat)" != $$ ]; then echo wrong session; fi; echo done`))
	require.Equal(t, domain.PartSucceeded, runPart(t, p).State)
	require.Equal(t, "done\n", out.String())
}

func TestOutputOfOneGigabyteIsCutToTheLimit(t *testing.T) {
	p, _ := part(t, step(`echo first; head -c 1000000000 /dev/zero; echo; echo last`))
	spool, err := output.Create(filepath.Join(t.TempDir(), "output"), 0)
	require.NoError(t, err)
	defer spool.Close()
	p.Output = spool
	require.Equal(t, domain.PartSucceeded, runPart(t, p).State)
	require.NoError(t, spool.Finish())

	retained := []byte{}
	for c := (output.Cursor{}); ; {
		chunk, err := spool.Next(&c)
		if err != nil {
			break
		}
		retained = append(retained, chunk.Data...)
	}
	require.Less(t, len(retained), output.DefaultLimit+100)
	require.True(t, bytes.HasPrefix(retained, []byte("first\n")))
	require.True(t, bytes.HasSuffix(retained, []byte("\nlast\n")))
	require.Contains(t, string(retained),
		fmt.Sprintf("drover: %d bytes of output were cut here", 1_000_000_000+6+6-output.DefaultLimit))
}

func TestStepRunsInItsWorkingFolder(t *testing.T) {
	elsewhere := t.TempDir()
	for _, c := range []struct{ folder, want, detail string }{
		{folder: "", want: "work"},
		{folder: "deep/down", want: "work/deep/down"},
		{folder: elsewhere, want: elsewhere},
		{folder: "../../..", detail: `"../../.." is outside the part's own folder; use an absolute path`},
		{folder: "/no/such", detail: "no such file or directory"},
		{folder: "/dev/null", detail: "/dev/null is not a folder"},
	} {
		p, out := part(t, domain.Step{Name: "install", Run: "pwd", Folder: c.folder})
		end := runPart(t, p)
		if c.detail != "" {
			require.Equal(t, domain.OtherAgentFailure, end.Reason)
			require.Contains(t, end.Detail, c.detail)
			continue
		}
		if !filepath.IsAbs(c.want) {
			c.want = filepath.Join(p.Folder, c.want)
		}
		require.Equal(t, c.want+"\n", out.String())
	}
}

func TestInvalidPartFailsBeforeItsFirstStep(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*client.Work)
		detail string
	}{
		"step of an unsupported type": {func(w *client.Work) { w.Steps = append(w.Steps, domain.Step{Name: "compose"}) },
			`step "compose" has a type that this agent does not support; update the agent`},
		"invalid variable name": {func(w *client.Work) { w.Variables = map[string]string{"A=B": "c"} },
			`variable "A=B" is not a valid name for an environment variable`},
		"reserved variable name": {func(w *client.Work) { w.Variables = map[string]string{"DROVER_STEP": "c"} },
			`variable DROVER_STEP: names that begin with DROVER_ are reserved for drover`},
		"variable with a zero byte": {func(w *client.Work) { w.Variables = map[string]string{"A": "\x00"} },
			`variable A: the value contains a zero byte, which an environment variable cannot hold`},
	} {
		t.Run(name, func(t *testing.T) {
			p, out := part(t, step("echo ran"))
			c.change(&p.Work)
			end := runPart(t, p)
			require.Equal(t, domain.OtherAgentFailure, end.Reason)
			require.Equal(t, c.detail, end.Detail)
			require.Empty(t, out.String())
		})
	}
}

func TestVariableTooLargeForTheSystemIsReported(t *testing.T) {
	p, _ := part(t, step("echo ran"))
	p.Work.Variables = map[string]string{"BIG": strings.Repeat("x", 1<<20)}
	end := runPart(t, p)
	require.Equal(t, domain.OtherAgentFailure, end.Reason)
	require.Contains(t, end.Detail, "argument list too long (a variable or secret can have at most 128 KiB)")
}

func TestDetailIsOneShortLineOfValidUTF8(t *testing.T) {
	p, _ := part(t, step(`printf 'bad \377 byte \t'; head -c 5000 /dev/zero | tr '\0' x; exit 4`))
	end := runPart(t, p)
	require.LessOrEqual(t, len(end.Detail), 500)
	require.Equal(t, strings.ToValidUTF8(end.Detail, ""), end.Detail)
	require.Contains(t, end.Detail, "exit code 4: ")
}

func TestSecretSplitAcrossStepsIsMasked(t *testing.T) {
	again := domain.Step{
		Name:    "install",
		Run:     "printf hun; printf ter; test -e again && exit 0; touch again; exit 1",
		Retries: 1,
	}
	p, out := part(t, step("printf 'hunt'"), step("printf 'er2'; printf 'hunter2'; printf 'hunter2\\n' >&2"), again,
		step("printf '2 hunter2'"))
	p.Work.Secrets = []string{"PASSWORD"}
	require.NoError(t, os.WriteFile(p.SecretsFile, []byte("PASSWORD=hunter2\n"), 0o600))
	require.Equal(t, domain.PartSucceeded, p.Run(context.Background()).State)
	require.NotContains(t, out.String(), "hunter2")
	require.Equal(t, 3, strings.Count(out.String(), "***"))
}

func TestDetailIsTheLastLineOfTheFailedAttemptOnly(t *testing.T) {
	t.Run("a silent step", func(t *testing.T) {
		p, _ := part(t, step("echo all checksums are good"), domain.Step{Name: "migrate", Run: "exit 3"})
		require.Equal(t, `step "migrate" ended with exit code 3`, runPart(t, p).Detail)
	})
	t.Run("a silent attempt after one with output and a note of drover", func(t *testing.T) {
		p, out := part(t, domain.Step{Name: "migrate", Run: "test -e tried && exit 3; touch tried; printf first; exit 2", Retries: 1})
		require.Equal(t, `step "migrate" ended with exit code 3`, runPart(t, p).Detail)
		require.Equal(t, "first\ndrover: step \"migrate\" ended with exit code 2: first; attempt 2 of 2\n", out.String())
	})
	t.Run("a step that leaves a process running", func(t *testing.T) {
		p, out := part(t, step("echo cause; sleep 100 & exit 3"))
		require.Equal(t, `step "install" ended with exit code 3: cause`, runPart(t, p).Detail)
		require.Contains(t, out.String(), "drover: processes that step")
	})
}

func TestDetailIsFreeOfTerminalControl(t *testing.T) {
	p, out := part(t, step(`printf ' 50%%\r100%%\r\033[K\033[1;31mERROR\033[0m: disk full\n'; exit 5`))
	require.Equal(t, `step "install" ended with exit code 5: ERROR: disk full`, runPart(t, p).Detail)
	require.Equal(t, " 50%\r100%\r\x1b[K\x1b[1;31mERROR\x1b[0m: disk full\n", out.String(), "the output is unchanged")
}
