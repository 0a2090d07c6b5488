package faults

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/doctor"
	"github.com/droverhq/drover/internal/harness"
	"github.com/droverhq/drover/internal/harness/harnesstest"
)

// year is by how much clocks jump in these tests.
const year = 8760 * time.Hour

// clockedServer is a server process on an SQLite log whose wall clock the test sets.
type clockedServer struct {
	*harnesstest.Host
	t       *testing.T
	spec    harness.Server
	clock   string // the file with the error of its clock
	process *harness.Process
}

// newClockedServer starts a server. log is the URL of a log that it shares with others; empty: its own.
func newClockedServer(t *testing.T, log string) *clockedServer {
	t.Helper()
	host := harnesstest.NewHost(t, withFailpoints)
	s := &clockedServer{Host: host, t: t, clock: filepath.Join(host.Folder, "clock"),
		spec: harness.Server{Listen: harnesstest.FreeAddress(t), Tick: time.Second, Log: log,
			Data: filepath.Join(host.Folder, "server")}}
	host.Env = append(host.Env, "DROVER_CLOCK_OFFSET=@"+s.clock)
	s.setClock(0)
	s.start()
	return s
}

func (s *clockedServer) start() {
	s.process = s.Start(s.spec.Spec())
	s.AwaitReady(s.process, s.spec.URL())
}

// setClock sets the error of the server's clock.
func (s *clockedServer) setClock(wrong time.Duration) {
	s.t.Helper()
	require.NoError(s.t, os.WriteFile(s.clock+".new", []byte(wrong.String()), 0o600))
	require.NoError(s.t, os.Rename(s.clock+".new", s.clock))
}

// ok runs a command that must succeed.
func (s *clockedServer) ok(stdin string, args ...string) string {
	s.t.Helper()
	r := s.Run(stdin, args...)
	require.Zero(s.t, r.Code, "drover %s: %s", strings.Join(args, " "), r.Stderr)
	return strings.TrimSpace(r.Stdout)
}

// clockFinding returns the findings of this server about clocks, as "severity: text", one per line.
func (s *clockedServer) clockFinding() string {
	s.t.Helper()
	var checkup struct{ Findings []doctor.Finding }
	require.NoError(s.t, json.Unmarshal([]byte(s.Run("", "doctor", "-o", "json").Stdout), &checkup))
	var lines []string
	for _, f := range checkup.Findings {
		if f.Check == "clock" {
			lines = append(lines, string(f.Severity)+": "+f.Text)
		}
	}
	return strings.Join(lines, "\n")
}

// untilClock waits until a finding about clocks matches.
func (s *clockedServer) untilClock(pattern string) {
	s.t.Helper()
	harnesstest.Until(s.t, "doctor says "+pattern, func() error {
		if found := s.clockFinding(); !regexp.MustCompile(pattern).MatchString(found) {
			return errors.New(found)
		}
		return nil
	})
}

var tickCount = regexp.MustCompile(`(?m)^drover_tick_duration_seconds_count (\d+)$`)

// ticks waits for complete ticks that begin after the call.
func (s *clockedServer) ticks(n int) {
	s.t.Helper()
	count := func() int {
		found := tickCount.FindStringSubmatch(s.metrics())
		if found == nil {
			return 0
		}
		ticks, _ := strconv.Atoi(found[1])
		return ticks
	}
	begun := count()
	harnesstest.Until(s.t, "ticks pass", func() error {
		if passed := count() - begun; passed <= n {
			return fmt.Errorf("%d of %d", passed, n)
		}
		return nil
	})
}

func (s *clockedServer) metrics() string { return s.get("/metrics") }

