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

// waiting is `--wait`: the command stays until the deployment has ended.
type waiting struct {
	shell   *shell
	wait    bool
	timeout time.Duration
	seen    map[string]string
}

// waits are the codes of a command that queues a deployment, with its own ones.
func waits(own exits) exits {
	all := writes(exits{exitOK: "the deployment is queued; with --wait: it succeeded",
		exitFailed:  "with --wait: the deployment failed or was cancelled",
		exitPending: "with --wait: it had not ended after --timeout, or the command was interrupted; it goes on"})
	maps.Copy(all, own)
	return all
}

// lookEvery is how often a waiting command looks.
const lookEvery = 300 * time.Millisecond

func (w *waiting) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&w.wait, "wait", false, "stay until the deployment has ended; exit code 3 if it failed")
	cmd.Flags().DurationVar(&w.timeout, "timeout", 0, "with --wait: leave after this `DURATION` with exit code 8; default: never")
}

func (w *waiting) check() error {
	switch {
	case w.timeout != 0 && !w.wait:
		return usage("--timeout is for --wait")
	case w.timeout < 0:
		return usage("invalid --timeout %s: use a duration such as 10m", w.timeout)
	}
	return nil
}

// until looks at the deployment until it has ended, and tells each step of it on stderr. Neither the
// time-out nor an interrupt touches the deployment.
func (w *waiting) until(ctx context.Context, written client.Written) error {
	if w.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, w.timeout)
		defer cancel()
	}
	w.seen = map[string]string{}
	q := query("after", written.Position)
	for {
		var d explain.Deployment
		position, err := w.shell.readAt(ctx, client.Path("deployments", written.Deployment), q, &d)
		switch {
		case err == nil:
			q.Set("after", position)
			w.tell(d)
			if ended(d) {
				return w.end(d)
			}
		case ctx.Err() == nil && !errors.Is(err, context.DeadlineExceeded) && asFailure(err).kind != client.Unavailable:
			return err
		}
		if clock.Sleep(ctx, lookEvery) != nil {
			return &failure{code: exitPending, kind: "pending", text: "deployment " + written.Deployment + " has not ended",
				hint: "it goes on; `drover get deployment " + written.Deployment + "` shows how it stands"}
		}
	}
}

func ended(d explain.Deployment) bool {
	return d.State == "succeeded" || d.State == "failed" || d.State == "cancelled"
}

// tell says what is new since the last look.
func (w *waiting) tell(d explain.Deployment) {
	for _, m := range d.Machines {
		text := strings.TrimSuffix(m.State+": "+m.Reason, ": ")
		if m.Detail != "" {
			text += " (" + explain.Line(m.Detail) + ")"
		}
		if w.seen[m.Name] != text {
			w.seen[m.Name] = text
			w.shell.say("%s  %s", m.Name, text)
		}
	}
}

// end tells how the deployment ended, and fails the command if it failed.
func (w *waiting) end(d explain.Deployment) error {
	if w.shell.structured() {
		if err := w.shell.value(d); err != nil {
			return err
		}
	}
	what := fmt.Sprintf("deployment %s of %s %s to %s %s", d.ID, d.Project, d.Release, d.Environment, d.State)
	switch {
	case len(d.Machines) == 0:
		what += ": there is no machine yet; those that join get this release"
	case d.State == "succeeded" && !slices.ContainsFunc(d.Machines, func(m explain.DeploymentMachine) bool { return m.State == "succeeded" }):
		what += ", but nothing was deployed: " + passedOver(d)
	default:
		what += ": " + counted(d)
	}
	if d.State == "succeeded" {
		w.shell.say("%s", what)
		return nil
	}
	return &failure{code: exitFailed, kind: d.State, text: what, hint: "`drover logs " + d.ID + "` shows what its steps printed"}
}

// id accepts a deployment as it is shown with -o name.
func id(text string) string { return strings.TrimPrefix(text, "deployment/") }

// counted says how many machines stand where, as "2 succeeded, 1 failed".
func counted(d explain.Deployment) string {
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

// passedOver says of a deployment that reached no machine how many were left out and why.
func passedOver(d explain.Deployment) string {
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
