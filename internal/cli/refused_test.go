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

// An agent is not told once and for all: it tries again, for its token may be mended. Only a revoked token ends it.
func TestAnAgentThatIsRefusedSaysWhyAndTriesAgain(t *testing.T) {
	t.Parallel()
	m := newMisuse(t)
	file := func(name string) string { return m.names.Replace("$DIR/" + name) }
	m.ok("apply", "-f", file("shop.yaml"))
	usedUp := m.ok("token", "create", "--join")
	m.process("agent", "--server", m.url(), "--join", usedUp, "--name", "first", "--environment", "production", "--data", filepath.Join(m.Folder, "first"))
	m.eventually("the first agent joins", func() bool { _, _, code := m.run("get", "machine", "first"); return code == 0 })
	revoked := m.ok("token", "create", "--join", "--uses", "5")
	m.ok("token", "revoke", strings.Split(revoked, ".")[0])
	expired := m.ok("token", "create", "--join", "--for", "1s")
	made := time.Now()
	m.eventually("the token expires", func() bool { return time.Since(made) > time.Second })
	for name, test := range map[string]struct {
		join, server string
		more         []string
		says         string
		code         int // of an agent that ends; -1: it tries again
	}{
		"wrong":              {"0123456789ab.wrong", "", nil, "unknown join token (create another one with `drover token create --join`)", -1},
		"none":               {"", "", nil, "has not joined with this instance (start the agent with --join TOKEN;", -1},
		"used up":            {usedUp, "", nil, "the join token has reached its use limit of 1 (use a new join token)", -1},
		"expired":            {expired, "", nil, "the join token expired at ", -1},
		"revoked":            {revoked, "", nil, "was revoked", 4},
		"for people":         {m.names.Replace("$READ"), "", nil, "unknown join token", -1},
		"another place":      {m.ok("token", "create", "--join", "--environment", "staging"), "", nil, "does not allow environment", -1},
		"another role":       {m.ok("token", "create", "--join", "--role", "db"), "", []string{"--role", "web"}, "does not allow role", -1},
		"no such place":      {m.ok("token", "create", "--join"), "", []string{"--environment", "prodction"}, `environment \"prodction\" does not exist`, -1},
		"plain to TLS":       {"x.y", "http://127.0.0.1:$TLSPORT", nil, "http://127.0.0.1:$TLSPORT uses TLS; use https:// instead of http://", -1},
		"TLS to plain":       {"x.y", "https://" + m.address, nil, "speaks HTTP without TLS; write http:// instead of https://", -1},
		"unknown authority":  {"x.y", "https://127.0.0.1:$TLSPORT", nil, "is signed by an unknown authority; pass the authority", -1},
		"an unknown host":    {"x.y", "http://drover.invalid:7070", nil, `unknown host \"drover.invalid\"`, -1},
		"no server of ours":  {"x.y", "$STRANGER", nil, "is it a drover server?", -1},
		"a name with colour": {m.ok("token", "create", "--join"), "", []string{"--name", "\x1b[31mred"}, `machine \"`, 4},
	} {
		t.Run(name, func(t *testing.T) {
			server := m.url()
			if test.server != "" {
				server = m.names.Replace(test.server)
			}
			args := append([]string{"agent", "--server", server, "--name", "late", "--environment", "production", "--data", t.TempDir()}, test.more...)
			if test.join != "" {
				args = append(args, "--join", test.join)
			}
			agent := m.process(args...)
			defer agent.Kill()
			said := func() string { return agent.Tail(20_000) }
			m.eventually("it says why", func() bool { return strings.Contains(said(), m.names.Replace(test.says)) })
			if test.code >= 0 {
				require.Equal(t, test.code, agent.State().ExitCode(), said())
			}
			require.NotContains(t, said(), "\x1b")
			require.NotRegexp(t, `goroutine |failed to`, said())
		})
	}
}

func TestOutputThatNobodyTakesIsSaidAndIsAnError(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		without(t, "/dev/full: %v", err)
	}
	defer full.Close()
	s := newFixture(t)
	s.server()
	s.shop()
	for _, typed := range []string{"get projects", "get projects -o json", "events", "eventlog export -", "--help", "deploy --help", "completion bash", "version", "doctor", "diff -f shop.yaml -o json"} {
		cmd := s.Command(t.Context(), strings.Fields(typed)...)
		var said strings.Builder
		cmd.Stdout, cmd.Stderr = full, &said
		_ = cmd.Run()
		require.Equal(t, 1, cmd.ProcessState.ExitCode(), "%s: %s", typed, said.String())
		require.Contains(t, said.String(), "write to stdout: no space left on device", typed)
	}

	// A reader that has gone, as after `| head -1`, is no reason to say anything.
	r, w, err := os.Pipe()
	require.NoError(t, err)
	require.NoError(t, r.Close())
	cmd := s.Command(t.Context(), "events", "-o", "jsonl")
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = w, &said
	require.Error(t, cmd.Run())
	require.NoError(t, w.Close())
	require.NotContains(t, said.String(), "goroutine")
}

func TestAClosedStdinIsAnEmptyOne(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.server()
	s.ok("get", "servers")
	cmd := exec.Command("sh", "-c", s.Program+" apply -f - <&-")
	cmd.Env, cmd.Dir = s.Env, s.Folder
	text, err := cmd.CombinedOutput()
	require.Error(t, err)
	require.Equal(t, 1, cmd.ProcessState.ExitCode())
	require.Regexp(t, "^drover: (the files contain no document|read stdin: )", string(text))
}
