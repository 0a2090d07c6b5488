package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/policies"
)

// slowOperation is how long an operation on the log may take before the time counts as an outage. A working log answers
// within milliseconds.
const slowOperation = 2 * time.Second

// operation is a kind of access to the log. A log can be readable and not writable.
type operation int

const (
	reading operation = iota
	writing           // appends, and renewals of the lease
	operations
)

// outages measures when this server cannot use the log. An outage lasts from the start of the first operation that
// failed, or was slow, to the end of the next one of its kind that succeeded. Agents cannot connect and results cannot
// be recorded meanwhile, so the time of an outage counts towards no timeout.
type outages struct {
	mu       sync.Mutex
	of       [operations]outage
	excluded time.Duration // the end of the last outage: no time is excluded twice
}

// outage is the state of one kind of operation.
type outage struct {
	running map[int]time.Duration // start of each operation that has not ended
	number  int                   // of the last operation
	failed  bool                  // the last operation that ended failed
	since   time.Duration         // start of the first one that failed
	worked  time.Duration         // end of the last one that the log answered
	full    bool                  // it failed because there is no space left
}

// begin records that an operation begins, and returns its number.
func (o *outages) begin(kind operation, now time.Duration) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := &o.of[kind]
	if s.running == nil {
		s.running = map[int]time.Duration{}
	}
	s.number++
	s.running[s.number] = now
	return s.number
}

// end records how an operation ended, and returns the time that no timeout may count: the outage that it ended.
func (o *outages) end(ctx context.Context, kind operation, number int, now time.Duration, err error) time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := &o.of[kind]
	begun := s.running[number]
	delete(s.running, number)
	slow := now-begun >= slowOperation
	switch {
	case !answered(err) && ctx.Err() != nil && !slow: // its caller gave up, which says nothing about the log
		return 0
	case !answered(err) && begun < s.worked: // an outage that has ended already
		return 0
	case !answered(err):
		if !s.failed {
			s.failed, s.since = true, begun
		}
		s.full = errors.Is(err, eventlog.ErrFull)
		return 0
	}
	begun = max(begun, s.worked)
	s.worked, slow = now, now-begun >= slowOperation
	switch {
	case !s.failed && !slow:
		return 0
	case s.failed:
		begun = min(begun, s.since)
	}
	s.failed, s.full = false, false
	passed := now - max(begun, o.excluded)
	o.excluded = now
	return passed
}

// answered reports whether the log worked: it did what was asked, or refused it with a reason.
func answered(err error) bool {
	var conflict *eventlog.Conflict
	return err == nil || errors.As(err, &conflict) || errors.Is(err, eventlog.ErrTooLarge) ||
		errors.Is(err, eventlog.ErrInvalid)
}

// ongoing returns for how long an outage of this kind has lasted; 0 without an outage.
func (s *outage) ongoing(now time.Duration) (lasted time.Duration) {
	if s.failed {
		lasted = now - s.since
	}
	for _, begun := range s.running {
		if waited := now - max(begun, s.worked); waited >= slowOperation {
			lasted = max(lasted, waited)
		}
	}
	return lasted
}

// writable reports whether the log accepts writes, as far as this server knows.
func (o *outages) writable(now time.Duration) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.of[writing].ongoing(now) == 0
}

// longest returns for how long the log has been unavailable to this server. A log without space does not count: it
// refuses the writes of every server alike.
func (o *outages) longest(now time.Duration) (lasted time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range o.of {
		if s := &o.of[i]; !s.full {
			lasted = max(lasted, s.ongoing(now))
		}
	}
	return lasted
}

// measure runs an operation on the log, and excludes the outage that it ended from all timeouts.
func (e *Engine) measure(ctx context.Context, kind operation, run func() error) error {
	number := e.outages.begin(kind, e.cfg.Clock.Elapsed())
	err := run()
	if passed := e.outages.end(ctx, kind, number, e.cfg.Clock.Elapsed(), err); passed > 0 {
		e.Paused(passed)
	}
	return err
}

// measuredLog is the log of an engine, with appends measured.
type measuredLog struct {
	eventlog.Log
	engine *Engine
}

// Append appends to the log and measures how long that takes.
func (l measuredLog) Append(ctx context.Context, stream string, expected eventlog.Revision,
	events ...eventlog.Event) (appended eventlog.Appended, err error) {
	err = l.engine.measure(ctx, writing, func() (err error) {
		appended, err = l.Log.Append(ctx, stream, expected, events...)
		return err
	})
	return appended, err
}

// ErrCutOff means that this server has not been able to use the log for longer than CutOffAfter.
var ErrCutOff = errors.New("this server is cut off from the log")

// CutOffAfter is how long a server keeps its agents while it cannot use the log. Other servers consider it gone when its
// lease is stale, and would then call machines offline whose agents stay. The rest of that time lets the agents connect
// to another server first; the lease may also have been some seconds old when the outage began.
const CutOffAfter = policies.LeaseStale / 2

// CutOff returns ErrCutOff, with the duration of the outage, while this server must not have agents.
func (e *Engine) CutOff() error {
	lasted := e.outages.longest(e.cfg.Clock.Elapsed())
	if lasted < CutOffAfter {
		return nil
	}
	return fmt.Errorf("%w, for %s now: its agents connect to other servers until the log is available again", ErrCutOff,
		lasted.Truncate(time.Second))
}

// Outage returns for how long this server has not been able to use the log; 0 if it can.
func (e *Engine) Outage() time.Duration { return e.outages.longest(e.cfg.Clock.Elapsed()) }
