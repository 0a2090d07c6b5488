package agent

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/droverhq/drover/agent/journal"
	"github.com/droverhq/drover/agent/output"
	"github.com/droverhq/drover/agent/run"
	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
)

// Settings that apply until a server has sent its own.
const (
	defaultHeartbeat    = 10 * time.Second
	defaultOfflineAfter = 30 * time.Second
	// Lower bounds for the settings from a server, so that an invalid value cannot cause a flood of messages.
	minHeartbeat    = 10 * time.Millisecond
	minOfflineAfter = time.Second
)

const (
	// sendTimeout bounds the time to send one message; after that, the connection counts as lost.
	sendTimeout = 10 * time.Second
	// maxResendInterval bounds how long the agent waits before it sends an unanswered claim or end again. maxStopWait
	// bounds how long a stopping agent waits for the confirmation of its last end.
	maxResendInterval = 10 * time.Second
	maxStopWait       = 10 * time.Second
)

// maxWarnings bounds the warnings of a server that the agent logs for one connection.
const maxWarnings = 20

// closed is a channel that is always ready to receive from.
var closed = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// Run runs an agent until it is stopped. It returns nil when ctx is done or Config.StopNow is signalled. Otherwise it
// returns an *Error whose text explains to an operator what to do.
func Run(ctx context.Context, c Config) error {
	c, err := c.check()
	if err != nil {
		return &Error{Kind: Invalid, Err: err}
	}
	dial, err := dialWebSocket(c)
	if err != nil {
		return &Error{Kind: Invalid, Err: err}
	}
	j, left, err := journal.Open(c.Data)
	if inUse := (*journal.InUse)(nil); errors.As(err, &inUse) {
		return &Error{Kind: Conflict, Err: err}
	}
	if err != nil {
		return &Error{Kind: Invalid, Err: err}
	}
	defer j.Close()
	if q := j.Quarantined(); q != nil {
		c.Logger.Error("the agent's memory was damaged and has been renamed; continuing with an empty memory",
			zap.String("file", q.File), zap.String("renamed", q.Kept), zap.Error(q.Err))
	}
	for _, server := range c.Servers {
		if isUnencrypted(server) {
			c.Logger.Warn("the connection to the server is not encrypted and exposes "+
				"this machine's secret and the output of its steps; use https",
				zap.String("server", server))
		}
	}
	g := newGreeter(c, j, dial)
	if g.joins && !client.IsToken(c.Join) {
		return &Error{Kind: Invalid, Err: errors.New("the join token contains an invalid character, such as a line break " +
			"(set --join or DROVER_JOIN to exactly what `drover token create --join` printed)")}
	}
	if g.joins && c.Environment == "" { // a machine that exists already has one
		c.Logger.Warn("no environment is given; the server accepts this agent only if its machine exists already, so start it "+
			"with --environment", zap.String("machine", c.Name))
	}
	s := newSession(c, j, g.open)
	s.setLeft(j.Orphans())
	s.recoverEntries(left)
	return s.run(ctx)
}

// session is one run of the agent. All fields belong to the goroutine of run.
type session struct {
	config  Config
	log     *zap.Logger
	id      string
	journal *journal.Journal

	connector      *connector
	connectResults chan connectResult
	link           *link // nil: not connected
	settings       client.Settings

	current    *part           // claiming or running; nil: idle
	ended      []*part         // until their ends are confirmed
	queue      []client.Work   // offers that wait for the current part
	unresolved []journal.Entry // claims of an earlier run: the server must confirm them
	lastVoid   voidClaim       // the last claim that did not count
	lastNumber int64           // number of the newest entry in the journal
	conditions conditions
	unsent     bool // there may be output or an end to send

	checker         *checker // nil: no check
	heartbeatTicker *time.Ticker
	resendTicker    *time.Ticker

	stopRequested  <-chan struct{} // asks the agent to stop after the running step
	killRequested  <-chan struct{} // asks the agent to stop immediately
	stopping       bool
	killed         bool
	stopDeadline   <-chan time.Time // when the agent stops waiting for confirmations
	deadlinePassed bool             // unconfirmed entries stay in the journal
	refused        error            // a permanent refusal
	warnings       []string         // of the last welcome
	masked         []string         // credentials of the agent, for run.Part

	ctx    context.Context // its cancellation ends all goroutines of the session
	cancel context.CancelFunc
	tasks  sync.WaitGroup
}

// connectResult is the result of connector.connect.
type connectResult struct {
	link *link
	err  error
}

