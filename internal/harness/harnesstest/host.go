package harnesstest

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/harness"
)

const (
	// Timeout limits every wait for a condition that must become true. It is not a performance limit.
	Timeout = 2 * time.Minute
	// Grace is how long Stop waits before it kills a process.
	Grace = 40 * time.Second

	pollEvery = 50 * time.Millisecond
	// shown is the number of bytes of each log that a failed test shows.
	shown = 4000
)

// Host is a harness.Host that belongs to a test. Its processes are killed at the end of the test. If the test
// failed, the ends of their logs are shown.
type Host struct {
	*harness.Host
	// Folder is the working directory and the home of all processes.
	Folder string
	t      testing.TB
}

// NewHost creates a host for a program in a temporary folder. Its environment is harness.Environment plus env.
func NewHost(t testing.TB, program *Program, env ...string) *Host {
	t.Helper()
	folder := t.TempDir()
	processes := &harness.Host{Program: program.Path(t), Dir: folder, Env: harness.Environment(folder, env...)}
	h := &Host{Host: processes, Folder: folder, t: t}
	t.Cleanup(func() {
		h.Close()
		if t.Failed() {
			t.Logf("the logs of the processes end with:\n%s", h.Logs(shown))
		}
	})
	return h
}

// Start starts a process.
func (h *Host) Start(s harness.Spec) *harness.Process {
	h.t.Helper()
	p, err := h.Host.Start(s)
	if err != nil {
		h.t.Fatal(err)
	}
	return p
}

// AwaitReady waits until the server at url, without TLS, is ready. p is its process.
func (h *Host) AwaitReady(p *harness.Process, url string) {
	h.t.Helper()
	ready := func(ctx context.Context) error { return harness.Ready(ctx, http.DefaultClient, url) }
	if err := p.Await(h.t.Context(), Timeout, "become ready", ready); err != nil {
		h.t.Fatal(err)
	}
}

// Run runs a command to its end. An empty stdin means no input.
func (h *Host) Run(stdin string, args ...string) harness.Result {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Timeout)
	defer cancel()
	result, err := h.Host.Run(ctx, stdin, args...)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		h.t.Fatalf("drover %s: %v: %s", strings.Join(args, " "), err, result.Stderr)
	}
	return result
}

// Stop stops a process with SIGTERM and returns its exit code, or -1 if it had to be killed.
func Stop(p *harness.Process) int {
	harness.Stop(Grace, p)
	return p.State().ExitCode()
}

// Until polls the condition is until it returns nil. After Timeout it fails the test with the last error.
func Until(t testing.TB, what string, is func() error) {
	t.Helper()
	deadline, ticker := time.After(Timeout), time.NewTicker(pollEvery)
	defer ticker.Stop()
	for {
		err := is()
		if err == nil {
			return
		}
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("timed out after %s: %s: %v", Timeout, what, err)
		}
	}
}

// FreeAddress returns a loopback HOST:PORT that is currently unused.
func FreeAddress(t testing.TB) string {
	t.Helper()
	address, err := harness.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	return address
}
