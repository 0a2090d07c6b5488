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

// confirm tells before anything is written that nobody is there to take a release, and asks on a terminal whether that is
// meant. An environment without any machine is where each fleet begins: that is said, and not asked.
func (s *shell) confirm(ctx context.Context, d deployment, yes bool) error {
	var reach explain.Reach
	switch err := s.post(ctx, client.Path("deployments", "reach"), d, &reach); {
	case err == nil:
	case isAnswer(err):
		return nil // the deployment itself is refused for the same reason, or an older server does not know the question
	default:
		return err
	}
	switch {
	case reach.Ready > 0:
		return nil
	case reach.Machines == 0:
		s.say("no machine of project %s is in %s yet: nothing runs now", d.Project, d.Environment)
		return nil
	}
	s.say("%s", nobodyThere(reach, d))
	switch {
	case yes || !isTerminal(s.In):
		return nil
	case !isTerminal(s.Err): // somebody is there, and would not see the question
		return notDeployed()
	}
	return s.allTheSame("Deploy all the same?")
}

// isAnswer says that a server has answered, although with a problem.
func isAnswer(err error) bool {
	var problem *client.Problem
	return errors.As(err, &problem) && problem.Status != 0 && problem.Kind != client.Unavailable
}

// nobodyThere says that none of the machines can take a release now, and what becomes of them.
func nobodyThere(r explain.Reach, d deployment) string {
	how := "offline"
	switch {
	case r.Offline == 0:
		how = "disabled"
	case r.Disabled > 0:
		how = fmt.Sprintf("offline (%d) or disabled (%d)", r.Offline, r.Disabled)
	}
	them := fmt.Sprintf("all %d machines of project %s in %s are %s", r.Machines, d.Project, d.Environment, how)
	if r.Machines == 1 {
		them = fmt.Sprintf("the only machine of project %s in %s is %s", d.Project, d.Environment, how)
	}
	if len(d.Machines) > 0 {
		them = "what was named is " + how
	}
	switch {
	case r.Unavailable == "fail":
		return them + ": the deployment will fail"
	case r.Machines == 1:
		return them + ": it is skipped now"
	}
	return them + ": they are skipped now"
}

// allTheSame wants a y from whoever sits at the terminal.
func (s *shell) allTheSame(question string) error {
	if _, err := fmt.Fprint(s.Err, question+" [y/N] "); err != nil {
		return fmt.Errorf("ask on the terminal: %w", err)
	}
	answer, err := bufio.NewReader(s.In).ReadString('\n')
	if strings.EqualFold(strings.TrimSpace(answer), "y") || strings.EqualFold(strings.TrimSpace(answer), "yes") {
		return nil
	}
	if err != nil {
		s.say("") // no line end came
	}
	return notDeployed()
}

func notDeployed() error {
	return &failure{code: exitError, kind: "declined", text: "nothing was deployed", hint: "--yes deploys without a question"}
}
