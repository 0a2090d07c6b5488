package agent

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/droverhq/drover/agent/journal"
	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
)

// Settings that hold until a server has said its own.
const (
	defaultHeartbeat    = 10 * time.Second
	defaultOfflineAfter = 30 * time.Second
	// No server asks for less than these; they keep nonsense from becoming a storm.
	shortestHeartbeat    = 10 * time.Millisecond
	shortestOfflineAfter = time.Second
)

const (
	// sendWithin bounds one message: a server that takes nothing for so long is no server.
	sendWithin = 10 * time.Second
	// longestRepeat and longestFarewell bound how long the agent waits before it says a claim
	// or an end again, and for the confirmation of its last end when it is stopped.
	longestRepeat   = 10 * time.Second
	longestFarewell = 10 * time.Second
)

// closed is always ready.
var closed = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// Run is an agent from its start to its stop. It returns nil when ctx ended or Config.Hurry
// was signalled, else an *Error that says what a person must do.
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
	for _, server := range c.Servers {
		if isOpen(server) {
			c.Logger.Warn("this machine's secret and the output of its steps can be read on the way to the server; use https", zap.String("server", server))
		}
	}
	s := newSession(c, j, dial)
	s.takeUp(left)
	return s.run(ctx)
}

// session is one run of the agent. All fields belong to the goroutine of run.
type session struct {
	config  Config
	log     *zap.Logger
	id      string
	journal *journal.Journal

	connector *connector
	arrivals  chan arrival
	link      *link // nil: not connected
	settings  client.Settings

	current *part           // claiming or running; nil: idle
	ended   []*part         // until their ends are confirmed
	queue   []client.Work   // offers that wait for the current part
	unsure  []journal.Entry // claims of an earlier run: the server is to be asked
	denied  denial          // the last claim that did not count
	unsent  bool            // there may be output or an end to send

	checker   *checker // nil: no check
	heartbeat *time.Ticker
	repeat    *time.Ticker

	asked    <-chan struct{} // the agent is asked to stop
	hurry    <-chan struct{} // … at once
	stopping bool
	hurried  bool
	farewell <-chan time.Time // when not to wait for the server's last answers any more
	waited   bool             // that time has come; what has no answer stays in the journal
	refused  error            // a final refusal

	life  context.Context // of everything that the session started
	end   context.CancelFunc
	tasks sync.WaitGroup
}

// arrival is how an attempt to connect ended.
type arrival struct {
	link *link
	err  error
}

func newSession(c Config, j *journal.Journal, dial dialer) *session {
	return &session{
		config: c, log: c.Logger, id: uuid.NewString(), journal: j, hurry: c.Hurry,
		connector: &connector{dial: dial, servers: shuffled(c.Servers), log: c.Logger},
		arrivals:  make(chan arrival),
		heartbeat: time.NewTicker(defaultHeartbeat),
		repeat:    time.NewTicker(longestRepeat),
		settings: client.Settings{
			HeartbeatEvery: domain.Duration(defaultHeartbeat), OfflineAfter: domain.Duration(defaultOfflineAfter),
		},
	}
}

// run takes one event after another until the session is over.
func (s *session) run(ctx context.Context) error {
	s.life, s.end = context.WithCancel(context.WithoutCancel(ctx))
	s.asked = ctx.Done()
	s.connect()
	for !s.over() {
		s.turn()
	}
	s.leave()
	if s.refused != nil {
		return &Error{Kind: Forbidden, Err: s.refused}
	}
	return nil
}

// turn waits for one event and takes it.
func (s *session) turn() {
	select {
	case <-s.hurry:
		s.stopNow()
	case <-s.asked:
		s.stop()
	case a := <-s.arrivals:
		s.arrived(a)
	case m := <-s.incoming():
		s.handle(m)
	case err := <-s.lost():
		s.disconnected(err)
	case end := <-s.current.finished():
		s.finish(s.current, end)
	case <-s.current.wrote():
		s.unsent = true
	case <-s.ready():
		s.unsent = s.sendNext()
	case result := <-s.results():
		s.checked(result)
	case <-s.heartbeat.C:
		s.beat()
	case <-s.repeat.C:
		s.again()
	case <-s.farewell:
		s.waited = true
	}
}

