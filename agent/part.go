package agent

import (
	"cmp"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/droverhq/drover/agent/journal"
	"github.com/droverhq/drover/agent/output"
	"github.com/droverhq/drover/agent/run"
	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
)

const (
	// maxQueue bounds the waiting offers. The server repeats an offer that was dropped.
	maxQueue = 16
	// voidClaimDelay is how long the agent waits before it claims a part again after a claim that did not count.
	voidClaimDelay = time.Second
)

// part is this machine's share of a deployment, from its claim to its confirmed end.
type part struct {
	entry journal.Entry
	work  client.Work
	// claimRecorded: the server listed the part as unfinished, so its claim is in the log.
	claimRecorded bool

	spool   *output.Spool // nil: no output
	cursor  output.Cursor // end of the output that was sent on this connection
	endSent bool          // the end was sent on this connection

	stopping chan struct{}
	kill     *run.Kill
	done     chan client.End
	failed   []error // what failed after the last step; set before done is sent
}

// voidClaim is a claim that did not count.
type voidClaim struct {
	deployment string
	until      time.Duration // on the monotonic clock
}

func (p *part) running() bool { return p != nil && p.entry.State == journal.Running }

func (p *part) finished() <-chan client.End {
	if p == nil {
		return nil
	}
	return p.done
}

func (p *part) outputWritten() <-chan struct{} {
	if p == nil || p.spool == nil {
		return nil
	}
	return p.spool.Written()
}

// rewind makes the session send the part's output and end again from the beginning.
func (p *part) rewind() { p.cursor, p.endSent = output.Cursor{}, false }

func (p *part) close() {
	if p.spool != nil {
		_ = p.spool.Close()
	}
}

// recoverEntries handles the entries that an earlier run of the agent left in the journal.
func (s *session) recoverEntries(left []journal.Entry) {
	// Earlier versions of drover wrote no numbers. Their entries are the oldest ones.
	slices.SortStableFunc(left, func(a, b journal.Entry) int {
		return cmp.Or(cmp.Compare(a.Number, b.Number), a.Since.Compare(b.Since))
	})
	s.lastNumber = s.journal.LastNumber()
	for _, entry := range left {
		s.lastNumber = max(s.lastNumber, entry.Number)
	}
	for _, entry := range left {
		switch entry.State {
		case journal.Claiming:
			s.unresolved = append(s.unresolved, entry)
		case journal.Running:
			s.recoverRunning(entry)
		case journal.Ended:
			s.ended = append(s.ended, &part{entry: entry, spool: s.reopenOutput(entry.Deployment)})
		}
	}
}

// nextNumber returns the number of a new entry.
func (s *session) nextNumber() int64 {
	s.lastNumber++
	return s.lastNumber
}

// recoverRunning ends a part that was running when an earlier run of the agent died.
func (s *session) recoverRunning(entry journal.Entry) {
	if entry.Group != nil {
		stopped, stuck := entry.Group.ClearOrphans(entry.Deployment, run.DefaultGrace)
		s.log.Warn("the last stop of the agent interrupted a part", zap.String("deployment", entry.Deployment),
			zap.String("step", entry.Step), zap.Int("stopped", stopped), zap.Int("stuck", stuck))
	}
	p := &part{entry: entry, spool: s.reopenOutput(entry.Deployment)}
	if p.spool != nil {
		_, _ = p.spool.Write([]byte("\ndrover: the agent stopped while this step was running\n"))
		_ = p.spool.Finish()
	}
	detail := "the agent stopped before the first step started"
	if entry.Step != "" {
		detail = "the agent stopped while step " + entry.Step + " was running; it is unknown how far the step got " +
			"(if the step restarts the agent, it must do that after its end: " + run.Recipe + ")"
	}
	s.finish(p, run.InterruptedEnd(entry.Deployment, entry.Step, detail))
}