// credentials returns the values that let others act as this agent or join: the agent's own secret, and the secret half
// of the join token.
func credentials(c Config, own journal.Identity) []string {
	all := []string{own.Secret}
	if _, secret, ok := strings.Cut(c.Join, "."); ok {
		all = append(all, secret)
	}
	return all
}

func newSession(c Config, j *journal.Journal, open opener) *session {
	masked := credentials(c, j.Identity())
	c.Join = "" // only the opener needs it
	return &session{
		masked: masked,
		config: c, log: c.Logger, id: uuid.NewString(), journal: j, killRequested: c.StopNow,
		connector:       &connector{open: open, servers: shuffled(c.Servers), log: c.Logger, elapsed: c.Clock.Elapsed},
		connectResults:  make(chan connectResult),
		heartbeatTicker: time.NewTicker(defaultHeartbeat),
		resendTicker:    time.NewTicker(maxResendInterval),
		settings: client.Settings{
			HeartbeatEvery: domain.Duration(defaultHeartbeat),
			OfflineAfter: max(cmp.Or(j.Trust().OfflineAfter, domain.Duration(defaultOfflineAfter)),
				domain.Duration(minOfflineAfter)),
		},
	}
}

// run handles one event after another until the session is complete.
func (s *session) run(ctx context.Context) error {
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	s.stopRequested = ctx.Done()
	s.connect()
	for !s.complete() {
		s.handleNext()
	}
	s.shutDown()
	if s.refused != nil {
		return &Error{Kind: Forbidden, Err: s.refused}
	}
	return nil
}

// handleNext waits for one event and handles it.
func (s *session) handleNext() {
	select {
	case <-s.killRequested:
		s.stopNow()
	case <-s.stopRequested:
		s.stop()
	case a := <-s.connectResults:
		s.handleConnectResult(a)
	case m := <-s.incoming():
		s.handle(m)
	case err := <-s.lost():
		s.disconnected(err)
	case end := <-s.current.finished():
		s.finish(s.current, end)
	case <-s.current.outputWritten():
		s.unsent = true
	case <-s.ready():
		s.unsent = s.sendNext()
	case result := <-s.results():
		s.healthChecked(result)
	case <-s.heartbeatTicker.C:
		s.sendHeartbeat()
	case <-s.resendTicker.C:
		s.resend()
	case <-s.stopDeadline:
		s.deadlinePassed = true
	}
}

// stop starts a clean shutdown: the running step can finish, and nothing new starts.
func (s *session) stop() {
	s.stopRequested, s.stopping, s.queue = nil, true, nil
	if s.current.running() {
		s.log.Info("stopping after the running step")
	} else {
		s.log.Info("stopping")
	}
	s.stopAfterStep()
	s.startStopDeadline()
}

// stopAfterStep makes the running step the last one.
func (s *session) stopAfterStep() {
	if s.current.running() && !isClosed(s.current.stopping) {
		close(s.current.stopping)
	}
}

// startStopDeadline bounds the wait for the server's last confirmations.
func (s *session) startStopDeadline() {
	if s.stopping && s.stopDeadline == nil && !s.current.running() {
		s.stopDeadline = time.After(min(time.Duration(s.settings.OfflineAfter), maxStopWait))
	}
}

// stopNow kills all running steps.
func (s *session) stopNow() {
	s.killRequested, s.stopRequested, s.stopping, s.killed = nil, nil, true, true
	s.log.Warn("stopping immediately")
	s.cancel()
}

// complete reports whether the session has nothing left to do.
func (s *session) complete() bool {
	switch {
	case s.current.running():
		return false
	case s.killed || s.deadlinePassed || s.refused != nil:
		return true
	case !s.stopping || s.current != nil || len(s.ended) > 0:
		return false
	}
	return s.link != nil || !s.config.Ephemeral
}

// shutDown sends a goodbye to the server, if connected, and ends all goroutines.
func (s *session) shutDown() {
	if s.link != nil {
		close(s.link.closed)
		if !s.killed && s.refused == nil {
			s.trySend(client.FromAgent{Goodbye: &client.Goodbye{Delete: s.config.Ephemeral}})
			s.link.Close()
		}
		s.link.Drop()
	}
	s.cancel()
	s.heartbeatTicker.Stop()
	s.resendTicker.Stop()
	s.tasks.Wait()
	for _, p := range s.ended {
		p.close()
	}
}

