package cli_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheDoctorSeesADamagedLogWithItsServerAndWithout(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	server := s.server()
	s.shop()
	path := filepath.Join(s.data, "drover.db")
	alterLog(t, path, "DROP TRIGGER events_are_never_changed; UPDATE events SET data = '{\"by\":\"nobody\"}' WHERE stream = 'environment/production'")
	stdout, _, code := s.run("doctor")
	require.Equal(t, 1, code, stdout)
	require.Regexp(t, `(?m)^bad\tlog\tverify: .*environment/production.*\tdrover log verify`, stdout)

	require.NoError(t, server.Process.Kill())
	_ = server.Wait()
	stdout, stderr, code := s.run("doctor", "--log", "sqlite:"+path)
	require.Equal(t, 1, code, stdout)
	require.Regexp(t, `(?m)^bad\tlog\t.*environment/production`, stdout)
	require.Contains(t, stderr, "something is bad")
}

func TestTheDoctorSeesACertificateThatEnds(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	dir := t.TempDir()
	selfSigned(t, dir, "", "127.0.0.1") // good for a day
	s.process("server", "--data", s.data, "--tls-cert", filepath.Join(dir, "cert.pem"), "--tls-key", filepath.Join(dir, "key.pem"))
	s.ok("get", "servers")
	stdout, _, code := s.run("doctor")
	require.Zero(t, code, stdout)
	require.Regexp(t, `(?m)^warn\ttls\tthe certificate of https://127.0.0.1:\d+ is good for another (24h|23h.*)\tput a new certificate`, stdout)
}

func TestTheDoctorShowsNoPasswordOfALog(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	for _, log := range []string{"postgres://drover:hunter2@127.0.0.1:1/drover", "postgres://drover@127.0.0.1:1/drover?sslmode=disable&password=hunter2",
		"postgress://drover:hunter2@127.0.0.1:1/drover?sslPassword=hunter2", "postgres://drover:hunter2 @127.0.0.1:1/drover"} {
		for _, format := range []string{"table", "json"} {
			stdout, stderr, code := s.run("doctor", "--log", log, "--data", s.data, "-o", format)
			require.Equal(t, 1, code, log)
			require.Contains(t, stdout, "drover log verify --log ", log)
			require.NotContains(t, stdout+stderr, "hunter2", log)
		}
	}
}
