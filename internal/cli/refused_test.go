package cli_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A refused agent retries, because the cause may be fixed. Only a permanent refusal ends it.
func TestRefusedAgentReportsReasonAndRetries(t *testing.T) {
	t.Parallel()
	m := newErrorFixture(t)
	file := func(name string) string { return m.names.Replace("$DIR/" + name) }
	m.ok("apply", "-f", file("shop.yaml"))
	usedUp := m.ok("token", "create", "--join", "--any-environment")
	m.process("agent", "--server", m.url(), "--join", usedUp, "--name", "first", "--environment", "production",
		"--data", filepath.Join(m.Folder, "first"))
	m.eventually("the first agent joins", func() bool {
		_, _,
			code := m.run("get", "machine", "first")
		return code == 0
	})
	revoked := m.ok("token", "create", "--join", "--any-environment", "--uses", "5")
	m.ok("token", "revoke", strings.Split(revoked, ".")[0])
	expired := m.ok("token", "create", "--join", "--any-environment", "--for", "1s")
	made := time.Now()
	m.eventually("the token expires", func() bool { return time.Since(made) > time.Second })
	for name, test := range map[string]struct {
		join, server string
		more         []string
		message      string
		code         int // exit code of an agent that stops; -1 if it retries
	}{
		"wrong token": {"0123456789ab.wrong", "", nil,
			"unknown join token (create another one with `drover token create --join`)", -1},
		"no token": {"", "", nil,
			"has not joined with this instance (start the agent with --join TOKEN;", -1},
		"used up": {usedUp, "", nil,
			"the join token has reached its use limit of 1 (use a new join token)", -1},
		"expired":          {expired, "", nil, "the join token expired at ", -1},
		"revoked":          {revoked, "", nil, "was revoked", 4},
		"not a join token": {m.names.Replace("$READ"), "", nil, "unknown join token", -1},
		"other environment": {m.ok("token", "create", "--join", "--environment", "staging"), "", nil,
			"does not allow environment", -1},
		"other role": {m.ok("token", "create", "--join", "--any-environment", "--role", "db"), "",
			[]string{"--role", "web"}, "does not allow role", -1},
		"unknown environment": {m.ok("token", "create", "--join", "--any-environment"), "",
			[]string{"--environment", "prodction"},
			`environment \"prodction\" does not exist`, -1},
		"plain to TLS": {"x.y", "http://127.0.0.1:$TLSPORT", nil,
			"http://127.0.0.1:$TLSPORT uses TLS; use https:// instead of http://", -1},
		"TLS to plain": {"x.y", "https://" + m.address, nil,
			"speaks HTTP without TLS; write http:// instead of https://", -1},
		"unknown authority": {"x.y", "https://127.0.0.1:$TLSPORT", nil,
			"is signed by an unknown authority; pass the authority", -1},
		"unknown host": {"x.y", "http://drover.invalid:7070", nil, `unknown host \"drover.invalid\"`,
			-1},
		"not a drover server": {"x.y", "$STRANGER", nil, "is it a drover server?", -1},
		"name with control characters": {m.ok("token", "create", "--join", "--any-environment"), "",
			[]string{"--name", "\x1b[31mred"},
			`machine \"`, 4},
	} {
		t.Run(name, func(t *testing.T) {
			server := m.url()
			if test.server != "" {
				server = m.names.Replace(test.server)
			}
			args := append([]string{"agent", "--server", server, "--name", "late", "--environment", "production",
				"--data", t.TempDir()}, test.more...)
			if test.join != "" {
				args = append(args, "--join", test.join)
			}
			agent := m.process(args...)
			defer agent.Kill()
			output := func() string { return agent.Tail(20_000) }
			m.eventually("the reason is reported",
				func() bool { return strings.Contains(output(), m.names.Replace(test.message)) })
			if test.code >= 0 {
				require.Equal(t, test.code, agent.State().ExitCode(), output())
			}
			require.NotContains(t, output(), "\x1b")
			require.NotRegexp(t, `goroutine |failed to`, output())
		})
	}
}

func TestFailedWriteToStdoutIsReported(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		without(t, "/dev/full: %v", err)
	}
	defer full.Close()
	s := newFixture(t)
	s.server()
	s.shop()
	for _, typed := range []string{"get projects", "get projects -o json", "events", "eventlog export -", "--help",
		"deploy --help", "completion bash", "version", "doctor", "diff -f shop.yaml -o json"} {
		cmd := s.Command(t.Context(), strings.Fields(typed)...)
		var stderr strings.Builder
		cmd.Stdout, cmd.Stderr = full, &stderr
		_ = cmd.Run()
		require.Equal(t, 1, cmd.ProcessState.ExitCode(), "%s: %s", typed, stderr.String())
		require.Contains(t, stderr.String(), "write to stdout: no space left on device", typed)
	}

	// A closed pipe, as after `| head -1`, ends the command without a stack trace.
	r, w, err := os.Pipe()
	require.NoError(t, err)
	require.NoError(t, r.Close())
	cmd := s.Command(t.Context(), "events", "-o", "jsonl")
	var stderr strings.Builder
	cmd.Stdout, cmd.Stderr = w, &stderr
	require.Error(t, cmd.Run())
	require.NoError(t, w.Close())
	require.NotContains(t, stderr.String(), "goroutine")
}

func TestClosedStdinIsTreatedAsEmpty(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.server()
	s.ok("get", "servers")
	cmd := exec.Command("sh", "-c", s.Program+" apply -f - <&-")
	cmd.Env, cmd.Dir = s.Env, s.Folder
	text, err := cmd.CombinedOutput()
	require.Error(t, err)
	require.Equal(t, 1, cmd.ProcessState.ExitCode())
	require.Regexp(t, "^drover: (stdin contains no document|read stdin: )", string(text))
}
