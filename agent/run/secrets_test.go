package run_test

import (
	"os"
	"path/filepath"
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
		"no file": {"", 0,
			"secret DB_PASSWORD, KEY is required but FILE does not exist; create it with mode 0600 and a line DB_PASSWORD=…"},
		"missing": {"KEY=x\n", 0o600,
			"secret DB_PASSWORD is not in FILE on this machine; add a line DB_PASSWORD=…"},
		"readable by other users": {"DB_PASSWORD=x\nKEY=y\n", 0o644,
			"secrets file FILE is accessible to other users (mode 0644); run: chmod 600 FILE"},
		"not KEY=VALUE": {"KEY=x\nhunter2\n", 0o600, "line 2 of secrets file FILE is not KEY=VALUE"},
		"invalid name": {"export KEY=hunter2\n", 0o600,
			"line 1 of secrets file FILE: the text before = is not a valid variable name, or begins with DROVER_"},
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
	_, err := run.ReadSecrets(t.TempDir(), []string{"KEY"})
	require.ErrorContains(t, err, "is not a regular file")
	none, err := run.ReadSecrets(filepath.Join(t.TempDir(), "none"), nil)
	require.NoError(t, err, "without names the file is not opened")
	require.Empty(t, none)
}

func TestShortSecretMasksOnlyWhatTheStepWrote(t *testing.T) {
	p, out := part(t, domain.Step{Name: "migrate", Run: "echo eels; exit 3", Retries: 1})
	p.Work.Secrets = []string{"DIGIT"}
	writeSecrets(t, p, "DIGIT=e\n", 0o600)
	require.Equal(t, `step "migrate" ended with exit code 3: ******ls`, runPart(t, p).Detail)
	require.Equal(t, "******ls\ndrover: step \"migrate\" ended with exit code 3: ******ls; attempt 2 of 2\n******ls\n", out.String())
}
