package engine

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections"
)

// Result is what an accepted command asOf to.
type Result struct {
	// Position is that of its last event; of a command that changed nothing, where the view stood.
	Position eventlog.Position
	// Events are the names of what was written, such as MachineEnabled; empty if all was so already.
	Events []string
	// IDs are the ids of Events, in the same order. Of a repeat that a receipt answers only the first is known.
	IDs []domain.ID
	// Deployment is the one that was queued; the zero id if none was.
	Deployment domain.ID
	// Repeat says that the same command had been accepted before; this is the first answer.
	Repeat bool
}

// conflictTries is how often a command or a tick decides again after its stream had moved on.
const conflictTries = 5

// Handle checks a command against the fold and appends what it decides. id is chosen by the command's
// sender; the zero id is for what drover reports itself, and is not remembered. It returns a
// *domain.Rejection if the answer is no, ErrFenced, or the log's error; after the log's error the same
// command under the same id may be sent again.
func (e *Engine) Handle(ctx context.Context, id domain.ID, command domain.Command) (Result, error) {
	return e.HandleAsOf(ctx, e.ReadPoint(), id, command)
}

// HandleAsOf is Handle for one of several commands that belong together, of which the first asOf at a moment. What was
// appended since may be left out of what it is decided on; its own stream refuses it then, and it is decided anew.
func (e *Engine) HandleAsOf(ctx context.Context, asOf ReadPoint, id domain.ID, command domain.Command) (Result, error) {
	result, err := e.handle(ctx, asOf, id, command)
	if err == nil && e.cfg.OnAccepted != nil {
		e.cfg.OnAccepted()
	}
	return result, err
}

func (e *Engine) handle(ctx context.Context, asOf ReadPoint, id domain.ID, command domain.Command) (Result, error) {
	for try := 1; ; try++ {
		if err := e.CatchUpTo(ctx, asOf); err != nil {
			return Result{}, err
		}
		result, p, err := e.decide(id, command)
		if err != nil || len(p.events) == 0 {
			return result, err
		}
		appended, err := e.append(ctx, p)
		var conflict *eventlog.Conflict
		switch {
		case err == nil:
			return e.confirm(ctx, command, p, appended)
		case !errors.As(err, &conflict):
			return Result{}, err // it names the stream
		case try == conflictTries:
			return Result{}, fmt.Errorf("%w after %d tries, others were faster each time: %w", eventlog.ErrUnavailable, try, err)
		}
		if err := e.pause(ctx, try); err != nil {
			return Result{}, err
		}
		asOf = e.ReadPoint() // the conflict is seen
	}
}

// decide returns either an answer or the append that the command comes to.
func (e *Engine) decide(id domain.ID, command domain.Command) (result Result, p plan, err error) {
	e.Read(func(v *projections.View) {
		result = Result{Position: v.Position}
		world, first := v.World(), commandID(e.made, id, command)
		if receipt, ok := v.Receipt(id); ok {
			result, err = repeatResult(v, receipt, first, command)
			return
		}
		if err = e.accepts(v, command, streamsOf(command, world)); err != nil {
			return
		}
		facts, rejection := command.Decide(world)
		if rejection != nil {
			err = rejection
			return
		}
		p, err = e.planCommand(v, id, first, command.Stream(world), facts)
	})
	return result, p, err
}

// repeated answers a command whose sender has used its id before.
func repeatResult(v *projections.View, receipt projections.Receipt, first domain.ID, command domain.Command) (Result, error) {
	if receipt.First != first && !fromOlderVersion(v, receipt, command) {
		return Result{}, &domain.Rejection{Kind: domain.Conflict, Reason: "the command's id was used for another command",
			Hint: "send each command under an id of its own"}
	}
	return Result{Position: receipt.Position, IDs: []domain.ID{receipt.First}, Deployment: receipt.Deployment, Repeat: true}, nil
}

// fromOlderVersion says that a receipt may be that of this command, sent to a server of an earlier version: such a server
// made the ids of events in another way. It may have written after the first server of this version started, what it was
// about to write. So the receipt has to name the command's stream, and the command must not come to anything else now.
func fromOlderVersion(v *projections.View, receipt projections.Receipt, command domain.Command) bool {
	world := v.World()
	if v.Fence.Raised == 0 || receipt.HasActor && receipt.Position > v.Fence.Raised || !slices.Contains(streamsOf(command, world), receipt.Stream) {
		return false
	}
	facts, _ := command.Decide(world)
	return len(facts) == 0 || domain.TypeName(facts[0]) == receipt.Type
}

// streamsOf are the streams that a command is decided on: its own, and those that it relies on.
func streamsOf(command domain.Command, world domain.World) []string {
	streams := []string{command.Stream(world)}
	if dependent, ok := command.(domain.Dependent); ok {
		streams = append(streams, dependent.DependsOn(world)...)
	}
	return streams
}