// connect looks for a server in the background.
func (s *session) connect() {
	identity := s.journal.Identity()
	hello := client.Hello{
		Machine: s.config.Name, Instance: identity.Instance, Session: s.id,
		Environment: s.config.Environment, Roles: s.config.Roles, Ephemeral: s.config.Ephemeral, Policy: s.config.Policy,
		Version: s.config.Version, Memory: s.helloMemory(), StatesConditions: true, ObeysKill: true,
	}
	limit := min(maxDelay, time.Duration(s.settings.OfflineAfter)/3)
	s.tasks.Go(func() {
		l, err := s.connector.connect(s.ctx, hello, limit)
		select {
		case s.connectResults <- connectResult{link: l, err: err}:
		case <-s.ctx.Done():
			if l != nil {
				l.Drop()
			}
		}
	})
}

// helloMemory returns what the agent knows about the log for the hello, or nil if it knows nothing.
func (s *session) helloMemory() *client.Memory {
	m := s.journal.Memory()
	if m == nil || m.Machine != s.config.Name || m.Event == "" && len(m.Successes) == 0 && len(m.Earlier) == 0 {
		return nil
	}
	return fitted(m, client.MaxMemoryBytes)
}

// remembered states the successes on this machine: the confirmed ones, and the ones in the journal.
func (s *session) remembered() *client.Remembered {
	statement := s.journal.Remembered()
	for _, p := range s.ended {
		if p.entry.End.State == domain.PartSucceeded {
			proven := statement.Projects[p.entry.Project]
			proven.Release, proven.Deployments = p.entry.Release, append(proven.Deployments, p.entry.Deployment)
			statement.Projects[p.entry.Project] = proven
		}
	}
	statement.Unconfirmed = s.unconfirmed()
	return &statement
}

// unconfirmed returns the parts that have run or are running, and whose ends are not confirmed.
func (s *session) unconfirmed() map[string]client.RanPart {
	parts := map[string]client.RanPart{}
	add := func(e journal.Entry) { parts[e.Deployment] = client.RanPart{Project: e.Project, Release: e.Release} }
	for _, p := range s.ended {
		if p.entry.Ran {
			add(p.entry)
		}
	}
	if s.current.running() {
		add(s.current.entry)
	}
	return parts
}

// handleConnectResult handles the result of connect.
func (s *session) handleConnectResult(a connectResult) {
	if a.err != nil {
		if s.ctx.Err() == nil {
			s.refusedPermanently(a.err)
		}
		return
	}
	s.link = a.link
	s.link.heard()
	s.tasks.Go(func() { a.link.receive(s.ctx) })
	s.log.Info("connected", zap.String("server", a.link.server), zap.String("log", a.link.welcome.Log))
	s.welcomed(a.link.welcome)
}

// refusedPermanently handles a permanent refusal: the running step can finish, then the agent ends.
func (s *session) refusedPermanently(err error) {
	s.refused, s.stopping, s.queue = err, true, nil
	s.log.Error("the server permanently refused this agent", zap.Error(err))
	s.stopAfterStep()
}

// disconnected abandons a lost connection and looks for another one.
func (s *session) disconnected(err error) {
	s.log.Warn("disconnected", zap.String("server", s.link.server), zap.Error(err))
	close(s.link.closed)
	s.link.Drop()
	s.connector.backoff.ConnectionLasted(s.config.Clock.Elapsed() - s.link.since)
	s.link = nil
	if s.checker != nil {
		s.checker.reported = ""
	}
	if s.refused == nil {
		s.connect()
	}
}

// trySend sends a message on the current connection, which must exist.
func (s *session) trySend(m client.FromAgent) error {
	ctx, cancel := context.WithTimeout(s.ctx, sendTimeout)
	defer cancel()
	return s.link.Send(ctx, m)
}

// send sends a message if there is a connection. If the send fails, it abandons the connection: all important
// messages are sent again on the next one.
func (s *session) send(m client.FromAgent) {
	if s.link == nil {
		return
	}
	if err := s.trySend(m); err != nil {
		s.disconnected(err)
	}
}

// handle handles one message from the server.
func (s *session) handle(m client.ToAgent) {
	if m.Settings != nil {
		s.apply(*m.Settings)
	}
	if m.Newest != nil {
		s.logError(s.journal.RecordEvent(*m.Newest))
	}
	if m.Claimed != nil {
		s.claimed(*m.Claimed)
	}
	if m.Ended != nil {
		s.confirmed(*m.Ended)
	}
	if m.Kill != nil {
		s.kill(*m.Kill)
	}
	if m.Offer != nil {
		s.offer(*m.Offer)
	}
	if m.Welcome != nil {
		s.welcomed(*m.Welcome)
	}
	if m.Refused != nil && s.link != nil {
		s.refusedDuringSession(&refusal{Refused: *m.Refused, from: s.link.server, proven: true})
	}
}

