package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/explain"
	"github.com/droverhq/drover/internal/clock"
)

// waiter implements --wait and --timeout: the command ends when the deployment has ended.
type waiter struct {
	app     *app
	wait    bool
	timeout time.Duration
	seen    map[string]string
}

// waitExits returns the exit codes of a command that queues a deployment; the entries of own replace the defaults.
func waitExits(own exits) exits {
	all := writeExits(exits{exitOK: "the deployment is queued; with --wait: it succeeded",
		exitFailed:  "with --wait: the deployment failed or was cancelled",
		exitPending: "with --wait: --timeout passed or the command was interrupted; the deployment continues"})
	maps.Copy(all, own)
	return all
}

// pollEvery is the interval at which --wait reads the deployment.
const pollEvery = 300 * time.Millisecond

func (w *waiter) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&w.wait, "wait", false, "wait until the deployment has ended; exit code 3 if it failed")
	cmd.Flags().DurationVar(&w.timeout, "timeout", 0,
		"with --wait, stop waiting after this `DURATION` with exit code 8; default: never")
}

func (w *waiter) check() error {
	switch {
	case w.timeout != 0 && !w.wait:
		return usage("--timeout requires --wait")
	case w.timeout < 0:
		return usage("invalid --timeout %s: use a positive duration, such as 10m", w.timeout)
	}
	return nil
}

// until reads the deployment until it has ended and prints its progress to stderr. The deployment continues after a
// timeout or an interrupt.
func (w *waiter) until(ctx context.Context, written client.Written) error {
	if w.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, w.timeout)
		defer cancel()
	}
	w.seen = map[string]string{}
	q := query("after", written.Position)
	for {
		var d explain.Deployment
		position, err := w.app.readAt(ctx, client.Path("deployments", written.Deployment), q, &d)
		switch {
		case err == nil:
			q.Set("after", position)
			w.printProgress(d)
			if ended(d) {
				return w.finish(d)
			}
		case ctx.Err() == nil && !errors.Is(err, context.DeadlineExceeded) && asFailure(err).kind != client.Unavailable:
			return err
		}
		if clock.Sleep(ctx, pollEvery) != nil {
			return &failure{code: exitPending, kind: "pending", text: "deployment " + written.Deployment +
				" has not ended",
				hint: "it continues; `drover get deployment " + written.Deployment + "` shows its state"}
		}
	}
}

func ended(d explain.Deployment) bool {
	return d.State == "succeeded" || d.State == "failed" || d.State == "cancelled"
}

// printProgress prints the machines whose state has changed.
func (w *waiter) printProgress(d explain.Deployment) {
	for _, m := range d.Machines {
		text := strings.TrimSuffix(m.State+": "+m.Reason, ": ")
		if m.Detail != "" {
			text += " (" + explain.Line(m.Detail) + ")"
		}
		if w.seen[m.Name] != text {
			w.seen[m.Name] = text
			w.app.info("%s  %s", m.Name, text)
		}
	}
}

// finish prints the result of the deployment and returns an error unless it succeeded.
func (w *waiter) finish(d explain.Deployment) error {
	if w.app.structured() {
		if err := w.app.value(d); err != nil {
			return err
		}
	}
	text := fmt.Sprintf("deployment %s of %s %s to %s %s", d.ID, d.Project, d.Release, d.Environment, d.State)
	switch {
	case d.SupersededBy != nil && d.State == "cancelled":
		text += ": " + d.SupersededBy.String() + " (" + countByState(d) + ")"
	case len(d.Machines) == 0:
		text += ": it covered no machines; machines that join later get this release"
	case d.State == "succeeded" && !slices.ContainsFunc(d.Machines,
		func(m explain.DeploymentMachine) bool { return m.State == "succeeded" }):
		text += ", but nothing was deployed: " + skippedText(d)
	default:
		text += failuresText(d) + ": " + countByState(d)
	}
	if d.State == "succeeded" {
		w.app.info("%s", text)
		return nil
	}
	hint := "`drover logs " + d.ID + "` shows the output of its steps"
	if i := slices.IndexFunc(d.Machines, becameUnhealthy); i >= 0 {
		hint += ", and `drover why " + d.Machines[i].Name + "` explains its health"
	}
	return &failure{code: exitFailed, kind: d.State, text: text, hint: hint}
}

// becameUnhealthy reports whether the verification of a part failed because of the health of its machine.
func becameUnhealthy(m explain.DeploymentMachine) bool {
	return m.Reason == string(domain.MachineIsUnhealthy)
}

// failuresText compares the failures of a deployment with its maxFailures.
func failuresText(d explain.Deployment) string {
	if d.MaxFailures == nil || d.Failures == 0 {
		return ""
	}
	return fmt.Sprintf(" with %s (maxFailures %s)", plural(d.Failures, "failure"), d.MaxFailures)
}

// id removes the prefix that -o name prints before the id of a deployment.
func id(text string) string { return strings.TrimPrefix(text, "deployment/") }

// countByState returns the number of machines in each state, such as "2 succeeded, 1 failed".
func countByState(d explain.Deployment) string {
	count := map[string]int{}
	for _, m := range d.Machines {
		count[m.State]++
	}
	var texts []string
	for _, state := range slices.Sorted(maps.Keys(count)) {
		texts = append(texts, fmt.Sprintf("%d %s", count[state], state))
	}
	return strings.Join(texts, ", ")
}

// skippedText counts the machines of a deployment by state and reason.
func skippedText(d explain.Deployment) string {
	count := map[string]int{}
	for _, m := range d.Machines {
		count[m.State+": "+domain.PartReason(m.Reason).Text()]++
	}
	var texts []string
	for _, why := range slices.Sorted(maps.Keys(count)) {
		texts = append(texts, plural(count[why], "machine")+" "+why)
	}
	return strings.Join(texts, "; ")
}
