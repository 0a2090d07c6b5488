package scenario

import (
	"fmt"
	"slices"
	"strings"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/rollout"
)

// heartbeat delivers a heartbeat to the server that holds the agent's session, if the agent can reach it.
func (r *runner) heartbeat(a *agent) {
	if a.unreachable() != "" {
		return
	}
	if m := a.server.fold().Machines[a.machine]; m != nil && m.Online && m.Session == a.session {
		a.server.Heartbeat(a.machine, m.Connect)
		a.server.AgentClock(a.machine, r.clock.Now()) // the clocks of agents are right
		a.observe(a.server)
	}
}

// goOffline ends the session gracefully.
func (r *runner) goOffline(s *server, a *agent, _ []string) ([]string, error) {
	a.server = nil
	return r.send(s, domain.ID{}, domain.DisconnectMachine{Name: a.machine, Reason: "reported"})
}

// deleteItself ends the session and asks for the deletion of the machine.
func (r *runner) deleteItself(s *server, a *agent, line []string) ([]string, error) {
	left, err := r.goOffline(s, a, line)
	if err != nil {
		return nil, err
	}
	deleted, err := r.send(s, domain.ID{}, domain.DeleteMachine{Name: a.machine, Reason: domain.EphemeralReason,
		Session: a.session, Origin: domain.By("agent")})
	return append(left, deleted...), err
}

// fallSilent cuts the agent off without notice.
func (r *runner) fallSilent(_ *server, a *agent, _ []string) ([]string, error) {
	if text := a.unreachable(); text != "" && (a.server == nil || a.server.stopped == nil) {
		return []string{text}, nil
	}
	a.silent = true
	return []string{"ok unchanged"}, nil
}

// resumeHeartbeats ends the silence of a session. If the log has ended the session meanwhile, the agent connects again.
func (r *runner) resumeHeartbeats(s *server, a *agent, _ []string) ([]string, error) {
	a.silent = false
	if text := a.unreachable(); text != "" {
		return []string{text}, nil
	}
	if err := s.CatchUp(r.ctx); err != nil {
		return nil, err
	}
	if m := s.fold().Machines[a.machine]; m == nil && !a.returns(s.fold()) || m != nil && m.Online {
		r.heartbeat(a)
		return []string{"ok unchanged"}, nil
	}
	return r.connect(s, a)
}

// replaceDisk gives the machine a new disk: it becomes another instance, which still has to join or come online. It has a
// join token that is bound to the machine.
func (r *runner) replaceDisk(_ *server, a *agent, _ []string) ([]string, error) {
	a.reimage(r)
	return []string{"ok unchanged"}, nil
}

// replaceHost makes another host use the name of the machine. Nobody has permitted it to take the place of the machine's
// instance.
func (r *runner) replaceHost(_ *server, a *agent, _ []string) ([]string, error) {
	a.reimage(r)
	a.stranger = true
	return []string{"ok unchanged"}, nil
}

// cloneDisk connects a copy of the disk. The copy is rejected while the original session is alive.
func (r *runner) cloneDisk(s *server, a *agent, _ []string) ([]string, error) {
	if err := s.CatchUp(r.ctx); err != nil {
		return nil, err
	}
	m := s.fold().Machines[a.machine]
	for _, holder := range r.servers {
		if m != nil && m.Online && m.Instance == a.instance && m.Server == holder.Server() && holder.isRunning() &&
			holder.HoldsSession(m.Connect, 0) {
			return []string{fmt.Sprintf("rejected: machine %s is online with another session of this instance", a.machine)}, nil
		}
	}
	a.newSession(r)
	return r.connect(s, a)
}

// unreachable returns why no server receives messages from an agent. It is empty if a server does.
func (a *agent) unreachable() string {
	switch {
	case a.server == nil || a.server.down:
		return "unheard: machine " + a.machine + " has no session"
	case a.silent:
		return "unheard: machine " + a.machine + " is silent"
	case a.server.stopped != nil:
		return "unheard: server " + a.server.name + " is stopped"
	}
	return ""
}

func reportHealth(status domain.Health) func(*runner, *server, *agent, []string) ([]string, error) {
	return func(r *runner, s *server, a *agent, line []string) ([]string, error) {
		if text := a.unreachable(); text != "" {
			return []string{text}, nil
		}
		return r.send(s, domain.ID{}, domain.ReportHealth{Name: a.machine, Session: a.session, Status: status,
			Detail: strings.Join(line, " ")})
	}
}