// refusedDuringSession handles a refusal after the welcome.
func (s *session) refusedDuringSession(r *refusal) {
	final := s.connector.handleRefusal(r)
	if final {
		s.refusedPermanently(r)
	}
	if s.link != nil {
		s.disconnected(r)
	}
}

// welcomed continues where the last connection ended.
func (s *session) welcomed(w client.Welcome) {
	for _, sentence := range w.Warnings[:min(len(w.Warnings), maxWarnings)] {
		if !slices.Contains(s.warnings, sentence) { // else it was logged for an earlier connection
			s.log.Warn("warning from the server", zap.String("warning", sentence))
		}
	}
	s.warnings = w.Warnings[:min(len(w.Warnings), maxWarnings)]
	s.logError(s.journal.RecordLog(w, s.config.Name))
	s.send(client.FromAgent{Remembered: s.remembered()})
	s.stateConditions()
	s.apply(w.Settings)
	s.queue = nil
	s.reconcile(w.Unfinished)
	s.reportHealth()
}

// logError logs an error of writing to the data folder. The write will be retried.
func (s *session) logError(err error) {
	if left := (*journal.Left)(nil); errors.As(err, &left) {
		s.setLeft(err)
		return
	}
	if err != nil {
		s.log.Error("could not write to the data folder", zap.Error(err))
		s.setBlocking(s.conditionOf(err))
	}
}

// apply applies the settings of the policy.
func (s *session) apply(settings client.Settings) {
	if settings.HeartbeatEvery <= 0 {
		settings.HeartbeatEvery = domain.Duration(defaultHeartbeat)
	}
	if settings.OfflineAfter <= 0 {
		settings.OfflineAfter = domain.Duration(defaultOfflineAfter)
	}
	settings.OfflineAfter = max(settings.OfflineAfter, domain.Duration(minOfflineAfter))
	every := max(time.Duration(settings.HeartbeatEvery), minHeartbeat)
	s.heartbeatTicker.Reset(every)
	s.resendTicker.Reset(min(2*every, maxResendInterval))
	s.settings = settings
	s.watchHealth(settings.HealthCheck)
}

// sendHeartbeat sends a heartbeat, and pings the server if it has been silent for too long.
func (s *session) sendHeartbeat() {
	if s.link == nil {
		return
	}
	s.send(client.FromAgent{Heartbeat: &client.Heartbeat{Clock: s.config.Clock.Now()}})
	if s.link != nil {
		link, maxSilence := s.link, 2*max(time.Duration(s.settings.HeartbeatEvery), time.Second)
		link.probe(s.ctx, maxSilence)
	}
}

// watchHealth starts the health check of the policy, unless the same check is already running.
func (s *session) watchHealth(check *domain.HealthCheck) {
	if s.checker != nil && check != nil && s.checker.requested == *check {
		return
	}
	if s.checker != nil {
		s.checker.stop()
		s.checker = nil
	}
	if check == nil {
		return
	}
	c := newChecker(*check, s.journal.HealthFolder(), s.config, func() *output.Mask {
		return run.Mask(s.journal.SecretsFile(), s.masked)
	})
	ctx, stop := context.WithCancel(s.ctx)
	c.stop = stop
	s.tasks.Go(func() { c.run(ctx) })
	s.checker = c
}

// healthChecked handles a result of the health check. A part that ended during the run has started the next run.
func (s *session) healthChecked(result checkResult) {
	if result.parts != s.checker.parts.Load() {
		return
	}
	s.checker.last = &result.health
	s.reportHealth()
}

// reportHealth sends the health unless this connection's server already has it.
func (s *session) reportHealth() {
	c := s.checker
	if c == nil || c.last == nil || s.link == nil || c.last.Status == c.reported {
		return
	}
	c.reported = c.last.Status
	s.send(client.FromAgent{Health: c.last})
}

// The channels of handleNext. A nil channel is never ready.

func (s *session) incoming() <-chan client.ToAgent {
	if s.link == nil {
		return nil
	}
	return s.link.in
}

func (s *session) lost() <-chan error {
	if s.link == nil {
		return nil
	}
	return s.link.lost
}

func (s *session) results() <-chan checkResult {
	if s.checker == nil {
		return nil
	}
	return s.checker.results
}

func (s *session) ready() <-chan struct{} {
	if s.link == nil || !s.unsent {
		return nil
	}
	return closed
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// has reports whether the session has a part of the deployment, in any state.
func (s *session) has(deployment string) bool {
	return s.current != nil && s.current.entry.Deployment == deployment ||
		slices.ContainsFunc(s.ended, func(p *part) bool { return p.entry.Deployment == deployment }) ||
		slices.ContainsFunc(s.queue, func(w client.Work) bool { return w.Deployment == deployment })
}
