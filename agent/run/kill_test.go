package run_test

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/agent/run"
	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
)

// killOnOutput asks the part to stop as soon as its output has text.
func killOnOutput(t *testing.T, p *run.Part, out *lockedBuffer) {
	t.Helper()
	p.Kill = run.NewKill()
	done := make(chan struct{})
	t.Cleanup(func() { <-done })
	go func() {
		defer close(done)
		for begin := time.Now(); out.String() == "" && time.Since(begin) < 20*time.Second; {
			time.Sleep(time.Millisecond)
		}
		p.Kill.Ask("token ops", "it hangs")
		p.Kill.Ask("token other", "again")
	}()
}

func TestKilledPartEndsWithAllProcessesOfItsStep(t *testing.T) {
	p, out := part(t, domain.Step{Name: "install", Retries: 3, Run: `
		trap "" TERM
		sh -c 'trap "" TERM; echo $$ > child; echo ready; sleep 60; sleep 60' &
		sleep 60; sleep 60`})
	killOnOutput(t, &p, out)
	require.Equal(t, client.End{
		Deployment: "d-1",
		State:      domain.PartFailed,
		Reason:     domain.KilledByPerson,
		Step:       "install",
		ExitCode:   128 + int(syscall.SIGKILL),
		Detail:     `step "install" was stopped by token ops (it hangs)`,
	}, runPart(t, p))
	require.Equal(t, "ready\n", out.String(), "the step is not retried")
	waitUntilGone(t, filepath.Join(p.Folder, "work", "child"))
}

func TestKilledStepCanCleanUp(t *testing.T) {
	p, out := part(t, step(`trap 'echo cleaned up; exit 0' TERM; echo ready; while :; do sleep 0.01; done`),
		step("echo never"))
	p.Grace = 20 * time.Second
	killOnOutput(t, &p, out)
	end := runPart(t, p)
	require.Equal(t, domain.KilledByPerson, end.Reason, "although the step ended with exit code 0")
	require.Contains(t, out.String(), "cleaned up\n")
	require.NotContains(t, out.String(), "never", "the next step does not start")
}

func TestKillBeforeAStepPreventsItsStart(t *testing.T) {
	p, out := part(t, step("echo never"))
	p.Kill = run.NewKill()
	p.Kill.Ask("token ops", "")
	end := runPart(t, p)
	require.Equal(t, domain.KilledByPerson, end.Reason)
	require.Equal(t, `step "install" was not started: stopped by token ops`, end.Detail)
	require.Empty(t, out.String())
}

// askOn asks the part to stop when a line with this text is written.
type askOn struct {
	text string
	kill *run.Kill
}

func (a askOn) Write(b []byte) (int, error) {
	if strings.Contains(string(b), a.text) {
		a.kill.Ask("token ops", "")
	}
	return len(b), nil
}

func TestKillAfterTheLastStepIsVoid(t *testing.T) {
	p, _ := part(t, step("sleep 60 &"))
	p.Kill = run.NewKill()
	p.Output = askOn{text: "left running were stopped", kill: p.Kill} // written between the exit and the end of the part
	require.Equal(t, client.End{Deployment: "d-1", State: domain.PartSucceeded}, runPart(t, p))
	<-p.Kill.Asked()
}

func TestStepThatWasKilledByAnUnnamedPersonIsNotRetried(t *testing.T) {
	p, out := part(t, domain.Step{Name: "install", Retries: 3, Run: "echo ready; sleep 60"})
	p.Kill = run.NewKill()
	p.Output = io.MultiWriter(out, askUnnamed{p.Kill})
	end := runPart(t, p)
	require.Equal(t, "ready\n", out.String(), "the step is not retried")
	require.Equal(t, domain.KilledByPerson, end.Reason)
	require.Equal(t, `step "install" was stopped by a person`, end.Detail)
}

// askUnnamed asks the part to stop at its first output, without a name and a reason.
type askUnnamed struct{ kill *run.Kill }

func (a askUnnamed) Write(b []byte) (int, error) {
	a.kill.Ask("", "")
	return len(b), nil
}

func TestKillEndsTheCommandOfASecret(t *testing.T) {
	p, _ := part(t, step("true"))
	p.Kill = run.NewKill()
	p.Work.Secrets = []string{"KEY"}
	started := filepath.Join(t.TempDir(), "started")
	require.NoError(t, os.WriteFile(p.SecretsFile, []byte("KEY=exec:touch "+started+"; sleep 20\n"), 0o600))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for begin := time.Now(); time.Since(begin) < 10*time.Second; time.Sleep(time.Millisecond) {
			if _, err := os.Stat(started); err == nil {
				p.Kill.Ask("token ops", "")
				return
			}
		}
	}()
	end := runPart(t, p)
	<-done
	require.Equal(t, domain.KilledByPerson, end.Reason)
	require.Equal(t, "not started: stopped by token ops", end.Detail)
}