// reopenOutput opens the output that an earlier run stored, or returns nil if it is not readable.
func (s *session) reopenOutput(deployment string) *output.Spool {
	spool, err := output.Reopen(s.journal.OutputFile(deployment), 0)
	if err != nil {
		s.log.Warn("could not read the output of a part", zap.String("deployment", deployment), zap.Error(err))
		return nil
	}
	return spool
}

// reconcile answers for each part that is claimed but not ended in the log.
func (s *session) reconcile(unfinished []client.Unfinished) {
	for _, p := range s.ended {
		p.rewind()
	}
	if s.current != nil {
		s.current.rewind()
	}
	s.unsent = true
	for _, u := range unfinished {
		s.answerUnfinished(u)
	}
	for _, entry := range s.unresolved { // not listed: the claim does not count
		s.logError(s.journal.Forget(entry.Deployment))
	}
	s.unresolved = nil
	s.sendClaim()
}

// answerUnfinished reports the state of a part to the server.
func (s *session) answerUnfinished(u client.Unfinished) {
	detail := "the agent has no record of this part"
	if i := slices.IndexFunc(s.unresolved, func(e journal.Entry) bool { return e.Deployment == u.Deployment }); i >= 0 {
		s.unresolved = slices.Delete(s.unresolved, i, i+1)
		detail = "the agent stopped before the first step started"
	} else if s.current != nil && s.current.entry.Deployment == u.Deployment {
		s.current.claimRecorded = true
		if s.current.running() {
			s.send(client.FromAgent{Answer: &client.PartAnswer{Deployment: u.Deployment, Running: true}})
		}
		return
	} else if s.has(u.Deployment) {
		return // its end is sent anyway
	}
	p := &part{entry: journal.Entry{Deployment: u.Deployment, Project: u.Project, Number: s.nextNumber()}}
	if end, before := s.previousResult(u.Deployment); before {
		s.finish(p, end)
		return
	}
	s.finish(p, run.InterruptedEnd(u.Deployment, "", detail))
}

// previousResult returns the result of a part that already ran here; a restored log may ask for it again. If the part
// succeeded but another part of its project has run since, the result is interrupted, because the machine may no longer
// have that release.
func (s *session) previousResult(deployment string) (client.End, bool) {
	end, older, before := s.journal.PreviousRun(deployment)
	if !before {
		return end, false
	}
	if older && end.State == domain.PartSucceeded {
		end = run.InterruptedEnd(deployment, "",
			"the part ran before the log was restored, and another part of the project has run since")
	}
	s.log.Warn("the log was restored after this part had run; reporting its result again",
		zap.String("deployment", deployment), zap.String("state", string(end.State)))
	return end, true
}

// offer handles an offer from the server.
func (s *session) offer(w client.Work) {
	log := s.log.With(zap.String("deployment", w.Deployment), zap.String("project", w.Project))
	switch {
	case s.stopping || s.has(w.Deployment):
	case w.Machine != s.config.Name:
		log.Error("ignored an offer for another machine", zap.String("machine", w.Machine))
	case !journal.SafeName(w.Deployment):
		log.Error("ignored an offer with an invalid deployment id")
	case len(s.queue) >= maxQueue:
		log.Warn("ignored an offer because the queue is full")
	default:
		s.queue = append(s.queue, w)
		if s.lastVoid.deployment != w.Deployment || s.config.Clock.Elapsed() > s.lastVoid.until {
			s.next()
		}
	}
}

// next claims the first waiting offer if the agent is idle. If the journal is not writable, it claims nothing and
// retries later.
func (s *session) next() {
	if s.current != nil || s.stopping || s.link == nil || len(s.queue) == 0 || s.owesEnd(s.queue[0].Project) {
		return
	}
	if !s.checkJournal() {
		return
	}
	work := s.queue[0]
	p := &part{work: work, stopping: make(chan struct{}), kill: run.NewKill(), entry: journal.Entry{
		Deployment: work.Deployment, Project: work.Project, Release: work.Release, State: journal.Claiming,
		Number: s.nextNumber(), Since: s.config.Clock.Now(),
	}}
	if err := s.journal.Put(p.entry); err != nil {
		s.setBlocking(s.conditionOf(err))
		s.logError(s.journal.Forget(work.Deployment))
		return
	}
	s.queue = s.queue[1:]
	s.current = p
	s.sendClaim()
}