// stop begins the orderly end: what runs may end, nothing new begins.
func (s *session) stop() {
	s.asked, s.stopping, s.queue = nil, true, nil
	s.log.Info("stopping; the running step may end")
	s.stopAfterStep()
	s.sayFarewell()
}

// stopAfterStep makes the running step the last.
func (s *session) stopAfterStep() {
	if s.current.running() && !isClosed(s.current.stopping) {
		close(s.current.stopping)
	}
}

// sayFarewell bounds the wait for the server's last answers.
func (s *session) sayFarewell() {
	if s.stopping && s.farewell == nil && !s.current.running() {
		s.farewell = time.After(min(time.Duration(s.settings.OfflineAfter), longestFarewell))
	}
}

// stopNow kills what runs.
func (s *session) stopNow() {
	s.hurry, s.asked, s.stopping, s.hurried = nil, nil, true, true
	s.log.Warn("stopping at once")
	s.end()
}

// over reports whether there is nothing left to do.
func (s *session) over() bool {
	switch {
	case s.current.running():
		return false
	case s.hurried || s.waited || s.refused != nil:
		return true
	case !s.stopping || s.current != nil || len(s.ended) > 0:
		return false
	}
	return s.link != nil || !s.config.Ephemeral
}

// leave tells the server goodbye, if there is one, and ends everything.
func (s *session) leave() {
	if s.link != nil {
		close(s.link.over)
		if !s.hurried && s.refused == nil {
			s.trySend(client.FromAgent{Goodbye: &client.Goodbye{Delete: s.config.Ephemeral}})
			s.link.Close()
		}
		s.link.Drop()
	}
	s.end()
	s.heartbeat.Stop()
	s.repeat.Stop()
	s.tasks.Wait()
	for _, p := range s.ended {
		p.close()
	}
}

// connect looks for a server, beside everything else.
func (s *session) connect() {
	identity := s.journal.Identity()
	hello := client.Hello{
		Machine: s.config.Name, Instance: identity.Instance, Secret: identity.Secret, Session: s.id,
		Join: s.config.Join, Environment: s.config.Environment, Roles: s.config.Roles,
		Version: s.config.Version, Memory: s.memory(),
	}
	limit := min(longestDelay, time.Duration(s.settings.OfflineAfter)/2)
	s.tasks.Go(func() {
		l, err := s.connector.connect(s.life, hello, limit)
		select {
		case s.arrivals <- arrival{link: l, err: err}:
		case <-s.life.Done():
			if l != nil {
				l.Drop()
			}
		}
	})
}

// memory is what there is to tell a server of the log, if anything.
func (s *session) memory() *client.Memory {
	m := s.journal.Memory()
	if m == nil || m.Machine != s.config.Name || m.Event == "" && len(m.Successes) == 0 {
		return nil
	}
	return m
}

// arrived takes the result of connect.
func (s *session) arrived(a arrival) {
	if a.err != nil {
		if s.life.Err() == nil {
			s.refuse(a.err)
		}
		return
	}
	s.link = a.link
	s.link.heard.Store(time.Now().UnixNano())
	s.tasks.Go(func() { a.link.receive(s.life) })
	s.log.Info("connected", zap.String("server", a.link.server), zap.String("log", a.link.welcome.Log))
	s.welcomed(a.link.welcome)
}

// refuse takes a final refusal: what runs may come to the end of its step, then the agent ends.
func (s *session) refuse(err error) {
	s.refused, s.stopping, s.queue = err, true, nil
	s.log.Error("permanently refused", zap.Error(err))
	s.stopAfterStep()
}

// disconnected gives a line up and looks for the next.
func (s *session) disconnected(err error) {
	s.log.Warn("disconnected", zap.String("server", s.link.server), zap.Error(err))
	close(s.link.over)
	s.link.Drop()
	s.connector.backoff.Lived(time.Since(s.link.since))
	s.link = nil
	if s.checker != nil {
		s.checker.reported = ""
	}
	if s.refused == nil {
		s.connect()
	}
}

// trySend sends a message if there is a connection.
func (s *session) trySend(m client.FromAgent) error {
	ctx, cancel := context.WithTimeout(s.life, sendWithin)
	defer cancel()
	return s.link.Send(ctx, m)
}

// send sends a message if there is a connection, and gives the connection up if it does not
// take the message: whatever must arrive is said again on the next one.
func (s *session) send(m client.FromAgent) {
	if s.link == nil {
		return
	}
	if err := s.trySend(m); err != nil {
		s.disconnected(err)
	}
}

