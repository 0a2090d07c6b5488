package engine

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/internal/clock"
	"github.com/droverhq/drover/projections"
)

// Result is the result of an accepted command.
type Result struct {
	// Position is the position of its last event, or of the view if the command changed nothing.
	Position eventlog.Position
	// Events are the names of the appended events, such as MachineEnabled. It is empty if the command changed nothing.
	Events []string
	// IDs are the ids of Events, in the same order. For a repeat that a receipt answers, only the first is known.
	IDs []domain.ID
	// Deployment is the id of the queued deployment; the zero id if none was queued.
	Deployment domain.ID
	// Repeat is set if the same command was accepted before. The result is then the first one.
	Repeat bool
}

// conflictTries is how often a command is decided before conflicts with other servers become ErrContended. Of n servers
// that write to one stream without a pause, each loses a try with a probability of about (n-1)/n.
const conflictTries = 40

// ErrContended means that other servers have appended to the stream of a command before each try of this server. The
// command was not executed.
var ErrContended = errors.New("other servers write to the same stream")

// Handle checks a command against the fold and appends the events that follow. id is the idempotency key that the
// sender chose. With the zero id, which is for reports of drover itself, no receipt is stored. Commands of one stream
// wait for their turn, and commands that remove power go first.
//
// Handle returns a *domain.Rejection if the command is refused, ErrFenced or ErrLostEvents if this server must not
// decide, *Busy if the command got no turn, ErrContended after too many conflicts with other servers, or the log's
// error. After each of these but a rejection, the sender may repeat the command with the same id.
func (e *Engine) Handle(ctx context.Context, id domain.ID, command domain.Command) (Result, error) {
	return e.HandleAsOf(ctx, e.ReadPoint(), id, command)
}

// HandleAsOf is Handle for one of several related commands, the first of which arrived at asOf. The command may be
// decided without events that were appended since. If these are in its own stream, the append is refused and the
// command is decided again.
func (e *Engine) HandleAsOf(ctx context.Context, asOf ReadPoint, id domain.ID, command domain.Command) (Result, error) {
	result, err := e.handle(ctx, asOf, id, command)
	if err == nil && e.cfg.OnAccepted != nil {
		e.cfg.OnAccepted()
	}
	return result, err
}

func (e *Engine) handle(ctx context.Context, asOf ReadPoint, id domain.ID, command domain.Command) (Result, error) {
	if err := e.CatchUpTo(ctx, asOf); err != nil { // the stream of a command can depend on the fold
		return Result{}, err
	}
	if accept, ok := command.(domain.AcceptRestore); ok {
		command = e.acceptance(accept)
	}
	result, p, appended, err := e.handleInTurn(ctx, id, command)
	if err != nil {
		return result, err
	}
	if len(p.events) > 0 {
		return e.confirm(ctx, command, p, appended)
	}
	if err := e.checkLog(ctx); err != nil {
		return Result{}, err
	}
	return result, nil
}

// checkLog returns an error if the log would refuse an append. A result without an append confirms what the fold
// contains. The fold can contain events of a deleted file, whose appends were not acknowledged.
func (e *Engine) checkLog(ctx context.Context) error {
	if e.checker == nil {
		return nil
	}
	if err := e.checker.Check(ctx); err != nil {
		return fmt.Errorf("check the log: %w", err)
	}
	return nil
}

// handleInTurn decides a command and appends its events while it has the turn of its stream. The turn ends before the
// events are folded: the next command then shares the read that folds them. If the fold changes the stream of the
// command while it waits, the append is still safe, like that of another server.
func (e *Engine) handleInTurn(ctx context.Context, id domain.ID, command domain.Command) (result Result, p plan,
	appended eventlog.Appended, err error) {
	var stream string
	e.Read(func(v *projections.View) { stream = command.Stream(v.World()) })
	newer, err := e.turns.take(ctx, stream, domain.RemovesPower(command))
	if err != nil {
		return result, p, appended, err
	}
	defer func() { e.turns.end(stream, e.ReadPoint()) }()
	for try := 1; ; try++ {
		if result, p, err = e.decideAfter(ctx, newer, id, command); err != nil || len(p.events) == 0 {
			return result, p, appended, err
		}
		appended, err = e.append(ctx, p)
		if !isConflict(err) {
			return result, p, appended, err // the error names the stream
		}
		if try >= conflictTries && !isResult(command) { // agents drop a result that is answered as a conflict
			return result, p, appended, fmt.Errorf("%w: %s, %d tries", ErrContended, p.stream, try)
		}
		if err = e.pause(ctx); err != nil {
			return result, p, appended, err
		}
		newer = e.ReadPoint() // so that the next decision sees the conflicting event
	}
}

func isConflict(err error) bool {
	var conflict *eventlog.Conflict
	return errors.As(err, &conflict)
}