// owesEnd reports whether the end of a part of the project was not sent on this connection. The server must know it before
// it decides about another claim: if its log has lost the part, nothing else keeps another part from overwriting it.
func (s *session) owesEnd(project string) bool {
	return slices.ContainsFunc(s.ended, func(p *part) bool { return p.entry.Project == project && !p.endSent })
}

// sendClaim claims the current part.
func (s *session) sendClaim() {
	if s.current != nil && !s.current.running() && !s.owesEnd(s.current.entry.Project) {
		s.send(client.FromAgent{Claim: &client.Claim{Deployment: s.current.entry.Deployment}})
	}
}

// resend repeats every message that had no answer.
func (s *session) resend() {
	for _, p := range s.ended {
		p.endSent = false
	}
	s.unsent = true
	s.retryConditions()
	s.sendClaim()
	s.next()
}

// claimed handles the answer to a claim. The part starts only if the claim counts.
func (s *session) claimed(c client.Claimed) {
	p := s.current
	if p == nil || p.running() || p.entry.Deployment != c.Deployment {
		return
	}
	if c.Values != nil {
		p.work.Variables, p.work.Secrets = c.Values.Variables, c.Values.Secrets
	}
	if c.Counts || p.claimRecorded && c.Reason == string(domain.AlreadyClaimed) {
		s.start(p)
		return
	}
	if p.claimRecorded { // the claim is in the log, so the log needs an end
		s.finish(p, run.InterruptedEnd(c.Deployment, "", "not started: the server rejected the claim, "+c.Reason))
		return
	}
	s.log.Info("the claim does not count", zap.String("deployment", c.Deployment), zap.String("reason", c.Reason))
	s.lastVoid = voidClaim{deployment: c.Deployment, until: s.config.Clock.Elapsed() + voidClaimDelay}
	s.logError(s.journal.Forget(c.Deployment))
	s.current = nil
	s.next()
}

// start starts the steps after it has recorded in the journal that they may be running.
func (s *session) start(p *part) {
	if s.stopping {
		s.finish(p, run.InterruptedEnd(p.entry.Deployment, "", "the agent was stopped before the first step"))
		return
	}
	if end, before := s.previousResult(p.entry.Deployment); before {
		s.finish(p, end)
		return
	}
	entry := p.entry
	entry.State, entry.Since = journal.Running, s.config.Clock.Now()
	if err := s.journal.Put(entry); err != nil {
		s.finish(p, run.InterruptedEnd(p.entry.Deployment, "", "not started: "+err.Error()))
		return
	}
	p.entry, p.done, p.spool = entry, make(chan client.End, 1), s.createOutput(entry.Deployment)
	s.log.Info("part started", zap.String("deployment", entry.Deployment), zap.String("project", entry.Project),
		zap.String("release", entry.Release))
	ready := s.runnable(p)
	ctx, spool, done := s.ctx, p.spool, p.done
	s.tasks.Go(func() {
		end := ready.Run(ctx)
		p.failed = []error{spool.Finish(), s.journal.CleanUp(end.Deployment)}
		done <- end
	})
}

// kill stops the current part because a person wants that. A part that is still being claimed stops before its first
// step. The request is void for any other part: it has ended here.
func (s *session) kill(k client.Kill) {
	if s.current == nil || s.current.entry.Deployment != k.Deployment {
		return
	}
	s.log.Warn("a person stops the part", zap.String("deployment", k.Deployment), zap.String("by", k.By),
		zap.String("reason", k.Reason))
	s.current.kill.Ask(k.By, k.Reason)
}

// createOutput returns a spool on disk, or in memory if the file could not be created.
func (s *session) createOutput(deployment string) *output.Spool {
	spool, err := output.Create(s.journal.OutputFile(deployment), 0)
	if err != nil {
		s.logError(err)
		return output.InMemory(0, err)
	}
	return spool
}

