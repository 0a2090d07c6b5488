package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/explain"
	"github.com/droverhq/drover/internal/clock"
)

// waiter implements --wait and its flags: the command ends when the deployment has ended.
type waiter struct {
	app        *app
	wait       bool
	timeout    time.Duration
	allowEmpty bool
	// complete is set if the deployment leaves out all machines because they have the release.
	complete bool

	line       *statusLine // nil if progress is appended
	milestones milestones
	samples    []sample
	// reported are the failed machines that belong to a reported group of failures.
	reported map[string]bool
	// replaced is set after the message that another deployment replaces this one.
	replaced bool
	// lost is set while no server answers.
	lost bool
}

// waitExits returns the exit codes of a command that queues a deployment; the entries of own replace the defaults.
func waitExits(own exits) exits {
	all := writeExits(exits{exitOK: "the deployment is queued; with --wait: it succeeded",
		exitFailed:     "with --wait: the deployment failed or was cancelled",
		exitSuperseded: "with --wait: a deployment of another release replaced it",
		exitPending:    "with --wait: --timeout passed or the command was interrupted; the deployment continues",
		exitEmpty:      "with --wait: the deployment reached no machine, and --allow-empty is not given"})
	maps.Copy(all, own)
	return all
}

// pollEvery is the shortest interval at which --wait reads the deployment.
const pollEvery = 300 * time.Millisecond

func (w *waiter) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&w.wait, "wait", false, "wait until the deployment has ended; exit code 3 if it failed")
	cmd.Flags().DurationVar(&w.timeout, "timeout", 0,
		"with --wait, stop waiting after this `DURATION` with exit code 8; default: never")
	cmd.Flags().BoolVar(&w.allowEmpty, "allow-empty", false,
		"with --wait, end with exit code 0 if the deployment reached no machine; default: exit code 9")
}

func (w *waiter) check() error {
	switch {
	case w.timeout != 0 && !w.wait:
		return usage("--timeout requires --wait")
	case w.allowEmpty && !w.wait:
		return usage("--allow-empty requires --wait")
	case w.timeout < 0:
		return usage("invalid --timeout %s: use a positive duration, such as 10m", w.timeout)
	}
	return nil
}

// until waits until the deployment has ended, prints its progress to stderr, and returns its result. If a deployment of
// the same release replaces it, it waits for that one. The deployment continues after a timeout or an interrupt.
func (w *waiter) until(ctx context.Context, written client.Written) error {
	bounded := ctx
	if w.timeout > 0 {
		var cancel context.CancelFunc
		bounded, cancel = context.WithTimeout(ctx, w.timeout)
		defer cancel()
	}
	if w.line = newStatusLine(w.app.Err); w.line != nil {
		defer func(messages io.Writer) { w.line.clear(); w.app.Err = messages }(w.app.Err)
		w.app.Err = w.line
	}
	id, after := written.Deployment, written.Position
	for {
		d, position, err := w.end(bounded, id, after)
		if err != nil {
			return err
		}
		if by := d.SupersededBy; by == nil || d.State == "succeeded" || by.Release != d.Release {
			return w.finish(ctx, d)
		}
		w.app.info("deployment %s of the same release replaced %s; waiting for it", d.SupersededBy.ID, d.ID)
		id, after = d.SupersededBy.ID, position
	}
}

// end reads a deployment until it has ended, and prints its progress. While no server answers, it continues to try.
func (w *waiter) end(ctx context.Context, id, after string) (d explain.Deployment, position string, err error) {
	w.milestones, w.samples, w.reported, w.replaced = milestones{}, nil, map[string]bool{}, false
	q := query("after", after)
	w.app.noRetry = true
	defer func() { w.app.noRetry = false }()
	for {
		d = explain.Deployment{}
		begun := time.Now()
		position, err = w.app.readAt(ctx, client.Path("deployments", id), q, &d)
		switch {
		case err == nil:
			q.Set("after", position)
			w.reportServer(nil)
			if ended(d) {
				return d, position, nil
			}
			w.printProgress(d, time.Now())
		case ctx.Err() == nil && !errors.Is(err, context.DeadlineExceeded) && asFailure(err).kind != client.Unavailable:
			return d, "", err
		case ctx.Err() == nil && unreachable(err): // and not only busy
			w.reportServer(err)
		}
		if clock.Sleep(ctx, max(pollEvery, 3*time.Since(begun))) != nil {
			return d, "", &failure{code: exitPending, kind: "pending", text: "deployment " + id + " has not ended",
				hint: "it continues; `drover describe deployment " + id + "` shows its state, and `drover cancel " + id +
					"` cancels it"}
		}
	}
}

// reportServer prints once that no server answers, and once that one answers again.
func (w *waiter) reportServer(err error) {
	switch lost := err != nil; {
	case lost == w.lost:
		return
	case lost:
		w.app.info("connection to the server lost: %s; waiting for a server", asFailure(err).text)
	default:
		w.app.info("connected again")
	}
	w.lost = err != nil
}

func ended(d explain.Deployment) bool {
	return d.State == "succeeded" || d.State == "failed" || d.State == "cancelled"
}

