package cli_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/internal/config"
	"github.com/droverhq/drover/internal/harness/harnesstest"
)

func TestDoctorReportsDamagedLogWithAndWithoutServer(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	server := s.server()
	s.shop()
	path := filepath.Join(s.data, "drover.db")
	alterLog(t, path, "DROP TRIGGER events_are_never_changed; UPDATE events SET data = '{\"by\":\"nobody\"}' WHERE "+
		"stream = 'environment/production'")
	stdout, _, code := s.run("doctor")
	require.Equal(t, 1, code, stdout)
	require.Regexp(t, `(?m)^bad\tlog\tverify: .*environment/production.*\tdrover eventlog verify`, stdout)

	server.Kill()
	stdout, stderr, code := s.run("doctor", "--log", "sqlite:"+path)
	require.Equal(t, 1, code, stdout)
	require.Regexp(t, `(?m)^bad\tlog\t.*environment/production`, stdout)
	require.Contains(t, stderr, "bad finding out of")
}

func TestDoctorReportsExpiringCertificate(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	dir := t.TempDir()
	selfSigned(t, dir, "", "127.0.0.1") // valid for one day
	s.process("server", "--data", s.data, "--tls-cert", filepath.Join(dir, "cert.pem"), "--tls-key",
		filepath.Join(dir, "key.pem"))
	s.ok("get", "servers")
	stdout, _, code := s.run("doctor")
	require.Zero(t, code, stdout)
	require.Regexp(t, `(?m)^warn\ttls\tthe certificate of https://127.0.0.1:\d+ is valid for another (24h|23h.*)\treplace the files`, stdout)
}

func TestDoctorHidesPasswordOfLogURL(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	for _, log := range []string{"postgres://drover:hunter2@127.0.0.1:1/drover",
		"postgres://drover@127.0.0.1:1/drover?sslmode=disable&password=hunter2",
		"postgress://drover:hunter2@127.0.0.1:1/drover?sslPassword=hunter2", "postgres://drover:hunter2 " +
			"@127.0.0.1:1/drover"} {
		for _, format := range []string{"table", "json"} {
			stdout, stderr, code := s.run("doctor", "--log", log, "--data", s.data, "-o", format)
			require.Equal(t, 1, code, log)
			require.Contains(t, stdout, "drover eventlog verify --log ", log)
			require.NotContains(t, stdout+stderr, "hunter2", log)
		}
	}
}

func TestDoctorReportsTwoLogsInOneContextAndItsFixWorks(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	serving := s.server()
	s.shop()
	backup := filepath.Join(s.Folder, "backup.db")
	s.ok("eventlog", "backup", backup)
	mine, copied := s.url(), "http://"+harnesstest.FreeAddress(t)
	s.process("server", "--log", "sqlite:"+backup, "--data", filepath.Join(s.Folder, "look"), "--listen",
		strings.TrimPrefix(copied, "http://"))
	s.eventually("the copy is served", func() bool {
		_, _,
			code := s.run("--server", copied, "--token", s.contexts().List[0].Token, "get", "machines")
		return code == 0
	})
	require.Equal(t, []string{mine}, s.contexts().List[0].Servers)

	path := filepath.Join(s.Folder, ".config", "drover", "contexts.json")
	require.NoError(t, config.ChangeContexts(path, func(all *config.Contexts) (bool, error) {
		all.List[0].Servers = append(all.List[0].Servers, copied)
		return true, nil
	}))
	stdout, _, code := s.run("doctor")
	require.Equal(t, 1, code, stdout)
	require.Contains(t, stdout, "bad\tserver\t"+mine+" and "+copied+" serve different logs")

	serving.Kill()
	stdout, _, code = s.run("doctor")
	require.Zero(t, code, stdout)
	_, do, found := strings.Cut(stdout, "if that server is permanently gone: ")
	require.True(t, found, stdout)
	do, _, _ = strings.Cut(do, "\n")
	if _, err := exec.LookPath("jq"); err != nil {
		without(t, "jq")
	}
	out, err := exec.Command("sh", "-c", do).CombinedOutput()
	require.NoError(t, err, "%s: %s", do, out)
	require.Equal(t, []string{copied}, s.contexts().List[0].Servers)
	stdout, _, code = s.run("doctor")
	require.Zero(t, code, stdout)
	require.NotRegexp(t, `(?m)^(warn|bad)\t(server|files)`, stdout)
}
