package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// deployScript deploys a release whose only step is a script, and returns the deployment.
func (s *fixture) deployScript(script string) string {
	s.t.Helper()
	file := filepath.Join(s.Folder, "script.yaml")
	require.NoError(s.t, os.WriteFile(file, []byte(`
apiVersion: drover.dev/v1
kind: Project
metadata: {name: shop}
spec:
  steps:
    - name: update
      run: |
        `+strings.ReplaceAll(script, "\n", "\n        ")+"\n"), 0o600))
	s.ok("apply", "-f", file)
	s.eventually("the machine is online", func() bool { return strings.Contains(s.ok("get", "machines"), "online") })
	s.ok("release", "create", "shop", "1.0")
	return strings.TrimSpace(s.ok("deploy", "shop", "1.0", "--to", "production"))
}

func TestPersonStopsAStepThatHangs(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.server()
	s.shop()
	s.agent("web-01")
	id := filepath.Join(s.Folder, "id")
	d := s.deployScript("trap '' TERM\necho $$ > " + id + "\nwhile :; do sleep 1; done")
	s.eventually("the step runs", func() bool { content, _ := os.ReadFile(id); return len(content) > 1 })
	s.ok("cancel", d, "--kill", "--reason", "it hangs")
	s.eventually("the part is reported as killed", func() bool {
		return strings.Contains(s.ok("describe", "deployment", d), "killed")
	})
	require.Contains(t, s.ok("describe", "deployment", d), "(it hangs)")
	content, err := os.ReadFile(id)
	require.NoError(t, err)
	_, err = os.Stat("/proc/" + strings.TrimSpace(string(content)))
	require.ErrorIs(t, err, os.ErrNotExist, "although the step ignores SIGTERM")
}

// A step that waits for its own processes must finish, although the operator restarts the agent meanwhile.
func TestStepThatStopsAndAwaitsAnotherProcessOutlastsTheStopOfItsAgent(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.server()
	s.shop()
	agent := s.agent("web-01")
	started := filepath.Join(s.Folder, "started")
	d := s.deployScript("sleep 14 & APP=$!\ntouch " + started + "\n" +
		"while kill -0 $APP 2>/dev/null; do sleep 1; done\nkill $APP || true")
	s.eventually("the step runs", func() bool { _, err := os.Stat(started); return err == nil })
	agent.Signal(syscall.SIGTERM)
	s.eventually("the agent has stopped", func() bool { return !agent.Running() })
	require.Contains(t, s.ok("describe", "deployment", d), "succeeded")
}

func TestStepThatWaitsForTheEndOfItsAgentEndsWithTheRecipe(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.server()
	s.shop()
	agent := s.agent("web-01")
	d := s.deployScript("kill -TERM $PPID\ntail --pid=$PPID -f /dev/null")
	s.eventually("the part has ended", func() bool {
		return strings.Contains(s.ok("describe", "deployment", d), "interrupted")
	})
	require.Contains(t, s.ok("describe", "deployment", d), "systemd-run --on-active=5s systemctl restart drover-agent")
	s.eventually("the agent has stopped", func() bool { return !agent.Running() })
	agent.Signal(syscall.SIGKILL) // in case it has not
}
