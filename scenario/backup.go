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

// vault is the log of a file: one in memory, in whose place a backup can be put under servers that run.
type vault struct {
	*memory.Log
	backup eventlog.Position
}

// backup keeps the log as it is now.
func (st *stage) backup(b *block) ([]string, error) {
	if _, _, err := st.header(b, 0); err != nil {
		return nil, err
	}
	st.log.backup = st.head()
	return []string{"ok #" + st.log.backup.String()}, nil
}

// restore puts the backup in the place of the log. Servers that run are not told.
func (st *stage) restore(b *block) ([]string, error) {
	words, _, err := st.header(b, 1)
	if err != nil {
		return nil, err
	}
	if len(words) == 0 || st.log.backup == 0 {
		return nil, st.wrong("write `backup` somewhere above, and here: "+blockOf(b.name).usage, "there is no time, or nothing to restore")
	}
	if err := st.at(words[0]); err != nil {
		return nil, err
	}
	lost := st.head() - st.log.backup
	id, err := st.log.ID(st.ctx)
	if err != nil {
		return nil, err
	}
	older := memory.Open(memory.Config{ID: id})
	for rec, err := range st.log.ReadAll(st.ctx, 0, int(st.log.backup)) {
		if err != nil {
			return nil, err
		}
		if _, err := older.Append(st.ctx, rec.Stream, rec.Revision-1, rec.Event); err != nil {
			return nil, err
		}
	}
	st.log.Log = older
	st.learn()
	return []string{fmt.Sprintf("ok: the log ends at #%s again, %d events are lost", st.log.backup, lost)}, nil
}

// importLog moves the log to another place as an archive. Servers that run are not told.
func (st *stage) importLog(b *block) ([]string, error) {
	words, _, err := st.header(b, 1)
	if err != nil {
		return nil, err
	}
	if len(words) == 0 {
		return nil, st.wrong("write: "+blockOf(b.name).usage, "the time is missing")
	}
	if err := st.at(words[0]); err != nil {
		return nil, err
	}
	var text bytes.Buffer
	if _, err := eventlog.Export(st.ctx, st.log, &text, nil); err != nil {
		return nil, err
	}
	archive, err := eventlog.OpenArchive(&text)
	if err != nil {
		return nil, err
	}
	moved := memory.Open(memory.Config{ID: archive.ID()})
	added, err := archive.Import(st.ctx, moved, nil)
	if err != nil {
		return nil, err
	}
	st.log.Log = moved
	return []string{fmt.Sprintf("ok: %d events", added)}, nil
}

// agentMemory is what an agent remembers of the log, as a real one keeps it in its data folder.
type agentMemory struct {
	engine.AgentMemory
	known bool
}

// told notes what the server of an agent tells it as long as it does not doubt its log.
func (a *agent) told(s *server) {
	if s.LostEvents() != nil || !a.memory.known {
		return
	}
	v, stream := s.fold(), domain.MachineStream(a.machine)
	if revision := v.Revision(stream); revision > a.memory.Revision || a.memory.Event.IsZero() {
		a.memory.Revision, a.memory.Event = revision, v.Newest(stream)
	}
}

// welcomed begins to remember the log that the server has.
func (a *agent) welcomed(log uuid.UUID) {
	if !a.memory.known || a.memory.Log != log {
		a.memory = agentMemory{known: true, AgentMemory: engine.AgentMemory{Log: log, Successes: map[string]domain.ID{}, Deployments: map[string]domain.ID{}}}
	}
}

// remembers notes a success by the event that proves it.
func (a *agent) remembers(s *server, id domain.ID) {
	v := s.fold()
	project, proof := "", v.Newest(domain.PartStream(id, a.machine))
	if d := v.Deployments[id]; d != nil {
		project = d.Project.Name
	}
	if project != "" && !proof.IsZero() && a.memory.known {
		a.memory.Successes[project], a.memory.Deployments[project] = proof, id
	}
}

// compare shows a server what an agent remembers, before it is told anything. It returns what followed, or a refusal.
func (st *stage) compare(s *server, a *agent) ([]string, error) {
	behind := st.head()
	if a.memory.known {
		err := s.CheckAgentMemory(st.ctx, a.machine, a.memory.AgentMemory)
		if answer, refused := refusal(err); refused {
			return []string{answer}, nil
		}
		if err != nil {
			return nil, err
		}
	}
	a.welcomed(s.LogID())
	a.told(s)
	lines := st.then(behind)
	if err := s.LostEvents(); err != nil {
		lines = append(lines, "doubted: "+err.Error())
	}
	return lines, nil
}
