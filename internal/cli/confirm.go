package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/explain"
)

// confirm warns before a deployment if none of its machines can take the release now, and asks on a terminal whether to
// continue. If the environment has no machines yet, it prints a note and does not ask. If the machines have the release
// already, waiting for the deployment is a success although it reaches none.
func (w *waiter) confirm(ctx context.Context, d deploymentRequest, yes bool) error {
	var reach explain.Reach
	switch err := w.app.post(ctx, client.Path("deployments", "reach"), d, &reach); {
	case err == nil:
	case isAnswer(err):
		return nil // the deployment is refused for the same reason, or an older server lacks this route
	default:
		return err
	}
	w.complete = reach.Machines == 0 && reach.Have > 0
	return w.app.confirmReach(d, reach, yes)
}

// confirmReach warns if no machine of a deployment is ready, and asks on a terminal whether to continue.
func (a *app) confirmReach(d deploymentRequest, reach explain.Reach, yes bool) error {
	switch {
	case reach.Ready > 0:
		return nil
	case reach.Machines == 0 && reach.Have > 0:
		a.info("the machines of project %s in %s have release %s already: nothing is deployed now", d.Project, d.Environment,
			d.Release)
		return nil
	case reach.Machines == 0 && len(d.Exclude) > 0:
		a.info("project %s has no machines in %s except the excluded ones: nothing is deployed now", d.Project,
			d.Environment)
		return nil
	case reach.Machines == 0:
		a.info("project %s has no machines in %s yet: nothing is deployed now", d.Project, d.Environment)
		return nil
	}
	a.info("%s", unavailableText(reach, d))
	switch {
	case yes || !isTerminal(a.In):
		return nil
	case !isTerminal(a.Err): // the user would not see the question
		return declined()
	}
	return a.askYes("Deploy anyway?")
}

// isAnswer reports whether err is a problem that a server answered with.
func isAnswer(err error) bool {
	var problem *client.Problem
	return errors.As(err, &problem) && problem.Status != 0 && problem.Kind != client.Unavailable
}

// unavailableText states why none of the machines can take a release now, and what the deployment does with them.
func unavailableText(r explain.Reach, d deploymentRequest) string {
	how := "offline"
	switch {
	case r.Offline == 0:
		how = "disabled"
	case r.Disabled > 0:
		how = fmt.Sprintf("offline (%d) or disabled (%d)", r.Offline, r.Disabled)
	}
	subject := fmt.Sprintf("all %d machines of project %s in %s are %s", r.Machines, d.Project, d.Environment, how)
	if r.Machines == 1 {
		subject = fmt.Sprintf("the only machine of project %s in %s is %s", d.Project, d.Environment, how)
	}
	switch {
	case len(d.Machines) > 0 && r.Machines == 1:
		subject = "the named machine is " + how
	case len(d.Machines) > 0:
		subject = "the named machines are " + how
	}
	switch {
	case r.Unavailable == "fail":
		return subject + ": the deployment will fail"
	case r.Machines == 1:
		return subject + ": it is skipped now"
	}
	return subject + ": they are skipped now"
}

// askYes asks a question on the terminal and returns an error unless the answer is y or yes.
func (a *app) askYes(question string) error {
	if _, err := fmt.Fprint(a.Err, question+" [y/N] "); err != nil {
		return fmt.Errorf("ask on the terminal: %w", err)
	}
	answer, err := bufio.NewReader(a.In).ReadString('\n')
	if strings.EqualFold(strings.TrimSpace(answer), "y") || strings.EqualFold(strings.TrimSpace(answer), "yes") {
		return nil
	}
	if err != nil {
		a.info("") // the answer ended without a newline
	}
	return declined()
}

func declined() error {
	return &failure{code: exitError, kind: "declined", text: "nothing was deployed",
		hint: "use --yes to deploy without confirmation"}
}
