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

// fact is one kind of fact that a file can put into the log past all rules, as a server elsewhere would
// have written it, or a fault.
type fact struct {
	usage string
	event func(*words, *projections.Machine) domain.Event
}

func facts() []fact {
	return []fact{
		{"MachineAdded MACHINE --environment E --role R… --policy P", func(w *words, _ *projections.Machine) domain.Event {
			return domain.MachineAdded{Environment: w.need("environment"), Roles: domain.Names(w.flags["role"]), Policy: w.flag("policy")}
		}},
		{"MachineChanged MACHINE --environment E --role R… --policy P", func(w *words, _ *projections.Machine) domain.Event {
			return domain.MachineChanged{Environment: w.need("environment"), Roles: domain.Names(w.flags["role"]), Policy: w.flag("policy")}
		}},
		{"MachineEnabled MACHINE", func(*words, *projections.Machine) domain.Event { return domain.MachineEnabled{} }},
		{"MachineDisabled MACHINE", func(*words, *projections.Machine) domain.Event { return domain.MachineDisabled{} }},
		{"MachineCameOnline MACHINE", func(w *words, _ *projections.Machine) domain.Event {
			a := w.stage.holds(w.server, w.arg(0))
			return domain.MachineCameOnline{Server: w.server.Server(), Session: a.session, Instance: a.instance}
		}},
		{"AgentConnected MACHINE", func(w *words, _ *projections.Machine) domain.Event {
			a := w.stage.holds(w.server, w.arg(0))
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

// holds lets a server hold a new session of a machine's agent.
func (st *stage) holds(s *server, machine string) *agent {
	a := st.agent(machine)
	a.newSession(st)
	a.server, a.silent = s, false
	return a
}

func wentOffline(w *words, m *projections.Machine) domain.Event {
	e := domain.MachineWentOffline{Connect: m.Connect, Session: m.Session, Instance: m.Instance, Reason: "silent"}
	text := w.flag("connect")
	if text == "" {
		return e
	}
	p, err := eventlog.ParsePosition(strings.TrimPrefix(text, "#"))
	if err == nil && p > 0 && p <= w.stage.head() {
		e.Connect = domain.ID(w.stage.after(p - 1)[0].ID)
		return e
	}
	w.note(w.stage.wrong("name an event as #12", "invalid --connect %.40q", text))
	return e
}

// project is that of the deployment that the second word names.
func (w *words) project() string {
	id, err := w.stage.deployment(w.arg(1))
	w.note(err)
	if d := w.server.fold().Deployments[id]; d != nil {
		return d.Project.Name
	}
	return ""
}

// session is the one that --session names, else the machine's newest.
func (w *words) session(m *projections.Machine) domain.ID {
	name := w.flag("session")
	if name == "" {
		return m.Session
	}
	id, ok := w.stage.names.byName[name]
	if !ok {
		w.note(w.stage.wrong("write it as web-01/session1", "unknown --session %.40q", name))
	}
	return id
}

// raw is the word for an event of any type and content.
const raw = "Raw STREAM TYPE JSON"

// events puts facts into the log. Nobody reacts to them before the next tick or report.
func (st *stage) events(b *block) ([]string, error) {
	var first eventlog.Position
	output, err := st.lines(b, func(s *server, line []string) ([]string, error) {
		if err := s.CatchUp(st.ctx); err != nil {
			return nil, err
		}
		note, err := st.put(s, line)
		if err != nil {
			return nil, err
		}
		if first == 0 {
			first = st.head()
		}
		return note, s.CatchUp(st.ctx)
	})
	if err != nil || first == 0 {
		return output, err
	}
	return append([]string{span(first, st.head())}, output...), nil
}

// put appends one fact. It says so if it is a claim that does not count.
func (st *stage) put(s *server, line []string) (note []string, err error) {
	if line[0] == "Raw" {
		return nil, st.putRaw(s, line)
	}
	all := facts()
	i := slices.IndexFunc(all, func(f fact) bool { return strings.Fields(f.usage)[0] == line[0] })
	if i < 0 {
		return nil, st.wrong("use one of: "+factNames(), "unknown event %.40q", line[0])
	}
	w, err := st.words(s, all[i].usage, line[1:])
	if err != nil {
		return nil, err
	}
	m, stream := s.fold().Machines[w.arg(0)], domain.MachineStream(w.arg(0))
	if m == nil {
		m = &projections.Machine{}
	}
	e := all[i].event(w, m)
	if w.err != nil {
		return nil, w.err
	}
	switch e := e.(type) {
	case domain.PartEnded:
		id, _ := st.deployment(w.arg(1))
		stream = domain.PartStream(id, w.arg(0))
	case domain.PartClaimed:
		id, _ := st.deployment(w.arg(1))
		stream = domain.PartStream(id, w.arg(0))
		if gate := s.fold().World().ClaimCheck(id, w.arg(0), e.Session); gate != "" {
			note = []string{fmt.Sprintf("void #%s: %s", st.head()+1, gate)}
		}
	}
	typeName, data, err := domain.Encode(e)
	if err != nil {
		return nil, err
	}
	return note, st.appendRaw(s, stream, typeName, data)
}

func (st *stage) putRaw(s *server, line []string) error {
	if len(line) < 4 {
		return st.wrong("write: "+raw, "a word is missing")
	}
	st.learn()
	data := st.names.restore(strings.Join(line[3:], " "))
	if !json.Valid([]byte(data)) {
		return st.wrong("quote it with '…'", "invalid JSON %.60q", data)
	}
	return st.appendRaw(s, st.names.stream(line[1]), line[2], []byte(data))
}

func (st *stage) appendRaw(s *server, stream, typeName string, data []byte) error {
	st.sent.count++
	event := eventlog.Event{ID: uuid.UUID(st.id("fact", stream, st.sent.count)), Type: typeName, Time: st.clock.Now(), Data: data}
	if _, err := st.log.Append(st.ctx, stream, s.fold().Revision(stream), event); err != nil {
		return st.wrong("", "the log refuses it: %s", err)
	}
	return nil
}

func factNames() string {
	var all []string
	for _, f := range facts() {
		all = append(all, strings.Fields(f.usage)[0])
	}
	return strings.Join(append(all, raw), ", ")
}
