package demo

import (
	"context"
	"fmt"
	"time"

	"github.com/droverhq/drover/internal/clock"
)

// restartAfter is how long an agent that somebody ended stays down, so that one can see its machine go offline.
const restartAfter = 6 * time.Second

// lookAround says what to do now. A test runs each of the commands.
const lookAround = `
The fleet stays up until you stop it with Ctrl-C. To look around, in another terminal:

  . %[1]s
  drover get machines
  drover why web-02
  drover get deployments
  drover events                                    # everything; with -f it goes on
  cat $DEMO/machines/*/site/attempts.txt

and to go on with the story:

  drover deploy site 1.2 --to production --wait    # try again: web-02 has room now
  drover rollback site --to production --wait      # or go back
  kill -9 %[2]d                                    # the agent of web-03; it is started again after %[3]s

Pages, logs and settings: %[4]s
`

// stay keeps the fleet up until ctx ends.
func (s *story) stay(ctx context.Context) error {
	s.write(lookAround, quoted(s.path("env")), s.processes["web-03"].PID(), restartAfter, s.folder)
	if s.fault != nil {
		return fmt.Errorf("tell the story: %w", s.fault)
	}
	for ctx.Err() == nil {
		if p := s.processes[serverName]; !p.Running() {
			return expect(false, "the server to run until the demo is stopped", "%s ended by itself: %s", p, p.State())
		}
		if err := s.revive(ctx); err != nil && ctx.Err() == nil {
			return err
		}
		_ = clock.Sleep(ctx, lookEvery) // the loop sees the end of ctx
	}
	s.write("\nStopping server and agents.\n")
	return nil
}

// revive starts agents again that somebody ended, as a service manager does.
func (s *story) revive(ctx context.Context) error {
	for _, machine := range []string{"web-01", "web-02", "web-03", "web-04"} {
		ended := s.processes[machine]
		if ended.Running() {
			continue
		}
		s.write("\n%s has ended (%s); it is started again in %s.\n", ended, ended.State(), restartAfter)
		if err := clock.Sleep(ctx, restartAfter); err != nil {
			return err
		}
		started, err := s.startAgent(machine, "")
		if err != nil {
			return err
		}
		s.write("%s is started.\n", started)
	}
	return nil
}
