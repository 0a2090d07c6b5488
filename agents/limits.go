package agents

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"github.com/droverhq/drover/access"
	"github.com/droverhq/drover/api/problem"
	"github.com/droverhq/drover/doctor"
	"github.com/droverhq/drover/domain"
)

// The limits that Limited counts.
const (
	// UnprovenLimit is the limit on connections that have not proved anything, and on the memory of their hellos.
	UnprovenLimit = "unproven"
	// HealthLimit is the limit on changes of one machine's health.
	HealthLimit = "health"
	// ConditionLimit is the limit on changes of what one machine's agent reports about its machine.
	ConditionLimit = "conditions"
	// ReconnectLimit is the limit on sessions that one machine begins.
	ReconnectLimit = "reconnects"
	// MessageLimit is the limit on messages of one machine.
	MessageLimit = "messages"
	// OutputLimit is the limit on output of one machine.
	OutputLimit = "output"
	// PlaceLimit is the limit on existing machines that joined with one join token.
	PlaceLimit = "machines"
)

// Limits lists them.
var Limits = []string{UnprovenLimit, HealthLimit, ConditionLimit, ReconnectLimit, MessageLimit, OutputLimit, PlaceLimit}

// Token buckets of one machine: how much at once, and how much per second after that. An agent that works as intended stays
// far below them.
const (
	healthAtOnce, healthEvery         = 20, 10 * time.Second
	conditionsAtOnce, conditionsEvery = 10, 5 * time.Minute
	reconnectsAtOnce, reconnectsEvery = 60, 5 * time.Second
	messagesAtOnce, messagesPerSecond = 1000, 100
	outputAtOnce, outputPerSecond     = 16 << 20, 4 << 20 // bytes of messages; a part has at most outputAtOnce
	// longestWait is how long a request over plain HTTP waits for its turn. Beyond it, the request is refused.
	longestWait = 2 * time.Second
	// maxBuckets bounds the memory. When it is reached, all buckets are dropped and begin full again.
	maxBuckets = 200_000
)

// buckets are the token buckets of one machine.
type buckets struct {
	health, conditions, reconnects, messages, output *rate.Limiter
}

// machineLimits contains the buckets of each machine. They outlive sessions: a machine does not evade them by a reconnect.
type machineLimits struct {
	mu sync.Mutex // guards the fields below
	by map[string]*buckets
	// reached contains what was limited recently.
	reached map[limitKey]*doctor.Limited
}

// limitKey identifies a limit of a machine.
type limitKey struct{ machine, limit string }

const (
	// maxReached bounds the memory. When it is reached, everything is forgotten.
	maxReached = 1000
	// reachedMaxAge is how long a limit is reported after it was reached.
	reachedMaxAge = 15 * time.Minute
)

// record records that a machine has reached a limit.
func (l *machineLimits) record(machine, limit string, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.reached == nil || len(l.reached) >= maxReached {
		l.reached = map[limitKey]*doctor.Limited{}
	}
	key := limitKey{machine, limit}
	seen := l.reached[key]
	if seen == nil || now.Sub(seen.Last) > reachedMaxAge {
		seen = &doctor.Limited{Machine: machine, Limit: limit}
		l.reached[key] = seen
	}
	seen.Times++
	seen.Last = now
}

// LimitedMachines lists the machines whose agents have recently reached a limit.
func (h *Hub) LimitedMachines() (list []doctor.Limited) {
	l, now := &h.machines, h.cfg.Clock.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, seen := range l.reached {
		if now.Sub(seen.Last) <= reachedMaxAge {
			list = append(list, *seen)
		}
	}
	return list
}

func (l *machineLimits) get(machine string) *buckets {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.by == nil || len(l.by) >= maxBuckets {
		l.by = map[string]*buckets{}
	}
	b := l.by[machine]
	if b == nil {
		b = &buckets{
			health:     rate.NewLimiter(rate.Every(healthEvery), healthAtOnce),
			conditions: rate.NewLimiter(rate.Every(conditionsEvery), conditionsAtOnce),
			reconnects: rate.NewLimiter(rate.Every(reconnectsEvery), reconnectsAtOnce),
			messages:   rate.NewLimiter(messagesPerSecond, messagesAtOnce),
			output:     rate.NewLimiter(outputPerSecond, outputAtOnce),
		}
		l.by[machine] = b
	}
	return b
}

// limitTime returns the time of the hub's clock, for the buckets.
func (h *Hub) limitTime() time.Time { return time.Unix(0, 0).Add(h.cfg.Clock.Elapsed()) }

// allowHealth reports whether a machine may change its health in the log now.
func (h *Hub) allowHealth(machine string) bool {
	if h.machines.get(machine).health.AllowN(h.limitTime(), 1) {
		return true
	}
	h.recordLimited(machine, HealthLimit)
	return false
}

