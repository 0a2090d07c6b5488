package agent

import (
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
	// longestQueue bounds the offers that wait; the server offers again what is left out.
	longestQueue = 16
	// denialHolds is how long a part whose claim did not count is not claimed again.
	denialHolds = time.Second
)

// part is the share of this machine in a deployment, from its claim to its confirmed end.
type part struct {
	entry journal.Entry
	work  client.Work
	// named: the server named it among the unfinished, so a claim of it is in the log.
	named bool

	spool  *output.Spool // nil: no output
	cursor output.Cursor // what was sent on this connection
	said   bool          // the end was sent on this connection

	stopping chan struct{}
	done     chan client.End
}

// denial is a claim that did not count.
type denial struct {
	deployment string
	until      time.Time
}

func (p *part) running() bool { return p != nil && p.entry.State == journal.Running }

func (p *part) finished() <-chan client.End {
	if p == nil {
		return nil
	}
	return p.done
}

func (p *part) wrote() <-chan struct{} {
	if p == nil || p.spool == nil {
		return nil
	}
	return p.spool.Wrote()
}

// rewind makes the part be told from its beginning.
func (p *part) rewind() { p.cursor, p.said = output.Cursor{}, false }

func (p *part) close() {
	if p.spool != nil {
		_ = p.spool.Close()
	}
}

// takeUp takes what an earlier run of the agent left in the journal.
func (s *session) takeUp(left []journal.Entry) {
	slices.SortStableFunc(left, func(a, b journal.Entry) int { return a.Since.Compare(b.Since) })
	for _, entry := range left {
		switch entry.State {
		case journal.Claiming:
			s.unsure = append(s.unsure, entry)
		case journal.Running:
			s.takeUpRunning(entry)
		case journal.Ended:
			s.ended = append(s.ended, &part{entry: entry, spool: s.reopen(entry.Deployment)})
		}
	}
}

// takeUpRunning ends a part that an earlier run of the agent was running when it died.
func (s *session) takeUpRunning(entry journal.Entry) {
	if entry.Group != nil {
		stopped, stuck := entry.Group.ClearOrphans(entry.Deployment, run.DefaultGrace)
		s.log.Warn("a part was interrupted when the agent ended", zap.String("deployment", entry.Deployment),
			zap.String("step", entry.Step), zap.Int("stopped", stopped), zap.Int("stuck", stuck))
	}
	p := &part{entry: entry, spool: s.reopen(entry.Deployment)}
	if p.spool != nil {
		_, _ = p.spool.Write([]byte("\ndrover: the agent ended while this step was running\n"))
		_ = p.spool.Finish()
	}
	detail := "the agent ended before the first step was started"
	if entry.Step != "" {
		detail = "the agent ended while step " + entry.Step + " was running, and cannot know how far it came"
	}
	s.finish(p, run.InterruptedEnd(entry.Deployment, entry.Step, detail))
}

// reopen opens the output that an earlier run kept; nil if it cannot be had.
func (s *session) reopen(deployment string) *output.Spool {
	spool, err := output.Reopen(s.journal.OutputFile(deployment), 0)
	if err != nil {
		s.log.Warn("the output of a part is lost", zap.String("deployment", deployment), zap.Error(err))
		return nil
	}
	return spool
}

// reconcile answers each part that the server calls claimed and not ended.
func (s *session) reconcile(unfinished []client.Unfinished) {
	for _, p := range s.ended {
		p.rewind()
	}
	if s.current != nil {
		s.current.rewind()
	}
	s.unsent = true
	for _, u := range unfinished {
		s.answer(u)
	}
	for _, entry := range s.unsure { // not named: the claim does not count
		s.note(s.journal.Forget(entry.Deployment))
	}
	s.unsure = nil
	s.sayClaim()
}

