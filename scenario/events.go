package scenario

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections"
)

// eventKind is a type of event that a file can append without any checks, as another server or a fault could.
type eventKind struct {
	usage string
	event func(*words, *projections.Machine) domain.Event
}

func eventKinds() []eventKind {
	return []eventKind{
		{"MachineAdded MACHINE --environment E --role R… --policy P", func(w *words, _ *projections.Machine) domain.Event {
			return domain.MachineAdded{Environment: w.need("environment"), Roles: domain.SortedUnique(w.flags["role"]),
				Policy: w.flag("policy")}
		}},
		{"MachineChanged MACHINE --environment E --role R… --policy P", func(w *words,
			_ *projections.Machine) domain.Event {
			return domain.MachineChanged{Environment: w.need("environment"), Roles: domain.SortedUnique(w.flags["role"]),
				Policy: w.flag("policy")}
		}},
		{"MachineEnabled MACHINE", func(*words, *projections.Machine) domain.Event { return domain.MachineEnabled{} }},
		{"MachineDisabled MACHINE", func(*words, *projections.Machine) domain.Event { return domain.MachineDisabled{} }},
		{"MachineCameOnline MACHINE", func(w *words, _ *projections.Machine) domain.Event {
			a := w.runner.openSession(w.server, w.arg(0))
			return domain.MachineCameOnline{Server: w.server.Server(), Session: a.session, Instance: a.instance}
		}},
		{"AgentConnected MACHINE", func(w *words, _ *projections.Machine) domain.Event {
			a := w.runner.openSession(w.server, w.arg(0))
			return domain.AgentConnected{Server: w.server.Server(), Session: a.session, Instance: a.instance}
		}},
		{"MachineWentOffline MACHINE --connect #POSITION", wentOffline},
		{"MachineHealthChanged MACHINE --status S", func(w *words, m *projections.Machine) domain.Event {
			return domain.MachineHealthChanged{Status: domain.Health(w.need("status")), Session: m.Session}
		}},
		{"MachineDeleted MACHINE", func(*words, *projections.Machine) domain.Event { return domain.MachineDeleted{} }},
		{"PartClaimed MACHINE DEPLOYMENT --session NAME", func(w *words, m *projections.Machine) domain.Event {
			return domain.PartClaimed{Project: w.project(), Session: w.session(m), Instance: m.Instance}
		}},
		{"PartEnded MACHINE DEPLOYMENT STATE", func(w *words, m *projections.Machine) domain.Event {
			return domain.PartEnded{Project: w.project(), State: domain.PartState(w.arg(2)), Session: m.Session}
		}},
	}
}

// openSession gives a server a new session of a machine's agent.
func (r *runner) openSession(s *server, machine string) *agent {
	a := r.agent(machine)
	a.newSession(r)
	a.server, a.silent = s, false
	return a
}

func wentOffline(w *words, m *projections.Machine) domain.Event {
	e := domain.MachineWentOffline{Connect: m.Connect, Session: m.Session, Instance: m.Instance, Reason: "silent"}
	text := w.flag("connect")
	if text == "" {
		return e
	}
	p, ok := w.runner.position(text)
	if ok && p > 0 && p <= w.runner.head() {
		e.Connect = domain.ID(w.runner.after(p - 1)[0].ID)
		return e
	}
	w.note(w.runner.wrong("use the form #12", "invalid --connect %.40q", text))
	return e
}

// project returns the project of the deployment that the second word names.
func (w *words) project() string {
	id, err := w.runner.deployment(w.arg(1))
	w.note(err)
	if d := w.server.fold().Deployments[id]; d != nil {
		return d.Project.Name
	}
	return ""
}

// session returns the session that --session names, or the machine's newest session.
func (w *words) session(m *projections.Machine) domain.ID {
	name := w.flag("session")
	if name == "" {
		return m.Session
	}
	id, ok := w.runner.names.byName[name]
	if !ok {
		w.note(w.runner.wrong("use the form web-01/session1", "unknown --session %.40q", name))
	}
	return id
}

// raw is the usage of an event with any type and content.
const raw = "Raw STREAM TYPE JSON"

// events appends events. Servers react to them with the next tick or report.
func (r *runner) events(b *block) ([]string, error) {
	var first eventlog.Position
	output, err := r.lines(b, func(s *server, line []string) ([]string, error) {
		if err := s.CatchUp(r.ctx); err != nil {
			return nil, err
		}
		if first == 0 {
			first = r.head() + 1
		}
		note, err := r.put(s, line)
		if err != nil {
			return nil, err
		}
		return note, s.CatchUp(r.ctx)
	})
	if err != nil || first == 0 {
		return output, err
	}
	return append([]string{span(first, r.head())}, output...), nil
}

// put appends one event. It returns a note if the event is a claim that does not count.
func (r *runner) put(s *server, line []string) (note []string, err error) {
	if line[0] == "Raw" {
		return nil, r.putRaw(s, line)
	}
	all := eventKinds()
	i := slices.IndexFunc(all, func(f eventKind) bool { return strings.Fields(f.usage)[0] == line[0] })
	if i < 0 {
		return nil, r.wrong("use one of: "+eventNames(), "unknown event %.40q", line[0])
	}
	w, err := r.words(s, all[i].usage, line[1:])
	if err != nil {
		return nil, err
	}
	return w.each(0, func(w *words) ([]string, error) { return r.putEvent(s, all[i], w) })
}

// putEvent appends the event of one machine.
func (r *runner) putEvent(s *server, kind eventKind, w *words) (note []string, err error) {
	if err := s.CatchUp(r.ctx); err != nil {
		return nil, err
	}
	m, stream := s.fold().Machines[w.arg(0)], domain.MachineStream(w.arg(0))
	if m == nil {
		m = &projections.Machine{}
	}
	e := kind.event(w, m)
	if w.err != nil {
		return nil, w.err
	}
	switch e := e.(type) {
	case domain.PartEnded:
		id, _ := r.deployment(w.arg(1))
		stream = domain.PartStream(id, w.arg(0))
	case domain.PartClaimed:
		id, _ := r.deployment(w.arg(1))
		stream = domain.PartStream(id, w.arg(0))
		if reason := s.fold().World().ClaimCheck(id, w.arg(0), e.Session); reason != "" {
			note = []string{fmt.Sprintf("void #%s: %s", r.head()+1, reason)}
		}
	}
	typeName, data, err := domain.Encode(e)
	if err != nil {
		return nil, err
	}
	return note, r.appendRaw(s, stream, typeName, data)
}

func (r *runner) putRaw(s *server, line []string) error {
	if len(line) < 4 {
		return r.wrong("usage: "+raw, "an argument is missing")
	}
	r.learn()
	data := r.names.restore(strings.Join(line[3:], " "))
	if !json.Valid([]byte(data)) {
		return r.wrong("quote it with '…'", "invalid JSON %.60q", data)
	}
	return r.appendRaw(s, r.names.stream(line[1]), line[2], []byte(data))
}

func (r *runner) appendRaw(s *server, stream, typeName string, data []byte) error {
	r.last.count++
	event := eventlog.Event{ID: uuid.UUID(r.id("fact", stream, r.last.count)), Type: typeName,
		Time: r.clock.Now(), Data: data}
	if _, err := r.log.Append(r.ctx, stream, s.fold().Revision(stream), event); err != nil {
		return r.wrong("", "the log rejected the event: %s", err)
	}
	return nil
}

func eventNames() string {
	var all []string
	for _, f := range eventKinds() {
		all = append(all, strings.Fields(f.usage)[0])
	}
	return strings.Join(append(all, raw), ", ")
}