// allowConditions reports whether a machine may change its conditions in the log now.
func (h *Hub) allowConditions(machine string) bool {
	if h.machines.get(machine).conditions.AllowN(h.limitTime(), 1) {
		return true
	}
	h.recordLimited(machine, ConditionLimit)
	return false
}

// allowReconnect returns a problem if a machine begins sessions too often. Only an agent that has proved who it is may be
// counted. Otherwise strangers could keep a machine offline.
func (h *Hub) allowReconnect(machine string) error {
	if h.machines.get(machine).reconnects.AllowN(h.limitTime(), 1) {
		return nil
	}
	h.recordLimited(machine, ReconnectLimit)
	return problem.Unavailable("machine %s connects too often", machine).
		WithHint("the agent tries again; look for a second agent, or for something that restarts the agent")
}

// countNoPlace counts the refusal of a machine by the machine limit of its join token. It returns the error. The name of the
// machine is not recorded: the holder of the token chooses it.
func (h *Hub) countNoPlace(err error) error {
	if domain.IsNoPlace(err) {
		h.limited.add(PlaceLimit)
	}
	return err
}

// recordLimited counts a limit that a machine has reached, and logs it.
func (h *Hub) recordLimited(machine, limit string) {
	h.limited.add(limit)
	h.noteLimited(machine, limit)
}

// noteLimited lets drover doctor report a limit that a machine has reached, and logs it.
func (h *Hub) noteLimited(machine, limit string) {
	h.machines.record(machine, limit, h.cfg.Clock.Now())
	h.logOf(machine).Warn("machine limited", zap.String("machine", machine), zap.String("limit", limit))
}

// reserve takes one message of a size from the buckets, and returns how long the message has to wait and for which limit.
// cancel returns what was taken.
func (b *buckets) reserve(now time.Time, bytes int) (wait time.Duration, limit string, cancel func()) {
	message, size := b.messages.ReserveN(now, 1), b.output.ReserveN(now, min(bytes, outputAtOnce))
	wait, limit = message.DelayFrom(now), MessageLimit
	if more := size.DelayFrom(now); more > wait {
		wait, limit = more, OutputLimit
	}
	return wait, limit, func() {
		message.CancelAt(now)
		size.CancelAt(now)
	}
}

// decodedSize is the size of a message, as far as limits count it. Nearly all of a long one is output, in base64.
func decodedSize(encoded int) int { return encoded / 4 * 3 }

// throttle waits until a message of the agent may be decoded. Nothing is lost: the server only reads more slowly. The agent
// is not silent meanwhile, so the session counts as heard.
func (s *session) throttle(ctx context.Context, size int) {
	wait, limit, _ := s.hub.machines.get(s.machine).reserve(s.hub.limitTime(), decodedSize(size))
	if wait <= 0 {
		return
	}
	s.hub.recordLimited(s.machine, limit)
	for wait > 0 && ctx.Err() == nil && !s.isEnding() {
		step := min(wait, heardEvery)
		select {
		case <-time.After(step):
		case <-ctx.Done():
		}
		wait -= step
		s.recordMessage()
	}
}

// ThrottleRequest waits until a request over plain HTTP with a body of at most this size may be read. It returns a problem if
// that takes too long. The caller has proved that it is the agent of a machine, or that it has a join token. People and
// programs with a token are not limited here.
func (h *Hub) ThrottleRequest(ctx context.Context, c access.Caller, size int64) error {
	who := c.Machine
	switch {
	case who == "" && c.Join == "":
		return nil
	case who == "":
		who = "of token " + c.Join // no machine has this name
	}
	wait, limit, cancel := h.machines.get(who).reserve(h.limitTime(), decodedSize(int(size)))
	if wait <= 0 {
		return nil
	}
	if h.limited.add(limit); c.Machine != "" {
		h.noteLimited(who, limit)
	}
	if wait > longestWait {
		cancel()
		return errTooManyRequests
	}
	select {
	case <-time.After(wait):
		return nil
	case <-ctx.Done():
		cancel()
		return ctx.Err()
	}
}

// errTooManyRequests refuses a request over plain HTTP. It was not handled.
var errTooManyRequests = problem.Unavailable("the agent sends too much").WithHint("send it again later").
	WithStatus(http.StatusTooManyRequests)

// limitCounts counts how often each of Limits delayed or refused something. The map is never changed.
type limitCounts map[string]*atomic.Int64

func newLimitCounts() limitCounts {
	counts := limitCounts{}
	for _, limit := range Limits {
		counts[limit] = &atomic.Int64{}
	}
	return counts
}

func (c limitCounts) add(limit string) { c[limit].Add(1) }

// Limited returns how often one of Limits delayed or refused something.
func (h *Hub) Limited(limit string) int64 { return h.limited[limit].Load() }