// printProgress updates the status line, or prints a milestone. It also prints the first machine of each kind of failure.
func (w *waiter) printProgress(d explain.Deployment, now time.Time) {
	if by := d.SupersededBy; by != nil && !w.replaced {
		w.replaced = true
		w.app.info("deployment %s is %s; waiting for the machines that have started", d.ID, by)
	}
	w.printFailures(d)
	t := tallyOf(d)
	w.samples = addSample(w.samples, sample{now, t.ended()})
	switch text := t.line(w.samples); {
	case w.app.errorsAsJSON(): // stderr contains only errors
	case w.line != nil:
		w.line.show(text, t.ended(), t.total)
	case w.milestones.due(t, now):
		w.app.info("%s", text)
	}
}

// maxFailureLines bounds how many kinds of failures are printed.
const maxFailureLines = 10

// printFailures prints the first machine of each new kind of failure. A deployment to one machine ends with its failure,
// so that only the result is printed.
func (w *waiter) printFailures(d explain.Deployment) {
	if len(d.Machines) == 1 {
		return
	}
	for i, g := range explain.GroupFailures(d.Machines) {
		known := slices.ContainsFunc(g.Machines, func(name string) bool { return w.reported[name] })
		for _, name := range g.Machines {
			w.reported[name] = true
		}
		if !known && i < maxFailureLines {
			w.app.info("%s failed: %s", g.Machines[0], g.What())
		}
	}
}

// finish prints the result of an ended deployment and returns an error unless it succeeded.
func (w *waiter) finish(ctx context.Context, d explain.Deployment) error {
	w.line.clear()
	if w.app.structured() {
		if err := w.app.value(d); err != nil {
			return err
		}
	}
	groups := explain.GroupFailures(d.Machines)
	for _, g := range groups[:min(len(groups), maxFailureLines)] {
		w.app.info("%s", g)
	}
	if more := len(groups) - maxFailureLines; more > 0 {
		w.app.info("and %s of failures; `drover describe deployment %s --state failed` lists all", plural(more, "other kind"), d.ID)
	}
	f := w.result(ctx, d)
	f.text = fmt.Sprintf("deployment %s of %s %s to %s %s", d.ID, d.Project, d.Release, d.Environment, d.State) + f.text
	if f.code != exitOK {
		return f
	}
	w.app.info("%s", f.Error())
	return nil
}

// result returns the exit code of an ended deployment, the end of the sentence about it, and what to do next.
func (w *waiter) result(ctx context.Context, d explain.Deployment) *failure {
	switch {
	case d.SupersededBy != nil && d.State == "cancelled":
		return &failure{code: exitSuperseded, kind: "superseded",
			text: ": " + d.SupersededBy.String() + w.app.whoDeployed(ctx, d.SupersededBy.ID) + " (" + countByState(d) + ")",
			hint: "`drover describe deployment " + d.SupersededBy.ID + "` shows that one"}
	case d.State != "succeeded":
		return &failure{code: exitFailed, kind: d.State, hint: w.app.nextSteps(ctx, d),
			text: cancelledText(d) + failuresText(d) + ": " + countByState(d)}
	case len(d.Machines) == 0 && w.complete:
		return &failure{text: ": all machines already have the release"}
	case !reached(d) && w.allowEmpty:
		return &failure{text: emptyText(d)}
	case !reached(d):
		return &failure{code: exitEmpty, kind: "empty", text: emptyText(d),
			hint: "with --allow-empty, this is a success"}
	}
	return &failure{text: failuresText(d) + ": " + countByState(d), hint: w.app.nextSteps(ctx, d)}
}

// reached reports whether a deployment started on a machine.
func reached(d explain.Deployment) bool {
	return slices.ContainsFunc(d.Machines, func(m explain.DeploymentMachine) bool {
		return m.StartedAt != nil || m.State == string(domain.PartSucceeded)
	})
}

// emptyText explains why a deployment reached no machine.
func emptyText(d explain.Deployment) string {
	if len(d.Machines) == 0 {
		return ": it covered no machines; machines that join later get this release"
	}
	return ", but nothing was deployed: " + skippedText(d)
}

// cancelledText states why the machines of a cancelled deployment did not get it, if that was not `drover cancel`.
func cancelledText(d explain.Deployment) string {
	if d.State != "cancelled" {
		return ""
	}
	for _, m := range d.Machines {
		reason := domain.PartReason(m.Reason)
		if m.State == string(domain.PartCancelled) && reason != domain.DeploymentStopped && reason != "" {
			return ", because " + reason.Text()
		}
	}
	return ""
}

// failuresText compares the failures of a deployment with its maxFailures.
func failuresText(d explain.Deployment) string {
	if d.MaxFailures == nil || d.Failures == 0 {
		return ""
	}
	return fmt.Sprintf(" with %s (maxFailures %s)", plural(d.Failures, "failure"), d.MaxFailures)
}

// deployment returns the id of a deployment that a person named by its id or by the beginning of it. The server decides
// whether only one deployment begins so.
func (a *app) deployment(ctx context.Context, text string) (string, error) {
	text = strings.TrimPrefix(text, "deployment/") // -o name prints it
	if _, err := uuid.Parse(text); err == nil {
		return text, nil
	}
	var d explain.Deployment
	err := a.read(ctx, client.Path("deployments", text), nil, &d)
	return d.ID, err
}

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
	if len(texts) == 0 {
		return "no machines"
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