// decideAfter is decide on a fold that contains what was appended before point; 0 means the current fold.
func (e *Engine) decideAfter(ctx context.Context, point ReadPoint, id domain.ID, command domain.Command) (Result, plan,
	error) {
	if point != 0 {
		if err := e.CatchUpTo(ctx, point); err != nil {
			return Result{}, plan{}, err
		}
	}
	return e.decide(id, command)
}

// decide returns either a result, or the append for the command's events.
func (e *Engine) decide(id domain.ID, command domain.Command) (result Result, p plan, err error) {
	e.Read(func(v *projections.View) {
		result = Result{Position: v.Position}
		world, token := v.World(), domain.TokenOf(command)
		first := e.firstID(v, id, token, command)
		receipt, known := v.Receipt(id, token) // what the caller did is no secret to it, even without the permission
		if !known {
			if rejection := domain.Authorize(world, command); rejection != nil {
				err = rejection
				return
			}
			receipt, known = v.Receipt(id, "") // of a version that recorded no token
		}
		if known {
			result, err = repeatResult(v, receipt, []domain.ID{first, commandID(e.made, id, command)}, command)
			return
		}
		if err = e.accepts(v, command, streamsOf(command, world)); err != nil {
			return
		}
		facts, rejection := command.Decide(world)
		if rejection != nil {
			err = domain.ForSender(world, command, rejection)
			return
		}
		p, err = e.planCommand(v, id, first, command.Stream(world), facts)
	})
	return result, p, err
}

// repeatResult returns the result of a command whose idempotency key was used before. first are the ids that its first
// event can have.
func repeatResult(v *projections.View, receipt projections.Receipt, first []domain.ID, command domain.Command) (Result,
	error) {
	if !slices.Contains(first, receipt.First) && !fromOlderVersion(v, receipt, command) {
		return Result{}, &domain.Rejection{Kind: domain.Conflict,
			Reason: "the idempotency key was used for another command",
			Hint:   "use a new key for each command"}
	}
	return Result{Position: receipt.Position, IDs: []domain.ID{receipt.First}, Deployment: receipt.Deployment,
		Repeat: true}, nil
}

// fromOlderVersion reports whether a receipt may be for this command, sent to a server of an older version, which
// derived the ids of events differently. An older server may still write shortly after the first server of this version
// started. Therefore the receipt must name a stream of the command, and the command must not lead to a different event
// now.
func fromOlderVersion(v *projections.View, receipt projections.Receipt, command domain.Command) bool {
	world := v.World()
	if v.Fence.Raised == 0 || receipt.HasActor && receipt.Position > v.Fence.Raised ||
		!slices.Contains(streamsOf(command, world), receipt.Stream) {
		return false
	}
	facts, _ := command.Decide(world)
	return len(facts) == 0 || domain.TypeName(facts[0]) == receipt.Type
}

// streamsOf returns the streams that a command is decided on: its own, and the streams that it depends on.
func streamsOf(command domain.Command, world domain.World) []string {
	streams := []string{command.Stream(world)}
	if dependent, ok := command.(domain.Dependent); ok {
		streams = append(streams, dependent.DependsOn(world)...)
	}
	return streams
}

// accepts returns an error if a command on these streams must not be decided now. The caller holds mu.
func (e *Engine) accepts(v *projections.View, command domain.Command, streams []string) error {
	if err := e.fencedBy(v); err != nil && !isResult(command) {
		return err
	}
	switch err := e.lostEvents(); {
	case err != nil && !worksWithoutLostEvents(command):
		return err
	case err == nil && isAcceptance(command) && !anyDoubt(v):
		return &domain.Rejection{Kind: domain.Conflict,
			Reason: "there is nothing to accept: no server or agent knows of events that this log lacks",
			Hint:   "after a restore, wait until a server or an agent has detected it; `/readyz` reports it"}
	}
	if err := acceptsDoubted(v, command); err != nil {
		return err
	}
	if _, clears := command.(domain.ClearStream); clears || isAcceptance(command) {
		return nil // recovery must work even if its own stream is set aside
	}
	for _, stream := range streams {
		if aside := v.Aside[stream]; aside != nil {
			return &SetAside{&domain.Rejection{Kind: domain.Conflict,
				Reason: fmt.Sprintf("stream %s is set aside since position %s: %s", aside.Stream, aside.Position,
					aside.Reason),
				Hint: "`drover eventlog clear " + aside.Stream + "` continues the stream without that event"}}
		}
	}
	return nil
}

