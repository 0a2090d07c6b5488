package scenario

import (
	"fmt"
	"slices"
	"strings"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/rollout"
)

// heartbeat lets the server that holds an agent's session hear of it, if it does.
func (st *stage) heartbeat(a *agent) {
	if a.unheard() != "" {
		return
	}
	if m := a.server.fold().Machines[a.machine]; m != nil && m.Online && m.Session == a.session {
		a.server.Heartbeat(a.machine, m.Connect)
		a.told(a.server)
	}
}

// goesOffline says goodbye.
func (st *stage) goesOffline(s *server, a *agent, _ []string) ([]string, error) {
	a.server = nil
	return st.send(s, domain.ID{}, domain.DisconnectMachine{Name: a.machine, Reason: "reported"})
}

// fallsSilent cuts the agent off: nobody is told.
func (st *stage) fallsSilent(_ *server, a *agent, _ []string) ([]string, error) {
	if text := a.unheard(); text != "" && (a.server == nil || a.server.stopped == nil) {
		return []string{text}, nil
	}
	a.silent = true
	return []string{"ok unchanged"}, nil
}

// isHeard ends the silence of a session that stands. If the log had ended it, its server says that the machine is online.
func (st *stage) isHeard(s *server, a *agent, _ []string) ([]string, error) {
	a.silent = false
	if text := a.unheard(); text != "" {
		return []string{text}, nil
	}
	if err := s.CatchUp(st.ctx); err != nil {
		return nil, err
	}
	if m := s.fold().Machines[a.machine]; m == nil || m.Online {
		st.heartbeat(a)
		return []string{"ok unchanged"}, nil
	}
	return st.connect(s, a)
}

// isReimaged makes the disk new: another instance that knows nothing. It still has to join or come online.
func (st *stage) isReimaged(_ *server, a *agent, _ []string) ([]string, error) {
	a.reimage(st)
	return []string{"ok unchanged"}, nil
}

// isCloned lets a copy of the disk say hello. As long as the session that it was copied from lives, it is refused.
func (st *stage) isCloned(s *server, a *agent, _ []string) ([]string, error) {
	if err := s.CatchUp(st.ctx); err != nil {
		return nil, err
	}
	m := s.fold().Machines[a.machine]
	for _, holder := range st.servers {
		if m != nil && m.Online && m.Instance == a.instance && m.Server == holder.Server() && holder.works() && holder.HoldsSession(m.Connect, 0) {
			return []string{fmt.Sprintf("rejected: machine %s is online with another session of this instance", a.machine)}, nil
		}
	}
	a.newSession(st)
	return st.connect(s, a)
}

// unheard says why nobody hears an agent; empty if its server does.
func (a *agent) unheard() string {
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

func reportHealth(status domain.Health) func(*stage, *server, *agent, []string) ([]string, error) {
	return func(st *stage, s *server, a *agent, line []string) ([]string, error) {
		if text := a.unheard(); text != "" {
			return []string{text}, nil
		}
		return st.send(s, domain.ID{}, domain.ReportHealth{Name: a.machine, Session: a.session, Status: status, Detail: strings.Join(line, " ")})
	}
}

// claims asks for the part that the machine is offered, or for that of the named deployment.
func (st *stage) claims(s *server, a *agent, line []string) ([]string, error) {
	w, err := st.words(s, "claims DEPLOYMENT", line)
	if text := a.unheard(); err != nil || text != "" {
		return []string{text}, err
	}
	if err := s.CatchUp(st.ctx); err != nil {
		return nil, err
	}
	var id domain.ID
	if len(w.args) == 1 {
		if id, err = st.deployment(w.args[0]); err != nil {
			return nil, err
		}
	} else if part := rollout.Work(s.fold(), a.machine); part != nil {
		id = part.Deployment.ID
	} else {
		return []string{"nothing to claim"}, nil
	}
	answer, err := st.send(s, domain.ID{}, domain.ClaimPart{Deployment: id, Machine: a.machine, Session: a.session, Instance: a.instance})
	if err != nil {
		return nil, err
	}
	if part := s.fold().World().Part(id, a.machine); part != nil && part.State == domain.PartRunning && part.Session == a.session &&
		!slices.Contains(a.running, id) {
		a.running = append(a.running, id)
	}
	return naming(answer, id), nil
}

// naming says in the first line of an answer which deployment it is about.
func naming(answer []string, id domain.ID) []string {
	if strings.HasPrefix(answer[0], "ok #") {
		answer[0] += " " + id.String()
	}
	return answer
}

func reportEnd(state domain.PartState) func(*stage, *server, *agent, []string) ([]string, error) {
	usage := "succeeds DEPLOYMENT"
	if state == domain.PartFailed {
		usage = "fails DEPLOYMENT --step NAME --exit CODE"
	}
	return func(st *stage, s *server, a *agent, line []string) ([]string, error) {
		w, err := st.words(s, usage, line)
		if text := a.unheard(); err != nil || text != "" {
			return []string{text}, err
		}
		if len(w.args)+len(a.running) == 0 {
			return []string{"nothing to end"}, nil
		}
		id, err := st.ending(a, w.args)
		if err != nil {
			return nil, err
		}
		end := domain.EndPart{Deployment: id, Machine: a.machine, Session: a.session, Instance: a.instance, State: state, Step: w.flag("step")}
		if state == domain.PartFailed {
			end.Reason = domain.StepFailed
		}
		if code := w.number("exit"); code != nil {
			end.ExitCode = *code
		}
		if w.err != nil {
			return nil, w.err
		}
		answer, err := st.send(s, domain.ID{}, end)
		if state == domain.PartSucceeded && err == nil {
			a.remembers(s, id)
		}
		if err == nil && strings.HasPrefix(answer[0], "ok") {
			a.running = slices.DeleteFunc(a.running, func(o domain.ID) bool { return o == id })
		}
		return naming(answer, id), err
	}
}

// ending is the part that a report is about: the named one, else the one that the agent runs.
func (st *stage) ending(a *agent, args []string) (domain.ID, error) {
	if len(args) == 1 {
		return st.deployment(args[0])
	}
	return a.running[len(a.running)-1], nil
}