// runnable returns the part for package run. Before the first line of each step runs, the step's process group is
// recorded in the journal.
func (s *session) runnable(p *part) run.Part {
	entry, work := p.entry, p.work
	folder, err := filepath.Abs(s.journal.PartFolder(work.Deployment))
	if err != nil {
		folder = s.journal.PartFolder(work.Deployment)
	}
	return run.Part{
		Work: work, Folder: folder, SecretsFile: s.journal.SecretsFile(), Output: p.spool, Stopping: p.stopping,
		Kill:    p.kill,
		PassEnv: s.config.PassEnv, Masked: s.masked,
		Starting: func(step string, group run.Group) error {
			entry.Step, entry.Group = step, &group
			return s.journal.Put(entry)
		},
	}
}

// finish records an end and starts to report it.
func (s *session) finish(p *part, end client.End) {
	p.entry = journal.Entry{
		Deployment: p.entry.Deployment, Project: p.entry.Project, Release: p.entry.Release,
		Number: p.entry.Number, State: journal.Ended, Since: s.config.Clock.Now(), End: &end, Ran: p.entry.State == journal.Running,
	}
	s.log.Info("part ended", zap.String("deployment", end.Deployment), zap.String("state", string(end.State)),
		zap.String("reason", string(end.Reason)), zap.String("detail", end.Detail))
	for _, err := range append(p.failed, s.journal.Put(p.entry)) {
		s.logError(err)
	}
	p.done, p.failed = nil, nil
	s.ended = append(s.ended, p)
	s.unsent = true
	if s.current == p {
		s.current = nil
		s.startStopDeadline()
		s.next()
	}
}

// confirmed handles the confirmation that an end is in the log. It removes the entry only after the result is stored;
// until then the agent sends the end again.
func (s *session) confirmed(c client.Ended) {
	i := slices.IndexFunc(s.ended, func(p *part) bool { return p.entry.Deployment == c.Deployment })
	if i < 0 {
		return
	}
	p := s.ended[i]
	if p.entry.End.State == domain.PartSucceeded {
		if c.Event == "" { // the log has lost the deployment: no event will record this success
			c.Event = c.Deployment
		}
		statement := journal.Success{Deployment: c.Deployment, Release: p.entry.Release, Number: p.entry.Number}
		err := s.journal.Remember(p.entry.Project, statement)
		if err == nil {
			err = s.journal.RecordSuccess(p.entry.Project, c)
		}
		if err != nil {
			s.logError(err)
			return
		}
	}
	if p.entry.Ran {
		if err := s.journal.RecordRun(p.entry.Project, *p.entry.End); err != nil {
			s.logError(err)
			return
		}
	}
	p.close()
	s.logError(s.journal.Forget(c.Deployment))
	s.ended = slices.Delete(s.ended, i, i+1)
	if s.checker != nil {
		s.checker.partEnded()
	}
}

// sendNext sends one chunk of output or one end, and reports whether there was anything to send. It sends the end of
// a part after all of its output.
func (s *session) sendNext() bool {
	for _, p := range s.ended {
		if s.sendOutput(p) {
			return true
		}
		if !p.endSent {
			p.endSent = true
			s.send(client.FromAgent{End: p.entry.End})
			s.sendClaim()
			s.next()
			return true
		}
	}
	return s.current != nil && s.sendOutput(s.current)
}

// sendOutput sends the next chunk of a part's output, if there is one.
func (s *session) sendOutput(p *part) bool {
	if p.spool == nil {
		return false
	}
	chunk, err := p.spool.Next(&p.cursor)
	if err != nil {
		if !errors.Is(err, io.EOF) {
			s.log.Warn("could not read the rest of a part's output", zap.String("deployment", p.entry.Deployment),
				zap.Error(err))
			p.close()
			p.spool = nil
		}
		return false
	}
	s.send(client.FromAgent{Output: &client.Output{Deployment: p.entry.Deployment, Sequence: chunk.Sequence,
		Data: chunk.Data}})
	return true
}
