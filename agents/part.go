package agents

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/google/uuid"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/api/problem"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections"
)

// claim asks to start a part. It counts only if the fold, read back from the log, says that this session runs it.
// An error other than a rejection means that the outcome is unknown: the agent asks again. Two agents by plain HTTP that
// share an identity share its session too; with an id of its own for each claim, only the claim that is in the log
// counts, however often it is repeated.
func (h *Hub) claim(ctx context.Context, id domain.ID, c domain.ClaimPart) (client.Claimed, error) {
	result, err := h.handle(ctx, id, c)
	own := id.IsZero() || err == nil && (result.Repeat || len(result.Events) > 0)
	claimed := client.Claimed{Deployment: c.Deployment.String()}
	h.cfg.Engine.Read(func(v *projections.View) {
		d := v.Deployments[c.Deployment]
		if d == nil || d.Parts[c.Machine] == nil {
			return
		}
		part := d.Parts[c.Machine]
		claimed.Counts = part.State == domain.PartRunning && part.Session == c.Session
		switch {
		case claimed.Counts && !own:
			claimed.Counts, claimed.Reason = false, string(domain.AlreadyClaimed)
		case !claimed.Counts:
			claimed.Reason = string(v.ClaimCheck(part, c.Session))
		}
	})
	if claimed.Counts {
		return claimed, nil
	}
	if err == nil { // it is in the log, and void: something came between
		return claimed, nil
	}
	p := problem.Of(err)
	if p.Kind != client.Conflict && p.Kind != client.NotFound {
		return claimed, err
	}
	if claimed.Reason == "" {
		claimed.Reason = p.Detail
	}
	return claimed, nil
}

// end records how a part ended, once, and names the event.
func (h *Hub) end(ctx context.Context, c domain.EndPart) (client.Ended, error) {
	result, refused := h.handle(ctx, domain.ID{}, c)
	if refused != nil && problem.Of(refused).Kind != client.NotFound {
		return client.Ended{}, refused
	}
	h.cfg.OutputArrived(c.Deployment)
	h.counts.forget(countKey{c.Deployment, c.Machine})
	ended := client.Ended{Deployment: c.Deployment.String()}
	if n := len(result.IDs); n > 0 {
		ended.Event = result.IDs[n-1].String()
		return ended, nil
	}
	event, err := h.recordedEnd(ctx, domain.PartStream(c.Deployment, c.Machine))
	switch {
	case err != nil:
		return ended, err
	case !event.IsZero():
		ended.Event = event.String()
	case refused != nil:
		return client.Ended{}, refused
	}
	return ended, nil // a part that is forgotten has its result all the same: an agent must not remember another
}

// recordedEnd finds the end that an agent reported earlier in the stream of a part; the zero ID if there was no report.
func (h *Hub) recordedEnd(ctx context.Context, stream string) (event domain.ID, err error) {
	for rec, err := range h.cfg.Log.ReadStream(ctx, stream, 0, 0) {
		if err != nil {
			return event, fmt.Errorf("read the end of %s: %w", stream, err)
		}
		fact, _ := domain.Decode(rec.Type, rec.Data)
		if e, ok := fact.(domain.PartEnded); ok && e.ByAgent() {
			event = domain.ID(rec.ID)
		}
	}
	return event, nil
}

// knownReason is the form that a reason of an agent must have to be recorded.
var knownReason = regexp.MustCompile(`^[a-z][a-z-]{0,39}$`)

// endOf turns the end that an agent reports into a command, within bounds.
func endOf(e client.End, id domain.ID, machine string, session, instance domain.ID) domain.EndPart {
	c := domain.EndPart{Deployment: id, Machine: machine, Session: session, Instance: instance, State: e.State,
		Reason: e.Reason, Step: bounded(e.Step), ExitCode: e.ExitCode, Detail: bounded(e.Detail)}
	if e.Reason != "" && !knownReason.MatchString(string(e.Reason)) {
		c.Reason = domain.OtherAgentFailure
	}
	return c
}

// bounded is text that an agent sent, valid and of at most domain.MaxReasonBytes.
func bounded(text string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) > domain.MaxReasonBytes {
		text = strings.ToValidUTF8(text[:domain.MaxReasonBytes], "")
	}
	return strings.ReplaceAll(text, "\x00", "")
}

// takeOutput stores a piece of output of a part that this instance claimed.
func (h *Hub) takeOutput(ctx context.Context, id domain.ID, machine string, instance domain.ID, sequence int64, data []byte) error {
	claimed := false
	h.cfg.Engine.Read(func(v *projections.View) {
		part := v.World().Part(id, machine)
		claimed = part != nil && part.Claimed && part.Instance == instance
	})
	switch {
	case !claimed:
		return problem.Conflict("machine %s has not claimed a part of deployment %s", machine, id).
			WithHint("claim it first")
	case sequence < 1 || sequence > maxSequence:
		return problem.Invalid("invalid sequence %d", sequence).
			WithHint("count the pieces of a part from 1, at most %d", maxSequence)
	case len(data) > eventlog.MaxChunkBytes:
		return problem.Invalid("the piece of output is %d bytes", len(data)).
			WithHint("send at most %d at once", eventlog.MaxChunkBytes)
	case len(data) == 0:
		return nil
	}
	fits, err := h.fits(ctx, countKey{id, machine}, sequence, len(data))
	if err == nil && !fits {
		err = problem.Invalid("machine %s has put out more than %d bytes for deployment %s", machine, maxPartBytes, id).
			WithHint("keep the beginning and the end of it, and cut the middle").WithStatus(http.StatusRequestEntityTooLarge)
	}
	if err != nil {
		return err
	}
	chunk := eventlog.Item{Key: eventlog.OutputKey(uuid.UUID(id), machine), Sequence: sequence,
		Time: h.cfg.Clock.Now().UTC(), Data: data}
	if err := h.cfg.Log.Add(ctx, eventlog.Output, chunk); err != nil {
		return fmt.Errorf("store output of machine %s: %w", machine, err)
	}
	h.cfg.OutputArrived(id)
	return nil
}
