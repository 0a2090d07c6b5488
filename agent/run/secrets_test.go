package run_test

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/agent/run"
	"github.com/droverhq/drover/domain"
)

func writeSecrets(t *testing.T, p run.Part, content string, mode os.FileMode) {
	t.Helper()
	require.NoError(t, os.WriteFile(p.SecretsFile, []byte(content), 0o600))
	require.NoError(t, os.Chmod(p.SecretsFile, mode))
}

func TestSecretReachesTheStepButNeitherOutputNorResult(t *testing.T) {
	p, out := part(t, step(`printf 'login with hunt'; sleep 0.05; echo "er2"; [ "$DB_PASSWORD" = hunter2 ]; [ -z "$OTHER" ]
		echo "cannot log in with $DB_PASSWORD"; exit 2`))
	p.Work.Secrets = []string{"DB_PASSWORD"}
	writeSecrets(t, p, "# secrets of the shop\r\n\nDB_PASSWORD=hunter2\r\nOTHER=not requested\n", 0o600)
	end := runPart(t, p)
	require.Equal(t, "login with ***\ncannot log in with ***\n", out.String())
	require.Equal(t, `step "install" ended with exit code 2: cannot log in with ***`, end.Detail)
}

func TestInvalidSecretsFailBeforeTheFirstStep(t *testing.T) {
	for name, c := range map[string]struct {
		content string
		mode    os.FileMode
		detail  string
	}{
		"value without its last line": {"KEY=x\nDB_PASSWORD<<END\nhunter2\n", 0o600,
			"line 2 of secrets file FILE: its value has no last line; end it with a line that is the word after <<"},
		"no file": {"", 0,
			"secret DB_PASSWORD, KEY is required but FILE does not exist; create it with mode 0600 and a line DB_PASSWORD=…"},
		"missing": {"KEY=x\n", 0o600,
			"secret DB_PASSWORD is not in FILE on this machine; add a line DB_PASSWORD=…"},
		"readable by other users": {"DB_PASSWORD=x\nKEY=y\n", 0o644,
			"secrets file FILE is accessible to other users (mode 0644); run: chmod 600 FILE"},
		"not KEY=VALUE": {"KEY=x\nhunter2\n", 0o600, "line 2 of secrets file FILE is not KEY=VALUE"},
		"invalid name": {"export KEY=hunter2\n", 0o600,
			"line 1 of secrets file FILE: the text before = or << is not a valid variable name, or begins with DROVER_"},
		"too long": {strings.Repeat("#", 2<<20), 0o600, "secrets file FILE is longer than 1048576 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			p, out := part(t, step("echo ran"))
			p.Work.Secrets = []string{"DB_PASSWORD", "KEY"}
			if c.mode != 0 {
				writeSecrets(t, p, c.content, c.mode)
			}
			end := runPart(t, p)
			require.Equal(t, domain.SecretMissing, end.Reason)
			require.Equal(t, c.detail, strings.ReplaceAll(end.Detail, p.SecretsFile, "FILE"))
			require.Empty(t, out.String())
		})
	}
}

func TestSecretsFileMustBeRegular(t *testing.T) {
	p, out := part(t, step("echo ran"))
	p.SecretsFile = t.TempDir()
	require.Equal(t, domain.PartSucceeded, runPart(t, p).State, "a part without secrets does not need the file")
	require.Contains(t, out.String(), "drover: the values of secrets are not masked: secrets file "+p.SecretsFile+
		" is not a regular file\nran\n")

	p.Work.Secrets = []string{"KEY"}
	require.Contains(t, runPart(t, p).Detail, "is not a regular file")
}

func TestSecretsFileOfSeveralForms(t *testing.T) {
	for name, c := range map[string]struct{ content, want string }{
		"a byte order mark":                      {"\ufeffKEY=abc\n", "abc"},
		"a byte order mark and comment":          {"\ufeff# secrets\nKEY=abc\n", "abc"},
		"several lines":                          {"A=1\nKEY<<END\none\n\n# two=\nEND\nB=2\n", "one\n\n# two="},
		"several lines, Windows":                 {"KEY<<END\r\none\r\ntwo\r\nEND\r\n", "one\ntwo"},
		"several lines with a last one":          {"KEY<<END\none\n\nEND\n", "one\n"},
		"text like a command":                    {"KEY<<END\nexec:echo no\nEND\n", "exec:echo no"},
		"<< in a value":                          {"KEY=a<<END\n", "a<<END"},
		"quotes and other characters":            {"KEY=\"a $B #c\"\n", "\"a $B #c\""},
		"a command":                              {"KEY=exec: printf 'one\\ntwo\\n\\n'\n", "one\ntwo"},
		"a command in the file's folder":         {"KEY=exec:cat ./secrets.env | tail -n 1\n# last", "# last"},
		"a command with the agent's credentials": {"KEY=exec:echo $VAULT_TOKEN$DROVER_TOKEN\n", "vault"},
	} {
		t.Run(name, func(t *testing.T) {
			p, out := part(t, step(`printf '%s' "$KEY" > value; echo "<$KEY>"; test -z "$VAULT_TOKEN"`))
			p.Work.Secrets = []string{"KEY"}
			p.Inherit = []string{"PATH=" + os.Getenv("PATH"), "VAULT_TOKEN=vault", "DROVER_TOKEN=drover"}
			writeSecrets(t, p, c.content, 0o600)
			end := runPart(t, p)
			require.Equal(t, domain.PartSucceeded, end.State, end.Detail)
			value, err := os.ReadFile(filepath.Join(p.Folder, "work", "value"))
			require.NoError(t, err)
			require.Equal(t, c.want, string(value))
			require.Equal(t, "<***>\n", out.String())
		})
	}
}

