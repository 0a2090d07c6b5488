package clocks

import (
	"slices"
	"time"

	"github.com/droverhq/drover/domain"
)

const (
	// Bound is the largest difference between two clocks that agree.
	Bound = 5 * time.Minute
	// Settle is how long a clock without witnesses must advance with the monotonic clock after a start or a jump until
	// it is confirmed.
	Settle = time.Hour
	// MinAgents is the smallest number of agents whose clocks count. With fewer, one agent could decide.
	MinAgents = 3
)

// Reading is what a server measured at one moment.
type Reading struct {
	Wall    time.Time
	Elapsed time.Duration // the monotonic clock
	// Peers are the other live servers and what their clocks show now.
	Peers []Peer
	// Agents are the times that the clocks of the connected agents show now, in any order.
	Agents []time.Time
	// EmptyLog is set if the log was empty when the server started.
	EmptyLog bool
}

// Peer is another live server and the time that its clock shows.
type Peer struct {
	Server domain.ID
	Time   time.Time
}

// Reason is why a clock is not confirmed.
type Reason string

// The reasons.
const (
	// Started means that the server has just started and has no witness.
	Started Reason = "started"
	// Jumped means that the wall clock has jumped and no witness confirms its new time.
	Jumped Reason = "jumped"
	// ServersDisagree means that no majority of the servers agrees with this one.
	ServersDisagree Reason = "servers-disagree"
	// AgentsDisagree means that most connected agents show another time.
	AgentsDisagree Reason = "agents-disagree"
)

// Verdict is the result of a reading.
type Verdict struct {
	// Time is the wall-clock time of the reading.
	Time time.Time
	// Confirmed is set if deadlines before Time count as passed.
	Confirmed bool
	// Reason is why the clock is not confirmed. It is empty if it is.
	Reason Reason
	// Ahead is how far the clock jumped, or how far it is ahead of the agents; negative: backwards, or behind.
	Ahead time.Duration
	// Servers are the live servers that disagree with this one.
	Servers []domain.ID
	// Agents is the number of agents that were compared. It is 0 if they do not count.
	Agents int
	// Wait is how long it takes until the clock is confirmed without witnesses. It is 0 if only witnesses can confirm it.
	Wait time.Duration
}

// Clock is what a server knows about its own wall clock. The zero value knows nothing. It is not safe for concurrent
// use.
type Clock struct {
	// confirmed is the confirmed time at which the monotonic clock was zero. It is zero before the first confirmation.
	confirmed time.Time
	// unproven is the same for a clock that has started or jumped without a witness, and since is when that was. It is
	// zero if the clock is confirmed or contradicted.
	unproven time.Time
	since    time.Duration
	// earliest and latest are the same for the clocks that show the earliest and the latest time.
	earliest, latest time.Time
}

// Read takes a reading and returns the verdict on the clock.
func (c *Clock) Read(r Reading) Verdict {
	r.Wall = r.Wall.Round(0) // without its monotonic reading, with which no jump would be visible
	zero := r.Wall.Add(-r.Elapsed)
	verdict := r.witnesses()
	switch {
	case verdict.Reason != "":
		c.unproven = time.Time{}
	case verdict.Confirmed || r.EmptyLog && c.isNew() || !c.confirmed.IsZero() && agree(zero, c.confirmed):
		verdict.Confirmed = true
	default:
		c.settle(zero, r.Elapsed, &verdict)
	}
	if verdict.Confirmed {
		c.confirmed, c.unproven = zero, time.Time{}
	}
	c.limit(r)
	return verdict
}

// isNew reports whether the clock has not been read before.
func (c *Clock) isNew() bool { return c.earliest.IsZero() }

// settle judges a clock without witnesses that has started or jumped.
func (c *Clock) settle(zero time.Time, now time.Duration, verdict *Verdict) {
	if c.unproven.IsZero() || !agree(zero, c.unproven) {
		c.unproven, c.since = zero, now
	}
	if verdict.Wait = Settle - (now - c.since); verdict.Wait <= 0 {
		verdict.Wait, verdict.Confirmed = 0, true
		return
	}
	verdict.Reason = Started
	if !c.confirmed.IsZero() {
		verdict.Reason, verdict.Ahead = Jumped, zero.Sub(c.confirmed)
	}
}

// limit records the range of the credible times. A clock that was confirmed continues with the monotonic clock.
func (c *Clock) limit(r Reading) {
	if !c.confirmed.IsZero() {
		c.earliest, c.latest = c.confirmed, c.confirmed
		return
	}
	c.earliest, c.latest = r.Wall, r.Wall
	shown := make([]time.Time, 0, len(r.Peers)+1)
	for _, peer := range r.Peers {
		shown = append(shown, peer.Time)
	}
	if median, counts := medianOf(r.Agents); counts {
		shown = append(shown, median)
	}
	for _, at := range shown {
		if at.Before(c.earliest) {
			c.earliest = at
		}
		if at.After(c.latest) {
			c.latest = at
		}
	}
	c.earliest, c.latest = c.earliest.Add(-r.Elapsed), c.latest.Add(-r.Elapsed)
}

// Earliest returns the earliest time that is credible when the monotonic clock shows elapsed: the confirmed time,
// continued by the monotonic clock, or before the first confirmation the earliest time that any server or the agents
// show. A deadline that has passed by it has passed by every credible clock. It requires a reading.
func (c *Clock) Earliest(elapsed time.Duration) time.Time { return c.earliest.Add(elapsed) }

// Latest returns the latest credible time, see Earliest.
func (c *Clock) Latest(elapsed time.Duration) time.Time { return c.latest.Add(elapsed) }

// witnesses returns the verdict of the other servers and the agents. Without witnesses it has neither a reason nor a
// confirmation.
func (r Reading) witnesses() (verdict Verdict) {
	verdict.Time = r.Wall
	for _, peer := range r.Peers {
		if !agree(peer.Time, r.Wall) {
			verdict.Servers = append(verdict.Servers, peer.Server)
		}
	}
	servers := len(r.Peers) + 1
	median, counts := medianOf(r.Agents)
	if counts {
		verdict.Agents, verdict.Ahead = len(r.Agents), r.Wall.Sub(median)
	}
	switch {
	case 2*(servers-len(verdict.Servers)) <= servers:
		verdict.Reason = ServersDisagree
	case counts && !agree(median, r.Wall):
		verdict.Reason = AgentsDisagree
	default:
		verdict.Confirmed = counts || servers > 1
	}
	return verdict
}

// medianOf returns the median of the agents' clocks, and whether it counts: there are enough agents, and more than half
// of them agree with it.
func medianOf(agents []time.Time) (median time.Time, counts bool) {
	if len(agents) < MinAgents {
		return time.Time{}, false
	}
	sorted := slices.SortedFunc(slices.Values(agents), time.Time.Compare)
	median = sorted[len(sorted)/2]
	near := 0
	for _, at := range sorted {
		if agree(at, median) {
			near++
		}
	}
	return median, 2*near > len(sorted)
}

// agree reports whether two clocks agree.
func agree(a, b time.Time) bool { return a.Sub(b).Abs() <= Bound }
