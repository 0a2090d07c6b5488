package agents

import (
	"context"
	"encoding/base64"

	"github.com/google/uuid"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/api/problem"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
)

// compareMemory compares the agent's memory of the log with the log. It must run before the server sends the agent
// anything about this log.
func (h *Hub) compareMemory(ctx context.Context, j joinRequest, remembered *client.Memory) error {
	if remembered == nil || remembered.Machine != j.machine {
		return nil
	}
	log, err := uuid.Parse(remembered.Log)
	if err != nil {
		return problem.Invalid("invalid log %.80q in the memory: use a UUID", remembered.Log)
	}
	made, _ := uuid.Parse(remembered.Made) // zero: unknown, so possibly this log
	m := engine.AgentMemory{
		Log:        log,
		OriginalID: made,
		LogSigned:  h.signedLog(log, made, remembered.LogProof),
		Revision:   eventlog.Revision(max(remembered.Revision, 0)),
		Received:   j.received,
	}
	if remembered.Event != "" {
		if m.Event, err = domain.ParseID(remembered.Event); err != nil {
			return problem.Invalid("invalid event %.80q in the memory: use a UUID", remembered.Event)
		}
	}
	for _, ids := range []struct {
		what string
		from map[string]string
		to   *map[string]domain.ID
	}{
		{"success", remembered.Successes, &m.Successes},
		{"deployment", remembered.Deployments, &m.Deployments},
		{"success", remembered.Earlier, &m.Earlier},
		{"deployment", remembered.EarlierDeployments, &m.EarlierDeployments},
	} {
		if *ids.to, err = parseIDs(ids.what, ids.from); err != nil {
			return err
		}
	}
	return h.cfg.Engine.CheckAgentMemory(ctx, j.machine, m)
}

// logPurpose is the purpose of the signatures by which servers recognize the ids that their log had.
const logPurpose = "drover log id"

// signLog returns the signature of the log's id; empty if the log has no server key.
func (h *Hub) signLog(log, made uuid.UUID) string {
	key := h.cfg.Engine.ServerKey()
	if key.IsZero() {
		return ""
	}
	return base64.StdEncoding.EncodeToString(key.Sign(logPurpose, log[:], made[:]))
}

// signedLog reports whether a server of this log has signed the id. An agent cannot make up such an id.
func (h *Hub) signedLog(log, made uuid.UUID, proof string) bool {
	key := h.cfg.Engine.ServerKey()
	signature, err := base64.StdEncoding.DecodeString(proof)
	return err == nil && !key.IsZero() && key.Public().Verify(signature, logPurpose, log[:], made[:])
}

// parseIDs parses ids that are stored by project.
func parseIDs(what string, texts map[string]string) (map[string]domain.ID, error) {
	ids := map[string]domain.ID{}
	for project, text := range texts {
		if rejection := domain.CheckName("project", project); rejection != nil {
			return nil, rejection
		}
		id, err := domain.ParseID(text)
		if err != nil {
			return nil, problem.Invalid("invalid %s %.80q in the memory: use a UUID", what, text)
		}
		ids[project] = id
	}
	return ids, nil
}
