package agent

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/droverhq/drover/agent/output"
	"github.com/droverhq/drover/agent/run"
	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
)

// checker runs the policy's health check repeatedly, one run at a time. The first run starts immediately, and so does one
// after each part: a project with healthyFor waits for what the part did to the machine.
type checker struct {
	requested domain.HealthCheck // as configured in the policy
	check     domain.HealthCheck // with defaults applied
	folder    string
	environ   []string
	mask      func() *output.Mask
	results   chan checkResult
	again     chan struct{} // has an item while a run after a part is due
	parts     atomic.Int64  // how many parts have ended
	stop      context.CancelFunc

	// last is the newest result; reported is the status that was sent on the current connection. Only the session's
	// goroutine uses them.
	last     *client.Health
	reported domain.Health
}

// checkResult is the result of one run.
type checkResult struct {
	health client.Health
	parts  int64 // how many parts had ended when the run began
}

// newChecker returns a checker that runs the check in its own folder.
func newChecker(check domain.HealthCheck, folder string, c Config, mask func() *output.Mask) *checker {
	requested := check
	if check.Every <= 0 {
		check.Every = domain.DefaultHealthEvery
	}
	if check.Timeout <= 0 {
		check.Timeout = domain.DefaultHealthTimeout
	}
	return &checker{
		requested: requested, check: check, folder: folder, results: make(chan checkResult), again: make(chan struct{}, 1),
		environ: append(run.Inherited(nil, c.PassEnv), "DROVER_MACHINE="+c.Name),
		mask:    mask,
	}
}

// run runs the check until ctx is done.
func (c *checker) run(ctx context.Context) {
	ticker := time.NewTicker(time.Duration(c.check.Every))
	defer ticker.Stop()
	for {
		parts := c.parts.Load()
		result := checkResult{c.once(ctx), parts}
		select {
		case c.results <- result:
		case <-ctx.Done():
			return
		}
		select {
		case <-ticker.C:
		case <-c.again:
		case <-ctx.Done():
			return
		}
	}
}

// partEnded starts a run as soon as possible. The result of a run that began before does not count any more.
func (c *checker) partEnded() {
	c.parts.Add(1)
	select {
	case c.again <- struct{}{}:
	default: // one is due already
	}
}

// once runs the script once. Exit code 0 means healthy, 1 means warning, any other code means unhealthy.
func (c *checker) once(ctx context.Context) client.Health {
	path, err := c.writeScript()
	if err != nil {
		return client.Health{Status: domain.Unhealthy, Detail: run.OneLine("the check did not start: " + err.Error())}
	}
	var last run.LastLine
	out := c.mask().Writer(&last)
	exit := run.Script{
		Path: path, Shebang: strings.HasPrefix(c.check.Script, "#!"), Folder: c.folder, Environ: c.environ,
		Timeout: time.Duration(c.check.Timeout), Grace: time.Second, Output: out,
	}.Run(ctx)
	_ = out.Flush()
	return judge(exit, last.String())
}

// writeScript writes the script into the folder of the check and returns its path. The path is absolute, because the
// script runs in that folder.
func (c *checker) writeScript() (string, error) {
	if err := os.MkdirAll(c.folder, 0o700); err != nil {
		return "", err
	}
	path, err := filepath.Abs(filepath.Join(c.folder, "check.sh"))
	if err != nil {
		return "", err
	}
	return path, os.WriteFile(path, []byte(c.check.Script), 0o700)
}

// judge returns the health that corresponds to the exit of a check.
func judge(exit run.Exit, line string) client.Health {
	switch {
	case exit.Err != nil:
		return client.Health{Status: domain.Unhealthy, Detail: run.OneLine("the check did not start: " + exit.Err.Error())}
	case exit.TimedOut:
		return client.Health{
			Status: domain.Unhealthy,
			Detail: fmt.Sprintf("the check exceeded its timeout of %s", exit.Timeout),
		}
	case exit.Code == 0:
		return client.Health{Status: domain.Healthy, Detail: line}
	case exit.Code == 1:
		return client.Health{Status: domain.Warning, Detail: line}
	}
	if line == "" {
		line = fmt.Sprintf("the check ended with exit code %d", exit.Code)
	}
	return client.Health{Status: domain.Unhealthy, Detail: line}
}