// open says whether a command that is decided on these streams is accepted now. The caller holds mu.
func (e *Engine) accepts(v *projections.View, command domain.Command, streams []string) error {
	if err := e.fencedBy(v); err != nil && !isResult(command) {
		return err
	}
	switch err := e.lostEvents(); {
	case err != nil && !isResult(command) && !isPresence(command) && !isAcceptance(command):
		return err
	case err == nil && isAcceptance(command):
		return &domain.Rejection{Kind: domain.Conflict, Reason: "there is nothing to accept: nobody remembers more than this log has",
			Hint: "after a restore, wait until a server or an agent has noticed it; `/readyz` says so"}
	}
	if _, clears := command.(domain.ClearStream); clears || isAcceptance(command) {
		return nil // the way back must stay open, also where its own stream is set aside
	}
	for _, stream := range streams {
		if aside := v.Aside[stream]; aside != nil {
			return &SetAside{&domain.Rejection{Kind: domain.Conflict,
				Reason: fmt.Sprintf("stream %s is set aside since position %s: %s", aside.Stream, aside.Position, aside.Reason),
				Hint:   "`drover eventlog clear " + aside.Stream + "` lets it go on without that event"}}
		}
	}
	return nil
}

// isResult says that a command tells what an agent did: that is recorded whatever the state of the log.
func isResult(command domain.Command) bool {
	_, ok := command.(domain.EndPart)
	return ok
}

// isPresence says that a command lets agents come and go: a doubted log needs them, as they are its witnesses.
func isPresence(command domain.Command) bool {
	switch command.(type) {
	case domain.ConnectMachine, domain.DisconnectMachine, domain.ReportHealth:
		return true
	}
	return false
}

// isAcceptance says that a command ends a doubt.
func isAcceptance(command domain.Command) bool {
	_, ok := command.(domain.AcceptRestore)
	return ok
}

// SetAside refuses a command whose stream cannot be folded. It is the one rejection that ends: once a person has cleared
// the stream the same command may be sent again, so nobody must forget what it was to record.
type SetAside struct{ *domain.Rejection }

// Unwrap is the rejection.
func (s *SetAside) Unwrap() error { return s.Rejection }

// commandID is the id of a command's first event. It derives from the sender's id and from what is asked for: the same
// command sent again has the same id, and another command under the sender's id has another.
func commandID(log uuid.UUID, id domain.ID, command domain.Command) domain.ID {
	name := fmt.Appendf(nil, "%s\x00%s\x00%s", id, domain.CommandName(command), domain.CommandContent(command))
	return domain.ID(uuid.NewSHA1(log, name))
}

func (e *Engine) planCommand(v *projections.View, id, first domain.ID, stream string, facts []domain.Event) (plan, error) {
	p := plan{kind: "command", stream: stream, expected: v.Revision(stream), facts: facts}
	for i, fact := range facts {
		event, err := e.event(fact, nil)
		if err != nil {
			return plan{}, err
		}
		event.Command = uuid.UUID(id)
		switch {
		case id.IsZero():
			event.ID = e.decisionID("report", stream, v.Newest(stream), i, event)
		case i == 0:
			event.ID = uuid.UUID(first)
		default:
			event.ID = uuid.NewSHA1(uuid.UUID(first), fmt.Append(nil, i))
		}
		p.events = append(p.events, event)
	}
	return p, nil
}

// done reads back what was appended: only what the log holds counts.
func (e *Engine) confirm(ctx context.Context, command domain.Command, p plan, appended eventlog.Appended) (Result, error) {
	result := Result{Position: appended.Position, Repeat: appended.Repeat}
	for i, fact := range p.facts {
		result.Events = append(result.Events, domain.Name(fact))
		result.IDs = append(result.IDs, domain.ID(p.events[i].ID))
		if _, ok := fact.(domain.DeploymentQueued); ok {
			result.Deployment = domain.ID(p.events[i].ID)
		}
	}
	e.log.Info("command accepted", zap.String("stream", p.stream), zap.Strings("events", result.Events),
		zap.Stringer("position", appended.Position))
	if err := e.WaitFor(ctx, appended.Position); err != nil {
		return result, err
	}
	if dependent, ok := command.(domain.Dependent); ok && !appended.Repeat {
		var void *domain.Rejection
		e.Read(func(v *projections.View) { void = dependent.NoEffect(v.World()) })
		if void != nil {
			return Result{}, void
		}
	}
	return result, nil
}

// pause lets others go first after a conflict.
func (e *Engine) pause(ctx context.Context, conflicts int) error {
	if e.cfg.Jitter <= 0 {
		return ctx.Err()
	}
	return sleep(ctx, time.Duration(conflicts)*rand.N(e.cfg.Jitter))
}