// get returns the answer of a monitoring route, which needs no token on loopback.
func (s *clockedServer) get(path string) string {
	s.t.Helper()
	answer, err := http.Get(s.spec.URL() + path)
	require.NoError(s.t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(s.t, err)
	return string(text)
}

// lifted returns how many pins and holds have expired.
func (s *clockedServer) lifted() int {
	return strings.Count(s.ok("", "events", "-o", "jsonl"), `"expired"`)
}

// untilLifted waits until a number of pins and holds have expired.
func (s *clockedServer) untilLifted(n int) {
	s.t.Helper()
	harnesstest.Until(s.t, "pins and holds expire", func() error {
		if found := s.lifted(); found != n {
			return fmt.Errorf("%d have expired, not %d", found, n)
		}
		return nil
	})
}

const twoEnvironments = `apiVersion: drover.dev/v1
kind: Environment
metadata: {name: production}
---
apiVersion: drover.dev/v1
kind: Environment
metadata: {name: staging}
---
apiVersion: drover.dev/v1
kind: MachinePolicy
metadata: {name: default}
spec: {offlineAfter: 3s}
---
apiVersion: drover.dev/v1
kind: Project
metadata: {name: shop}
spec: {steps: [{name: install, run: echo installed}]}
`

// TestClockThatJumpsExpiresNothing moves the clock of a running server by a year. The pins that end at once in the first
// lines are the negative control: the test sees what expires.
func TestClockThatJumpsExpiresNothing(t *testing.T) {
	skipIfShort(t)
	s := newClockedServer(t, "")
	s.ok(twoEnvironments, "apply", "-f", "-")
	s.ok("", "release", "create", "shop", "1.0")
	s.ok("", "pin", "shop", "1.0", "--in", "staging", "--for", "1s")
	s.untilLifted(1)

	s.ok("", "pin", "shop", "1.0", "--in", "staging", "--for", "1s")
	s.ok("", "pin", "shop", "1.0", "--in", "production", "--for", "720h")
	token := s.ok("", "token", "create", "--scope", "read", "--for", "720h")
	reads := func() bool { return s.Run("", "get", "machines", "--token", token).Code == 0 }
	require.True(t, reads())
	s.untilLifted(2)

	for _, jump := range []time.Duration{year, -year} {
		s.setClock(jump)
		s.untilClock(`bad: pins, holds and stored output do not expire .* set (forward|back) by 365 days`)
		s.ticks(3)
		require.Equal(t, 2, s.lifted())
		require.True(t, reads(), "the token is still valid")
		require.Contains(t, s.metrics(), "\ndrover_clock_confirmed 0\n")
		require.Contains(t, s.get("/readyz"), "do not expire")
	}
	s.setClock(0)
	harnesstest.Until(t, "the clock counts again", func() error {
		if !strings.Contains(s.metrics(), "\ndrover_clock_confirmed 1\n") {
			return errors.New(s.clockFinding())
		}
		return nil
	})
	s.ok("", "pin", "shop", "1.0", "--in", "staging", "--for", "1s")
	s.untilLifted(3)
}

// TestServersThatDisagreeExpireNothing runs two servers whose clocks differ. What expires after one of them has ended is
// the negative control.
func TestServersThatDisagreeExpireNothing(t *testing.T) {
	skipIfShort(t)
	log := "sqlite:" + filepath.Join(t.TempDir(), "drover.db")
	right := newClockedServer(t, log)
	right.ok(twoEnvironments, "apply", "-f", "-")
	right.ok("", "release", "create", "shop", "1.0")
	token := right.ok("", "token", "create", "--scope", "admin")
	wrong := newClockedServer(t, log)
	wrong.Env = append(wrong.Env, "DROVER_TOKEN="+token, "DROVER_SERVER="+wrong.spec.URL())
	right.Env = append(right.Env, "DROVER_TOKEN="+token, "DROVER_SERVER="+right.spec.URL())
	wrong.setClock(year)

	differs := `bad: pins, holds and stored output do not expire .* its clock differs by more than 5m from that of server http://`
	right.untilClock(differs + regexp.QuoteMeta(wrong.spec.Listen))
	wrong.untilClock(differs + regexp.QuoteMeta(right.spec.Listen))
	right.ok("", "pin", "shop", "1.0", "--in", "staging", "--for", "1s")
	right.ok("", "pin", "shop", "1.0", "--in", "production", "--for", "720h")
	right.ticks(10)
	wrong.ticks(3)
	require.Zero(t, right.lifted())

	wrong.process.End(syscall.SIGTERM)
	right.untilLifted(1)
}

// TestAgentsContradictAServer restarts a server with a wrong clock. Its three agents have the right time. Before the
// restart they confirm the clock, which shows that the server hears them. The output of steps is retained.
func TestAgentsContradictAServer(t *testing.T) {
	skipIfShort(t)
	s := newClockedServer(t, "")
	s.ok(twoEnvironments, "apply", "-f", "-")
	s.ok("", "release", "create", "shop", "1.0")
	join := s.ok("", "token", "create", "--join", "--environment", "production", "--uses", "3")
	for _, name := range []string{"web-01", "web-02", "web-03"} {
		s.Start(harness.Agent{Name: name, Environment: "production", Servers: []string{s.spec.URL()}, Join: join,
			Data: filepath.Join(s.Folder, name)}.Spec())
	}
	online := func() error {
		if n := strings.Count(s.ok("", "get", "machines"), "online"); n != 3 {
			return fmt.Errorf("%d machines are online", n)
		}
		return nil
	}
	harnesstest.Until(t, "the machines are online", online)
	s.ok("", "deploy", "shop", "1.0", "--to", "production", "--yes", "--wait")
	s.ok("", "pin", "shop", "1.0", "--in", "production", "--for", "720h")
	deployment := s.ok("", "get", "deployments", "-o", "name")

	harnesstest.Stop(s.process)
	s.start() // its log is not empty, so only the agents can confirm its clock at once
	harnesstest.Until(t, "the agents confirm the clock", func() error {
		if !strings.Contains(s.metrics(), "\ndrover_clock_confirmed 1\n") {
			return errors.New(s.clockFinding())
		}
		return nil
	})

	harnesstest.Stop(s.process)
	s.setClock(year)
	s.start()
	s.untilClock(`bad: pins, holds and stored output do not expire .* 365 days ahead of the clocks of most of its 3 agents`)
	s.ticks(3)
	require.Zero(t, s.lifted())
	require.Equal(t, 3, strings.Count(s.ok("", "logs", deployment), "installed"), "the output is retained")
}
