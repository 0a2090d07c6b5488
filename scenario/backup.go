package scenario

import (
	"bytes"
	"fmt"

	"github.com/google/uuid"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/memory"
)

// restorableLog is a log in memory that can be replaced by a backup while servers run.
type restorableLog struct {
	*memory.Log
	backup eventlog.Position
}

// backup makes a backup of the log.
func (r *runner) backup(b *block) ([]string, error) {
	if _, _, err := r.header(b, 0); err != nil {
		return nil, err
	}
	r.log.backup = r.head()
	return []string{"ok #" + r.log.backup.String()}, nil
}

// restore replaces the log with the backup. Running servers are not notified.
func (r *runner) restore(b *block) ([]string, error) {
	words, _, err := r.header(b, 1)
	if err != nil {
		return nil, err
	}
	if len(words) == 0 || r.log.backup == 0 {
		return nil, r.wrong("add a backup block above; usage: "+blockOf(b.name).usage, "the time or the backup is missing")
	}
	if err := r.at(words[0]); err != nil {
		return nil, err
	}
	lost := r.head() - r.log.backup
	id, err := r.log.ID(r.ctx)
	if err != nil {
		return nil, err
	}
	older := memory.Open(memory.Config{ID: id})
	for rec, err := range r.log.ReadAll(r.ctx, 0, int(r.log.backup)) {
		if err != nil {
			return nil, err
		}
		if _, err := older.Append(r.ctx, rec.Stream, rec.Revision-1, rec.Event); err != nil {
			return nil, err
		}
	}
	r.log.Log = older
	r.learn()
	return []string{fmt.Sprintf("ok: the log ends at #%s again, %d events are lost", r.log.backup, lost)}, nil
}

// importLog exports the log and imports the archive into a new log. Running servers are not notified.
func (r *runner) importLog(b *block) ([]string, error) {
	words, _, err := r.header(b, 1)
	if err != nil {
		return nil, err
	}
	if len(words) == 0 {
		return nil, r.wrong("usage: "+blockOf(b.name).usage, "the time is missing")
	}
	if err := r.at(words[0]); err != nil {
		return nil, err
	}
	var text bytes.Buffer
	if _, err := eventlog.Export(r.ctx, r.log, &text, nil); err != nil {
		return nil, err
	}
	archive, err := eventlog.OpenArchive(&text)
	if err != nil {
		return nil, err
	}
	moved := memory.Open(memory.Config{ID: archive.ID()})
	added, err := archive.Import(r.ctx, moved, nil)
	if err != nil {
		return nil, err
	}
	r.log.Log = moved
	return []string{fmt.Sprintf("ok: %d events", added)}, nil
}

// agentMemory is what an agent remembers of the log. A real agent stores it in its data folder.
type agentMemory struct {
	engine.AgentMemory
	known bool
}

// observe records what the agent learns from its server, unless the server has detected a restored log.
func (a *agent) observe(s *server) {
	if s.LostEvents() != nil || a.doubted(s) || !a.memory.known {
		return
	}
	v, stream := s.fold(), domain.MachineStream(a.machine)
	if revision := v.Revision(stream); revision > a.memory.Revision || a.memory.Event.IsZero() {
		a.memory.Revision, a.memory.Event = revision, v.Newest(stream)
	}
}

// doubted reports whether the log does not have what the agent remembers.
func (a *agent) doubted(s *server) bool {
	v := s.fold()
	m := v.Machines[a.machine]
	return m != nil && v.DoubtOf(m) != nil
}

// forget resets the memory of the agent if the server has another log.
func (a *agent) forget(log uuid.UUID) {
	if !a.memory.known || a.memory.Log != log {
		a.memory = agentMemory{known: true, AgentMemory: engine.AgentMemory{Log: log, LogSigned: true, Successes: map[string]domain.ID{},
			Deployments: map[string]domain.ID{}}}
	}
}

// recordSuccess records a success and the event that proves it.
func (a *agent) recordSuccess(s *server, id domain.ID) {
	v := s.fold()
	project, proof := "", v.Newest(domain.PartStream(id, a.machine))
	if d := v.Deployments[id]; d != nil {
		project = d.Project.Name
	}
	if project != "" && !proof.IsZero() && a.memory.known {
		a.memory.Successes[project], a.memory.Deployments[project] = proof, id
	}
}

// compare sends a server what an agent remembers, before the agent learns anything new. It returns the events that
// followed, or a rejection.
func (r *runner) compare(s *server, a *agent) ([]string, error) {
	behind := r.head()
	if a.memory.known {
		err := s.CheckAgentMemory(r.ctx, a.machine, a.memory.AgentMemory)
		if answer, refused := r.refusal(err); refused {
			return []string{answer}, nil
		}
		if err != nil {
			return nil, err
		}
	}
	if err := r.prove(s, a); err != nil {
		return nil, err
	}
	if s.LostEvents() == nil && !a.doubted(s) { // until then, the servers need the memory
		a.forget(s.LogID())
	}
	a.observe(s)
	lines := r.then(behind)
	if err := s.LostEvents(); err != nil {
		lines = append(lines, "doubted: "+err.Error())
	} else if v := s.fold(); v.Machines[a.machine] != nil {
		if doubt := v.DoubtOf(v.Machines[a.machine]); doubt != nil {
			lines = append(lines, "doubted: machine "+a.machine+" remembers "+doubt.Missing)
		}
	}
	return lines, nil
}
