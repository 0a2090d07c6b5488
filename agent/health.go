package agent

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/droverhq/drover/agent/run"
	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
)

// checker runs the policy's health check, one run at a time, the first at once.
type checker struct {
	asked   domain.HealthCheck // as the policy has it
	check   domain.HealthCheck // with its defaults
	folder  string
	environ []string
	results chan client.Health
	stop    context.CancelFunc

	// last is the newest result, reported the status that this connection's server was told;
	// both belong to the session.
	last     *client.Health
	reported domain.Health
}

// newChecker prepares a check in a folder of its own.
func newChecker(check domain.HealthCheck, folder, machine string) *checker {
	asked := check
	if check.Every <= 0 {
		check.Every = domain.DefaultHealthEvery
	}
	if check.Timeout <= 0 {
		check.Timeout = domain.DefaultHealthTimeout
	}
	return &checker{
		asked: asked, check: check, folder: folder, results: make(chan client.Health),
		environ: append(run.Inherited(nil), "DROVER_MACHINE="+machine),
	}
}

// run checks until ctx ends.
func (c *checker) run(ctx context.Context) {
	ticker := time.NewTicker(time.Duration(c.check.Every))
	defer ticker.Stop()
	for {
		result := c.once(ctx)
		select {
		case c.results <- result:
		case <-ctx.Done():
			return
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// once runs the script once: exit code 0 is healthy, 1 a warning, anything else unhealthy.
func (c *checker) once(ctx context.Context) client.Health {
	if err := os.MkdirAll(c.folder, 0o700); err != nil {
		return client.Health{Status: domain.Unhealthy, Detail: run.Sentence("the check was not started: " + err.Error())}
	}
	path := filepath.Join(c.folder, "check.sh")
	if err := os.WriteFile(path, []byte(c.check.Script), 0o700); err != nil {
		return client.Health{Status: domain.Unhealthy, Detail: run.Sentence("the check was not started: " + err.Error())}
	}
	var last run.LastLine
	exit := run.Script{
		Path: path, Shebang: strings.HasPrefix(c.check.Script, "#!"), Folder: c.folder, Environ: c.environ,
		Timeout: time.Duration(c.check.Timeout), Grace: time.Second, Output: &last,
	}.Run(ctx)
	return judge(exit, last.String())
}

// judge says what the end of a check means.
func judge(exit run.Exit, line string) client.Health {
	switch {
	case exit.Err != nil:
		return client.Health{Status: domain.Unhealthy, Detail: run.Sentence("the check was not started: " + exit.Err.Error())}
	case exit.TimedOut:
		return client.Health{Status: domain.Unhealthy, Detail: fmt.Sprintf("the check took longer than its time-out of %s", exit.Timeout)}
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