// answer says what the journal knows of a part.
func (s *session) answer(u client.Unfinished) {
	detail := "the agent has no record of this part"
	if i := slices.IndexFunc(s.unsure, func(e journal.Entry) bool { return e.Deployment == u.Deployment }); i >= 0 {
		s.unsure = slices.Delete(s.unsure, i, i+1)
		detail = "the agent ended before the first step was started"
	} else if s.current != nil && s.current.entry.Deployment == u.Deployment {
		s.current.named = true
		if s.current.running() {
			s.send(client.FromAgent{Answer: &client.PartAnswer{Deployment: u.Deployment, Running: true}})
		}
		return
	} else if s.knows(u.Deployment) {
		return // its end is sent anyway
	}
	p := &part{entry: journal.Entry{Deployment: u.Deployment, Project: u.Project}}
	if end, before := s.ranBefore(u.Deployment); before {
		s.finish(p, end)
		return
	}
	s.finish(p, run.InterruptedEnd(u.Deployment, "", detail))
}

// ranBefore is what to tell a log, that was restored since, of a part that was run here: what it came to, unless the
// machine has not got that any more.
func (s *session) ranBefore(deployment string) (client.End, bool) {
	end, older, before := s.journal.Run(deployment)
	if !before {
		return end, false
	}
	if older && end.State == domain.PartSucceeded {
		end = run.InterruptedEnd(deployment, "", "it was run here before the log was restored, and another part of the project since")
	}
	s.log.Warn("this part was run before; the log was restored since, and is told the result again", zap.String("deployment", deployment), zap.String("state", string(end.State)))
	return end, true
}

// offer takes work that the server offers.
func (s *session) offer(w client.Work) {
	log := s.log.With(zap.String("deployment", w.Deployment), zap.String("project", w.Project))
	switch {
	case s.stopping || s.knows(w.Deployment):
	case w.Machine != s.config.Name:
		log.Error("passed over an offer that is for another machine", zap.String("machine", w.Machine))
	case !journal.SafeName(w.Deployment):
		log.Error("passed over an offer whose deployment has an impossible id")
	case len(s.queue) >= longestQueue:
		log.Warn("passed over an offer because too many wait")
	default:
		s.queue = append(s.queue, w)
		if s.denied.deployment != w.Deployment || time.Now().After(s.denied.until) {
			s.next()
		}
	}
}

// next claims the first offer that waits, if nothing else is under way. What cannot be
// written down is not claimed; it is tried again later.
func (s *session) next() {
	if s.current != nil || s.stopping || s.link == nil || len(s.queue) == 0 {
		return
	}
	work := s.queue[0]
	p := &part{work: work, stopping: make(chan struct{}), entry: journal.Entry{
		Deployment: work.Deployment, Project: work.Project, Release: work.Release, State: journal.Claiming, Since: time.Now(),
	}}
	if err := s.journal.Put(p.entry); err != nil {
		s.log.Error("nothing is claimed because the journal cannot be written", zap.String("deployment", work.Deployment), zap.Error(err))
		return
	}
	s.queue = s.queue[1:]
	s.current = p
	s.sayClaim()
}

// sayClaim asks for the part that is being claimed.
func (s *session) sayClaim() {
	if s.current != nil && !s.current.running() {
		s.send(client.FromAgent{Claim: &client.Claim{Deployment: s.current.entry.Deployment}})
	}
}

// again says what had no answer.
func (s *session) again() {
	for _, p := range s.ended {
		p.said = false
	}
	s.unsent = true
	s.sayClaim()
	s.next()
}

// claimed takes the answer to a claim: only if it counts, the part starts.
func (s *session) claimed(c client.Claimed) {
	p := s.current
	if p == nil || p.running() || p.entry.Deployment != c.Deployment {
		return
	}
	if c.Counts || p.named && c.Reason == string(domain.AlreadyClaimed) {
		s.start(p)
		return
	}
	if p.named { // the log has it claimed and open, so it must be told an end
		s.finish(p, run.InterruptedEnd(c.Deployment, "", "not started: the server does not let it, "+c.Reason))
		return
	}
	s.log.Info("a claim does not count", zap.String("deployment", c.Deployment), zap.String("reason", c.Reason))
	s.denied = denial{deployment: c.Deployment, until: time.Now().Add(denialHolds)}
	s.note(s.journal.Forget(c.Deployment))
	s.current = nil
	s.next()
}