// acceptsDoubted refuses a claim on a machine that is doubted, and the acceptance of the memory of one that is not.
func acceptsDoubted(v *projections.View, command domain.Command) error {
	switch c := command.(type) {
	case domain.ClaimPart:
		if m := v.Machines[c.Machine]; m != nil && v.DoubtOf(m) != nil {
			return &domain.Rejection{Kind: domain.Conflict,
				Reason: fmt.Sprintf("machine %s is doubted: the log does not have what its agent remembers", m.Name),
				Hint:   fmt.Sprintf("`drover eventlog accept-restore --machine %s` accepts that", m.Name)}
		}
	case domain.AcceptMemory:
		if m := v.Machines[c.Name]; m != nil && v.DoubtOf(m) == nil {
			return &domain.Rejection{Kind: domain.Conflict,
				Reason: fmt.Sprintf("machine %s is not doubted: the log has all that its agent remembers", m.Name),
				Hint:   "`drover doctor` lists the machines that are doubted"}
		}
	}
	return nil
}

// anyDoubt reports whether any machine is doubted.
func anyDoubt(v *projections.View) bool {
	for _, m := range v.Machines {
		if v.DoubtOf(m) != nil {
			return true
		}
	}
	return false
}

// worksWithoutLostEvents reports whether a command is accepted although the log has lost events. An agent that
// stopped the fleet cannot keep people from taking its power away (law 30).
func worksWithoutLostEvents(command domain.Command) bool {
	_, accepts := command.(domain.AcceptMemory)
	return accepts || isResult(command) || isPresence(command) || isAcceptance(command) || domain.RemovesPower(command)
}

// isResult reports whether a command reports the result of an agent. It is recorded whatever the state of the log.
func isResult(command domain.Command) bool {
	_, ok := command.(domain.EndPart)
	return ok
}

// isPresence reports whether a command is about the presence of an agent. Such commands are accepted even if the log
// has lost events, because what agents remember is the evidence of the loss.
func isPresence(command domain.Command) bool {
	switch command.(type) {
	case domain.ConnectMachine, domain.DisconnectMachine, domain.ReportHealth, domain.ReportConditions, domain.ClearMemory:
		return true
	}
	return false
}

// isAcceptance reports whether a command accepts a restore.
func isAcceptance(command domain.Command) bool {
	_, ok := command.(domain.AcceptRestore)
	return ok
}

// SetAside is the rejection of a command whose stream is set aside. Unlike other rejections it is temporary: once a
// person has cleared the stream, the command can succeed. The sender must therefore keep the command and repeat it.
type SetAside struct{ *domain.Rejection }

// Unwrap returns the rejection.
func (s *SetAside) Unwrap() error { return s.Rejection }

// commandID returns the id of a command's first event. It derives from the idempotency key and the content of the
// command: the same command sent again has the same id, and another command with the same key has another.
func commandID(log uuid.UUID, id domain.ID, command domain.Command) domain.ID {
	name := fmt.Appendf(nil, "%s\x00%s\x00%s", id, domain.CommandName(command), domain.CommandContent(command))
	return domain.ID(uuid.NewSHA1(log, name))
}

// firstID returns the id of a command's first event. It depends on the token only if another caller used the same
// idempotency key first: servers of earlier versions know only the other id.
func (e *Engine) firstID(v *projections.View, id domain.ID, token string, command domain.Command) domain.ID {
	if token != "" && v.IsShared(id, token) {
		id = domain.ID(uuid.NewSHA1(uuid.UUID(id), []byte(token)))
	}
	return commandID(e.made, id, command)
}

func (e *Engine) planCommand(v *projections.View, id, first domain.ID, stream string, facts []domain.Event) (plan,
	error) {
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

// foldOwn folds events that this server has just appended, without reading them, if they are the next ones of the log.
// Otherwise it does nothing. It does not wait for a read that runs: one read then folds the events of many commands, which
// costs less than one fold for each of them.
func (e *Engine) foldOwn(p plan, appended eventlog.Appended) {
	if appended.Repeat || e.Position() >= appended.Position || !e.reads.tryTake() {
		return
	}
	defer e.reads.release()
	n := len(p.events)
	if !e.newest.isNext(n, appended.Position) {
		return
	}
	page := make([]eventlog.Recorded, n)
	for i, event := range p.events {
		behind := n - 1 - i
		page[i] = eventlog.Recorded{Event: event, Stream: p.stream,
			Revision: appended.Revision - eventlog.Revision(behind),
			Position: appended.Position - eventlog.Position(behind)} //nolint:gosec // at least 0
	}
	e.newest.foldOwn(page, e.fold)
}

// confirm waits until the appended events are folded: only what is in the log counts.
func (e *Engine) confirm(ctx context.Context, command domain.Command, p plan, appended eventlog.Appended) (Result,
	error) {
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
	e.foldOwn(p, appended)
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

// pause waits a random time after a conflict, so that other writers can finish.
func (e *Engine) pause(ctx context.Context) error {
	if e.cfg.Jitter <= 0 {
		return ctx.Err()
	}
	return clock.Sleep(ctx, rand.N(e.cfg.Jitter))
}