// handle takes one message of the server.
func (s *session) handle(m client.ToAgent) {
	if m.Settings != nil {
		s.apply(*m.Settings)
	}
	if m.Told != nil {
		s.note(s.journal.RememberEvent(*m.Told))
	}
	if m.Claimed != nil {
		s.claimed(*m.Claimed)
	}
	if m.Ended != nil {
		s.confirmed(*m.Ended)
	}
	if m.Offer != nil {
		s.offer(*m.Offer)
	}
	if m.Welcome != nil {
		s.welcomed(*m.Welcome)
	}
	if m.Refused != nil && s.link != nil {
		s.turnedAway(&refusal{Refused: *m.Refused, from: s.link.server})
	}
}

// turnedAway takes a refusal in the middle of a session.
func (s *session) turnedAway(r *refusal) {
	final := s.connector.refused(r)
	if final {
		s.refuse(r)
	}
	if s.link != nil {
		s.disconnected(r)
	}
}

// welcomed takes up where the last connection ended.
func (s *session) welcomed(w client.Welcome) {
	for _, sentence := range w.Warnings[:min(len(w.Warnings), 20)] {
		s.log.Warn("the server warns", zap.String("warning", sentence))
	}
	s.note(s.journal.RememberLog(w, s.config.Name))
	s.apply(w.Settings)
	s.queue = nil
	s.reconcile(w.Unfinished)
	s.report()
}

// note logs an error of writing something down that will be tried again.
func (s *session) note(err error) {
	if err != nil {
		s.log.Error("not written down", zap.Error(err))
	}
}

// apply takes the settings of the policy.
func (s *session) apply(settings client.Settings) {
	if settings.HeartbeatEvery <= 0 {
		settings.HeartbeatEvery = domain.Duration(defaultHeartbeat)
	}
	if settings.OfflineAfter <= 0 {
		settings.OfflineAfter = domain.Duration(defaultOfflineAfter)
	}
	settings.OfflineAfter = max(settings.OfflineAfter, domain.Duration(shortestOfflineAfter))
	every := max(time.Duration(settings.HeartbeatEvery), shortestHeartbeat)
	s.heartbeat.Reset(every)
	s.repeat.Reset(min(2*every, longestRepeat))
	s.settings = settings
	s.watchHealth(settings.HealthCheck)
}

// beat says that the session lives, and asks whether a silent server does.
func (s *session) beat() {
	if s.link == nil {
		return
	}
	s.send(client.FromAgent{Heartbeat: &client.Heartbeat{}})
	if s.link != nil {
		link, patience := s.link, 2*max(time.Duration(s.settings.HeartbeatEvery), time.Second)
		link.probe(s.life, patience)
	}
}

// watchHealth runs the check that the policy asks for, if it is another than before.
func (s *session) watchHealth(check *domain.HealthCheck) {
	if s.checker != nil && check != nil && s.checker.asked == *check {
		return
	}
	if s.checker != nil {
		s.checker.stop()
		s.checker = nil
	}
	if check == nil {
		return
	}
	c := newChecker(*check, s.journal.HealthFolder(), s.config.Name)
	ctx, stop := context.WithCancel(s.life)
	c.stop = stop
	s.tasks.Go(func() { c.run(ctx) })
	s.checker = c
}

// checked takes a result of the health check.
func (s *session) checked(result client.Health) {
	s.checker.last = &result
	s.report()
}

// report tells this connection's server the health if it does not know it.
func (s *session) report() {
	c := s.checker
	if c == nil || c.last == nil || s.link == nil || c.last.Status == c.reported {
		return
	}
	c.reported = c.last.Status
	s.send(client.FromAgent{Health: c.last})
}

// The channels of turn: nil, so never ready, where there is nothing to wait for.

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

func (s *session) results() <-chan client.Health {
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

// knows reports whether the deployment's part is here in any state.
func (s *session) knows(deployment string) bool {
	return s.current != nil && s.current.entry.Deployment == deployment ||
		slices.ContainsFunc(s.ended, func(p *part) bool { return p.entry.Deployment == deployment }) ||
		slices.ContainsFunc(s.queue, func(w client.Work) bool { return w.Deployment == deployment })
}