// start starts the steps, once it is written down that they may have been started.
func (s *session) start(p *part) {
	if s.stopping {
		s.finish(p, run.InterruptedEnd(p.entry.Deployment, "", "the agent was stopped before the first step"))
		return
	}
	if end, before := s.ranBefore(p.entry.Deployment); before {
		s.finish(p, end)
		return
	}
	entry := p.entry
	entry.State, entry.Since = journal.Running, time.Now()
	if err := s.journal.Put(entry); err != nil {
		s.finish(p, run.InterruptedEnd(p.entry.Deployment, "", "not started: "+err.Error()))
		return
	}
	p.entry, p.done, p.spool = entry, make(chan client.End, 1), s.spool(entry.Deployment)
	s.log.Info("running", zap.String("deployment", entry.Deployment), zap.String("project", entry.Project), zap.String("release", entry.Release))
	ready := s.prepared(p)
	life, spool, done := s.life, p.spool, p.done
	s.tasks.Go(func() {
		end := ready.Run(life)
		s.note(spool.Finish())
		s.note(s.journal.CleanUp(end.Deployment))
		done <- end
	})
}

// spool keeps the output on disk, or in memory if the disk does not take it.
func (s *session) spool(deployment string) *output.Spool {
	spool, err := output.Create(s.journal.OutputFile(deployment), 0)
	if err != nil {
		s.note(err)
		return output.InMemory(0, err)
	}
	return spool
}

// prepared is the part as package run takes it: each step's process group is written down
// before its first line.
func (s *session) prepared(p *part) run.Part {
	entry, work := p.entry, p.work
	folder, err := filepath.Abs(s.journal.PartFolder(work.Deployment))
	if err != nil {
		folder = s.journal.PartFolder(work.Deployment)
	}
	return run.Part{
		Work: work, Folder: folder, SecretsFile: s.journal.SecretsFile(), Output: p.spool, Stopping: p.stopping,
		Starting: func(step string, group run.Group) error {
			entry.Step, entry.Group = step, &group
			return s.journal.Put(entry)
		},
	}
}

// finish writes an end down and begins to report it.
func (s *session) finish(p *part, end client.End) {
	p.entry = journal.Entry{
		Deployment: p.entry.Deployment, Project: p.entry.Project, Release: p.entry.Release,
		State: journal.Ended, Since: time.Now(), End: &end, Ran: p.entry.State == journal.Running,
	}
	s.log.Info("ended", zap.String("deployment", end.Deployment), zap.String("state", string(end.State)), zap.String("reason", string(end.Reason)), zap.String("detail", end.Detail))
	s.note(s.journal.Put(p.entry))
	p.done = nil
	s.ended = append(s.ended, p)
	s.unsent = true
	if s.current == p {
		s.current = nil
		s.sayFarewell()
		s.next()
	}
}

// confirmed takes the confirmation that an end is in the log. The entry is forgotten only
// when the success is remembered; until then the end is said again.
func (s *session) confirmed(c client.Ended) {
	i := slices.IndexFunc(s.ended, func(p *part) bool { return p.entry.Deployment == c.Deployment })
	if i < 0 {
		return
	}
	p := s.ended[i]
	if p.entry.End.State == domain.PartSucceeded {
		if c.Event == "" { // the log does not know the deployment: it has lost it, and no event will ever prove this success
			c.Event = c.Deployment
		}
		if err := s.journal.RememberSuccess(p.entry.Project, c); err != nil {
			s.note(err)
			return
		}
	}
	if p.entry.Ran {
		if err := s.journal.RememberRun(p.entry.Project, *p.entry.End); err != nil {
			s.note(err)
			return
		}
	}
	p.close()
	s.note(s.journal.Forget(c.Deployment))
	s.ended = slices.Delete(s.ended, i, i+1)
}

// sendNext sends one chunk of output or one end, and reports whether there was one. The end
// of a part goes after all of its output.
func (s *session) sendNext() bool {
	for _, p := range s.ended {
		if s.sendOutput(p) {
			return true
		}
		if !p.said {
			p.said = true
			s.send(client.FromAgent{End: p.entry.End})
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
			s.log.Warn("the rest of a part's output is lost", zap.String("deployment", p.entry.Deployment), zap.Error(err))
			p.close()
			p.spool = nil
		}
		return false
	}
	s.send(client.FromAgent{Output: &client.Output{Deployment: p.entry.Deployment, Sequence: chunk.Sequence, Data: chunk.Data}})
	return true
}
