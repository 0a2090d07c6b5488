package demo

import (
	"context"
	"fmt"
	"time"

	"github.com/droverhq/drover/internal/clock"
)

// restartAfter is how long an agent that the user stopped stays down, so that its machine visibly goes offline.
const restartAfter = 6 * time.Second

// exploreHelp lists commands for exploring the fleet. A test runs each of them.
const exploreHelp = `
The fleet stays up until you stop it with Ctrl-C. To explore it, run in another terminal:

  . %[1]s
  drover get machines
  drover why web-02
  drover get deployments
  drover events                                    # all events; add -f to follow
  cat $DEMO/machines/*/site/attempts.txt

To continue the demo:

  drover deploy site 1.2 --to production --wait    # try again: web-02 has free disk space now
  drover rollback site --to production --wait      # or roll back
  kill -9 %[2]d                                    # the agent of web-03; it restarts after %[3]s

Pages, logs and settings: %[4]s
`

// stay keeps the fleet running until ctx ends.
func (s *script) stay(ctx context.Context) error {
	s.write(exploreHelp, quoted(s.path("env")), s.processes["web-03"].PID(), restartAfter, s.folder)
	if s.fault != nil {
		return fmt.Errorf("write the output of the demo: %w", s.fault)
	}
	for ctx.Err() == nil {
		if p := s.processes[serverName]; !p.Running() {
			return expect(false, "the server to run until the demo is stopped", "%s ended unexpectedly: %s", p, p.State())
		}
		if err := s.restartAgents(ctx); err != nil && ctx.Err() == nil {
			return err
		}
		_ = clock.Sleep(ctx, pollEvery) // the loop condition handles the end of ctx
	}
	s.write("\nStopping the server and the agents.\n")
	return nil
}

// restartAgents restarts agents that the user stopped, as a service manager does.
func (s *script) restartAgents(ctx context.Context) error {
	for _, machine := range []string{"web-01", "web-02", "web-03", "web-04"} {
		ended := s.processes[machine]
		if ended.Running() {
			continue
		}
		s.write("\n%s has ended (%s); it restarts in %s.\n", ended, ended.State(), restartAfter)
		if err := clock.Sleep(ctx, restartAfter); err != nil {
			return err
		}
		started, err := s.startAgent(machine, "")
		if err != nil {
			return err
		}
		s.write("%s has started.\n", started)
	}
	return nil
}
