package agents

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/google/uuid"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/api/problem"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections"
)

// claim asks to start a part. The claim counts only if the state folded from the log shows that this session runs the
// part. An error other than a rejection means that the outcome is unknown, and the agent retries. Two HTTP agents with
// the same identity also share a session. If each claim has a separate id, only the claim that is in the log counts,
// even if it is repeated.
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
		if part.State == domain.PartRunning && part.Instance == c.Instance && d.Content != nil {
			values := d.Content.For(d.Environment, part.Roles)
			claimed.Values = &values
		}
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
	if err == nil { // the claim is in the log but void: another event preceded it
		return claimed, nil
	}
	p := problem.Of(err)
	if errors.Is(err, engine.ErrContended) || p.Kind != client.Conflict && p.Kind != client.NotFound {
		return claimed, err
	}
	if claimed.Reason == "" {
		claimed.Reason = p.Detail
	}
	return claimed, nil
}

// end records how a part ended, once, and returns the event that recorded it.
func (h *Hub) end(ctx context.Context, c domain.EndPart) (client.Ended, error) {
	result, refused := h.handle(ctx, domain.ID{}, c)
	if refused != nil && problem.Of(refused).Kind != client.NotFound {
		return client.Ended{}, refused
	}
	h.cfg.OutputArrived(c.Deployment)
	ended := client.Ended{Deployment: c.Deployment.String()}
	if n := len(result.IDs); n > 0 { // a repeated end must not make the server read the stored output again and again
		h.outputCounts.remove(partKey{c.Deployment, c.Machine})
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
	return ended, nil // the part was pruned and its result is recorded; the agent must not store another event
}

// endPart is end. If the log has no place for the end, it has lost the part, and the machine is held.
func (h *Hub) endPart(ctx context.Context, c domain.EndPart, ran client.RanPart) (client.Ended, error) {
	ended, err := h.end(ctx, c)
	if err == nil || !isRejected(err) {
		return ended, err
	}
	if failure := h.holdWithoutPlace(ctx, c, ran); failure != nil {
		return ended, failure
	}
	return ended, err
}

// isRejected reports whether a command was rejected permanently.
func isRejected(err error) bool {
	var rejected *domain.Rejection
	var aside *engine.SetAside
	return errors.As(err, &rejected) && !errors.As(err, &aside)
}

// holdWithoutPlace holds the machine for the project of a part that it ran, if the log has lost the claim of the part.
// The log then does not show what is installed, so automation must not deploy over it. It returns an error while a person
// has not accepted that the log has lost events: the agent keeps the end until then, because the right log may return.
func (h *Hub) holdWithoutPlace(ctx context.Context, c domain.EndPart, ran client.RanPart) error {
	if ran.Project == "" { // no step has started, or the agent does not say which project it ran
		return nil
	}
	current := false
	h.cfg.Engine.Read(func(v *projections.View) {
		m := v.Machines[c.Machine]
		current = m != nil && m.Instance == c.Instance
	})
	claimed, err := h.hasClaim(ctx, domain.PartStream(c.Deployment, c.Machine), c.Instance)
	if err != nil || claimed || !current {
		return err
	}
	if err := h.cfg.Engine.LostEvents(); err != nil {
		return problem.Unavailable("%s", err.Error()).WithHint(problem.LostEventsHint)
	}
	if h.stateOf(c.Machine).doubted {
		return problem.Unavailable("the log does not have what the agent of machine %s remembers", c.Machine).
			WithHint("`drover describe machine %s` tells what is missing", c.Machine)
	}
	_, err = h.handle(ctx, domain.ID{}, domain.SetHold{Project: ran.Project, Machine: c.Machine, Unproven: true,
		Origin: domain.ServerOrigin("drover", h.cfg.Engine.Server()),
		Reason: fmt.Sprintf("its agent ran deployment %s of release %s, which the log does not have",
			c.Deployment, cmp.Or(bounded(ran.Release), "(unknown)"))})
	if isRejected(err) { // the log has lost the project too
		return nil
	}
	return err
}

// hasClaim reports whether a part's stream has a claim of the instance.
func (h *Hub) hasClaim(ctx context.Context, stream string, instance domain.ID) (bool, error) {
	for rec, err := range h.cfg.Log.ReadStream(ctx, stream, 0, 0) {
		if err != nil {
			return false, fmt.Errorf("read the claims of %s: %w", stream, err)
		}
		fact, _ := domain.Decode(rec.Type, rec.Data)
		if e, ok := fact.(domain.PartClaimed); ok && e.Instance == instance {
			return true, nil
		}
	}
	return false, nil
}

// recordedEnd returns the event in a part's stream that recorded the agent's report of the end, or the zero ID if the
// agent has not reported one.
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

// knownReason matches the reasons from agents that can be recorded.
var knownReason = regexp.MustCompile(`^[a-z][a-z-]{0,39}$`)

// endOf returns the command that records the end reported by an agent. It bounds all texts.
func endOf(e client.End, id domain.ID, machine string, session, instance domain.ID) domain.EndPart {
	c := domain.EndPart{Deployment: id, Machine: machine, Session: session, Instance: instance, State: e.State,
		Reason: e.Reason, Step: bounded(e.Step), ExitCode: e.ExitCode, Detail: bounded(e.Detail)}
	if e.Reason != "" && !knownReason.MatchString(string(e.Reason)) {
		c.Reason = domain.OtherAgentFailure
	}
	return c
}

// bounded returns text from an agent as valid UTF-8 of at most domain.MaxReasonBytes.
func bounded(text string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) > domain.MaxReasonBytes {
		text = strings.ToValidUTF8(text[:domain.MaxReasonBytes], "")
	}
	return strings.ReplaceAll(text, "\x00", "")
}

// storeOutput stores a chunk of output of a part that this instance claimed.
func (h *Hub) storeOutput(ctx context.Context, id domain.ID, machine string, instance domain.ID, sequence int64,
	data []byte) error {
	claimed := false
	h.cfg.Engine.Read(func(v *projections.View) {
		part := v.World().Part(id, machine)
		claimed = part != nil && part.Claimed && part.Instance == instance
	})
	switch {
	case !claimed:
		return problem.Conflict("machine %s has not claimed a part of deployment %s", machine, id).
			WithHint("claim the part first")
	case sequence < 1 || sequence > maxSequence:
		return problem.Invalid("invalid sequence %d", sequence).
			WithHint("number the chunks of a part from 1 to %d", maxSequence)
	case len(data) > eventlog.MaxChunkBytes:
		return problem.Invalid("the chunk of output has %d bytes", len(data)).
			WithHint("send at most %d bytes per chunk", eventlog.MaxChunkBytes)
	case len(data) == 0:
		return nil
	}
	fits, err := h.reserveOutput(ctx, partKey{id, machine}, sequence, len(data))
	if err == nil && !fits {
		err = problem.Invalid("the output of machine %s for deployment %s exceeds %d bytes", machine, id, maxPartBytes).
			WithHint("send only the beginning and the end of the output").WithStatus(http.StatusRequestEntityTooLarge)
	}
	if err != nil {
		return err
	}
	_, now := h.cfg.Engine.CredibleTime() // the latest: output with an early time would be deleted early
	chunk := eventlog.Item{Key: eventlog.OutputKey(uuid.UUID(id), machine), Sequence: sequence,
		Time: now.UTC(), Data: data}
	if err := h.cfg.Log.Add(ctx, eventlog.Output, chunk); err != nil {
		return fmt.Errorf("store output of machine %s: %w", machine, err)
	}
	h.cfg.OutputArrived(id)
	return nil
}