func TestFailedCommandOfASecretIsReportedWithoutWhatItPrinted(t *testing.T) {
	for name, c := range map[string]struct{ command, detail string }{
		"exit code": {"echo hunter2; echo hunter2 >&2; exit 7",
			"ended with exit code 7; run it as the user of the agent to see why"},
		"signal":        {"echo hunter2; kill -9 $$", "was ended by a signal"},
		"nothing":       {"echo; echo hunter2 >&2", "printed nothing; it must print the secret to standard output"},
		"zero byte":     {"printf 'hunter2\\0x'", "printed a zero byte, which an environment variable cannot hold"},
		"endless":       {"yes hunter2", "printed more than 131072 bytes"},
		"no command":    {" ", ""},
		"no such tool ": {"no-such-tool hunter2", "ended with exit code 127; run it as the user of the agent to see why"},
	} {
		t.Run(name, func(t *testing.T) {
			p, out := part(t, step("echo ran"))
			p.Work.Secrets = []string{"KEY"}
			writeSecrets(t, p, "A=b\nKEY=exec:"+c.command+"\n", 0o600)
			end := runPart(t, p)
			require.Equal(t, domain.SecretMissing, end.Reason)
			want := "secret KEY: the command on line 2 of FILE " + c.detail
			if c.detail == "" {
				want = "line 2 of secrets file FILE has no command after exec:"
			}
			require.Equal(t, want, strings.ReplaceAll(end.Detail, p.SecretsFile, "FILE"))
			require.Empty(t, out.String())
		})
	}
}

func TestKilledAgentEndsTheCommandOfASecret(t *testing.T) {
	p, _ := part(t, step("echo ran"))
	p.Work.Secrets = []string{"KEY"}
	started := filepath.Join(t.TempDir(), "started")
	writeSecrets(t, p, "KEY=exec:sleep 1000 & echo $! > "+started+".new; mv "+started+".new "+started+"; wait\n", 0o600)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for _, err := os.Stat(started); err != nil; _, err = os.Stat(started) {
			runtime.Gosched()
		}
		cancel()
	}()
	end := p.Run(ctx)
	require.Contains(t, end.Detail, "was killed because the agent was stopped")
	waitUntilGone(t, started)
}

func TestAllValuesOnTheMachineAreMasked(t *testing.T) {
	p, out := part(t, step("echo own mine; echo other theirs; echo abcdefgh; echo }; echo -----KEY-----; echo agent; exit 3"))
	p.Masked = []string{"agent"}
	content := "OWN=mine\nOTHER=theirs\nPEM<<END\n-----KEY-----\nabcdefgh\n}\nEND\n"
	const want = "own ***\nother ***\n***\n}\n***\n***\n"
	for name, c := range map[string]struct {
		names   []string
		content string
		mode    os.FileMode
	}{
		"of a project with secrets":        {[]string{"OWN"}, content, 0o600},
		"of a project without secrets":     {nil, content, 0o600},
		"in a file with an invalid line":   {nil, "invalid\n" + content, 0o600},
		"in a file that others can access": {nil, content, 0o644},
	} {
		t.Run(name, func(t *testing.T) {
			p.Work.Secrets = c.names
			writeSecrets(t, p, c.content, c.mode)
			before := out.String()
			require.Equal(t, `step "install" ended with exit code 3: ***`, runPart(t, p).Detail)
			require.Equal(t, want, strings.TrimPrefix(out.String(), before))
		})
	}
}

func TestShortSecretMasksOnlyWhatTheStepWrote(t *testing.T) {
	p, out := part(t, domain.Step{Name: "migrate", Run: "echo eels; exit 3", Retries: 1})
	p.Work.Secrets = []string{"DIGIT"}
	writeSecrets(t, p, "DIGIT=e\n", 0o600)
	require.Equal(t, `step "migrate" ended with exit code 3: ******ls`, runPart(t, p).Detail)
	require.Equal(t, "******ls\ndrover: step \"migrate\" ended with exit code 3: ******ls; attempt 2 of 2\n******ls\n", out.String())
}
