package harnesstest_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/internal/harness"
	"github.com/droverhq/drover/internal/harness/harnesstest"
)

var program = harnesstest.NewProgram()

func TestMain(m *testing.M) { os.Exit(harnesstest.Run(m)) }

// failing is a test that can fail without failing its parent.
type failing struct {
	testing.TB
	failed   bool
	output   strings.Builder
	cleanups []func()
}

func (f *failing) Helper()          {}
func (f *failing) Failed() bool     { return f.failed }
func (f *failing) Cleanup(c func()) { f.cleanups = append(f.cleanups, c) }

func (f *failing) Logf(format string, args ...any) { fmt.Fprintf(&f.output, format, args...) }

func (f *failing) Fatal(args ...any) { f.Fatalf("%s", fmt.Sprint(args...)) }

func (f *failing) Fatalf(format string, args ...any) {
	f.failed = true
	fmt.Fprintf(&f.output, format, args...)
	runtime.Goexit()
}

// outcome runs a test that must fail, including its cleanup, and returns its output.
func outcome(t *testing.T, test func(testing.TB)) string {
	t.Helper()
	f := &failing{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			for _, c := range f.cleanups {
				c()
			}
		}()
		test(f)
	}()
	<-done
	require.True(t, f.failed)
	return f.output.String()
}

func TestServerThatFailsToStartFailsTestWithItsLog(t *testing.T) {
	occupied, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer occupied.Close()
	output := outcome(t, func(t testing.TB) {
		h := harnesstest.NewHost(t, program)
		s := harness.Server{Listen: occupied.Addr().String(), Data: filepath.Join(h.Folder, "data"), Tick: time.Second}
		h.AwaitReady(h.Start(s.Spec()), s.URL())
	})
	require.Regexp(t, `^the server \(process \d+\) did not become ready: it ended: exit status 1; `+
		`its log ends with:\ndrover: listen on .*: the address is in use`, output)
	require.Contains(t, output, "the logs of the processes end with:\nthe server:\n")
}

func TestServerWhoseLogNeverOpensIsNotReady(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts connections but never answers
	require.NoError(t, err)
	defer silent.Close()
	h := harnesstest.NewHost(t, program)
	s := harness.Server{Listen: harnesstest.FreeAddress(t), Data: filepath.Join(h.Folder, "data"), Tick: time.Second,
		Log: "postgres://drover:secret@" + silent.Addr().String() + "/drover?sslmode=disable"}
	p := h.Start(s.Spec())
	err = p.Await(t.Context(), 2*time.Second, "become ready", func(ctx context.Context) error {
		return harness.Ready(ctx, http.DefaultClient, s.URL())
	})
	require.ErrorContains(t, err, p.String()+" did not become ready: timed out after 2s: ")
	require.ErrorContains(t, err, "; its log ends with:\n")
}

func TestAgentThatDiesAtStartFailsWithItsLog(t *testing.T) {
	h := harnesstest.NewHost(t, program)
	file := filepath.Join(h.Folder, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	agent := harness.Agent{Name: "web-01", Environment: "production", Data: file}
	agent.Servers = []string{"http://" + harnesstest.FreeAddress(t)}
	p := h.Start(agent.Spec())
	err := p.Await(t.Context(), harnesstest.Timeout, "come online",
		func(context.Context) error { return errors.New("offline") })
	require.Regexp(t, `^the agent of web-01 \(process \d+\) did not come online: it ended: exit status 1; `+
		`its log ends with:\ndrover: .*not a directory`, err.Error())
}

func TestRestartedServerKeepsAddressAndAgents(t *testing.T) {
	h := harnesstest.NewHost(t, program)
	s := harness.Server{Listen: harnesstest.FreeAddress(t), Data: filepath.Join(h.Folder, "data"), Tick: time.Second}
	first := h.Start(s.Spec())
	h.AwaitReady(first, s.URL())
	file := filepath.Join(h.Folder, "environment.yaml")
	text := "apiVersion: drover.dev/v1\nkind: Environment\nmetadata: {name: production}\n"
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	require.Zero(t, h.Run("", "apply", "-f", file).Code)
	join := strings.TrimSpace(h.Run("", "token", "create", "--join").Stdout)
	agent := h.Start(harness.Agent{Name: "web-01", Environment: "production", Servers: []string{s.URL()}, Join: join,
		Data: filepath.Join(h.Folder, "web-01")}.Spec())
	online := func() error {
		if out := h.Run("", "get", "machine", "web-01", "-o", "json"); !strings.Contains(out.Stdout, `"online"`) {
			return errors.New(out.Stdout + out.Stderr)
		}
		return nil
	}
	harnesstest.Until(t, "the machine is online", online)

	first.Kill()
	second := h.Start(s.Spec())
	h.AwaitReady(second, s.URL())
	harnesstest.Until(t, "the machine is online again", online)
	require.Zero(t, harnesstest.Stop(agent), "exit code")
	require.Zero(t, harnesstest.Stop(second), "exit code")
}