// reportConditions reports one condition of the machine, or that all have ended.
func (r *runner) reportConditions(s *server, a *agent, line []string) ([]string, error) {
	if text := a.unreachable(); text != "" {
		return []string{text}, nil
	}
	command := domain.ReportConditions{Name: a.machine, Session: a.session}
	switch kind := domain.ConditionKind(strings.Join(line[:min(len(line), 1)], "")); {
	case kind == "nothing":
	case kind.Known():
		command.Conditions = []domain.Condition{{Kind: kind, Detail: strings.Join(line[1:], " ")}}
	default:
		return nil, r.wrong(fmt.Sprintf("use nothing, or one of %q", domain.ConditionKinds()), "unknown condition %.40q", string(kind))
	}
	return r.send(s, domain.ID{}, command)
}

// claim claims the part that the machine is offered, or that of the named deployment.
func (r *runner) claim(s *server, a *agent, line []string) ([]string, error) {
	w, err := r.words(s, "claims DEPLOYMENT", line)
	if text := a.unreachable(); err != nil || text != "" {
		return []string{text}, err
	}
	if err := s.CatchUp(r.ctx); err != nil {
		return nil, err
	}
	var id domain.ID
	if len(w.args) == 1 {
		if id, err = r.deployment(w.args[0]); err != nil {
			return nil, err
		}
	} else if part := rollout.Work(s.fold(), a.machine); part != nil {
		id = part.Deployment.ID
	} else {
		return []string{"nothing to claim"}, nil
	}
	answer, err := r.send(s, domain.ID{}, domain.ClaimPart{Deployment: id, Machine: a.machine,
		Session: a.session, Instance: a.instance})
	if err != nil {
		return nil, err
	}
	if part := s.fold().World().Part(id, a.machine); part != nil && part.State == domain.PartRunning &&
		part.Session == a.session &&
		!slices.Contains(a.running, id) {
		a.running = append(a.running, id)
	}
	return withDeployment(answer, id), nil
}

// withDeployment adds the deployment to the first line of an answer.
func withDeployment(answer []string, id domain.ID) []string {
	if strings.HasPrefix(answer[0], "ok #") {
		answer[0] += " " + id.String()
	}
	return answer
}

const (
	failsUsage  = "fails DEPLOYMENT --step NAME --exit CODE"
	killedUsage = "killed DEPLOYMENT --step NAME --exit CODE"
)

// reportEnd returns the function of a keyword that reports the end of a part.
func reportEnd(usage string, state domain.PartState,
	reason domain.PartReason) func(*runner, *server, *agent, []string) ([]string, error) {
	return func(r *runner, s *server, a *agent, line []string) ([]string, error) {
		w, err := r.words(s, usage, line)
		if text := a.unreachable(); err != nil || text != "" {
			return []string{text}, err
		}
		if len(w.args)+len(a.running) == 0 {
			return []string{"nothing to end"}, nil
		}
		id, err := r.ending(a, w.args)
		if err != nil {
			return nil, err
		}
		end := domain.EndPart{Deployment: id, Machine: a.machine, Session: a.session, Instance: a.instance,
			State: state, Reason: reason}
		if reason == domain.KilledByPerson && !isKilled(s.fold(), a.machine, id) {
			return []string{"nothing to stop"}, nil
		}
		if end.Step, err = r.stepName(s.fold(), id, w.flag("step")); err != nil {
			return nil, err
		}
		if code := w.number("exit"); code != nil {
			end.ExitCode = *code
		}
		if w.err != nil {
			return nil, w.err
		}
		answer, err := r.send(s, domain.ID{}, end)
		if state == domain.PartSucceeded && err == nil {
			a.recordSuccess(s, id)
		}
		if err == nil && strings.HasPrefix(answer[0], "ok") {
			a.running = slices.DeleteFunc(a.running, func(o domain.ID) bool { return o == id })
		}
		return withDeployment(answer, id), err
	}
}

// isKilled reports whether the server asks the agent to stop its part of a deployment.
func isKilled(v *projections.View, machine string, id domain.ID) bool {
	return slices.ContainsFunc(rollout.Killed(v, machine), func(p *projections.Part) bool { return p.Deployment.ID == id })
}

// ending returns the deployment that a report refers to: the named one, or the one that the agent runs.
func (r *runner) ending(a *agent, args []string) (domain.ID, error) {
	if len(args) == 1 {
		return r.deployment(args[0])
	}
	return a.running[len(a.running)-1], nil
}
