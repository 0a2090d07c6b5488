package clocks_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/clocks"
	"github.com/droverhq/drover/domain"
)

// nine is the correct time when the monotonic clock is zero.
var nine = time.Date(2026, 1, 1, 9, 0, 0, 0, time.UTC)

// host is a server whose clock is wrong by an error, with the clocks around it.
type host struct {
	clock    clocks.Clock
	elapsed  time.Duration
	wrong    time.Duration
	peers    []time.Duration // the errors of the clocks of other servers
	agents   []time.Duration // the errors of the clocks of agents
	emptyLog bool
}

// read takes a reading after a time.
func (h *host) read(after time.Duration) clocks.Verdict {
	h.elapsed += after
	now := nine.Add(h.elapsed)
	r := clocks.Reading{Wall: now.Add(h.wrong), Elapsed: h.elapsed, EmptyLog: h.emptyLog}
	for i, wrong := range h.peers {
		r.Peers = append(r.Peers, clocks.Peer{Server: server(i), Time: now.Add(wrong)})
	}
	for _, wrong := range h.agents {
		r.Agents = append(r.Agents, now.Add(wrong))
	}
	return h.clock.Read(r)
}

func server(i int) domain.ID { return domain.ID{15: byte(i + 1)} }

func (h *host) earliest() time.Duration { return h.clock.Earliest(h.elapsed).Sub(nine.Add(h.elapsed)) }
func (h *host) latest() time.Duration   { return h.clock.Latest(h.elapsed).Sub(nine.Add(h.elapsed)) }

const (
	year   = 365 * 24 * time.Hour
	beyond = clocks.Bound + 1
)

func TestWitnessesConfirmOrContradictAClockThatHasJustStarted(t *testing.T) {
	for name, c := range map[string]struct {
		peers, agents []time.Duration
		want          clocks.Reason
		disagree      []domain.ID
	}{
		"no witness":                                {want: clocks.Started},
		"one of two servers agrees":                 {peers: []time.Duration{0}},
		"two servers within the bound":              {peers: []time.Duration{-clocks.Bound}},
		"two servers beyond the bound":              {peers: []time.Duration{beyond}, want: clocks.ServersDisagree, disagree: []domain.ID{server(0)}},
		"one of three servers is wrong":             {peers: []time.Duration{0, year}, disagree: []domain.ID{server(1)}},
		"two of three servers are wrong":            {peers: []time.Duration{-year, year}, want: clocks.ServersDisagree, disagree: []domain.ID{server(0), server(1)}},
		"half of four servers agree":                {peers: []time.Duration{0, year, year}, want: clocks.ServersDisagree, disagree: []domain.ID{server(1), server(2)}},
		"two agents agree":                          {agents: []time.Duration{0, 0}, want: clocks.Started},
		"two agents disagree":                       {agents: []time.Duration{year, year}, want: clocks.Started},
		"three agents agree":                        {agents: []time.Duration{0, clocks.Bound, -clocks.Bound}},
		"one of three agents is wrong":              {agents: []time.Duration{0, 0, -year}},
		"two of three agents disagree":              {agents: []time.Duration{0, year, year}, want: clocks.AgentsDisagree},
		"agents that disagree with each other":      {agents: []time.Duration{-year, 0, 2 * year, year}, want: clocks.Started},
		"only half of the agents agree":             {agents: []time.Duration{-2 * year, -year, 0, 0}, want: clocks.Started},
		"the servers agree and the agents do not":   {peers: []time.Duration{0}, agents: []time.Duration{year, year, year}, want: clocks.AgentsDisagree},
		"the agents agree and the servers do not":   {peers: []time.Duration{year}, agents: []time.Duration{0, 0, 0}, want: clocks.ServersDisagree, disagree: []domain.ID{server(0)}},
		"an agent with a time beyond all durations": {agents: []time.Duration{0, 0, 1<<63 - 1}},
	} {
		t.Run(name, func(t *testing.T) {
			h := &host{peers: c.peers, agents: c.agents}
			v := h.read(0)
			require.Equal(t, c.want, v.Reason)
			require.Equal(t, c.want == "", v.Confirmed)
			require.Equal(t, c.disagree, v.Servers)
		})
	}
}

func TestClockWithoutWitnessesIsConfirmedAfterSettling(t *testing.T) {
	h := &host{}
	require.Equal(t, clocks.Settle, h.read(0).Wait)
	v := h.read(clocks.Settle - time.Second)
	require.Equal(t, clocks.Started, v.Reason)
	require.Equal(t, time.Second, v.Wait)
	require.True(t, h.read(time.Second).Confirmed)
	require.True(t, h.read(0).Confirmed)
}

func TestClockOfAServerThatStartsOnAnEmptyLogIsConfirmed(t *testing.T) {
	h := &host{emptyLog: true}
	require.True(t, h.read(0).Confirmed)
	h.wrong = year
	require.Equal(t, clocks.Jumped, h.read(time.Second).Reason, "that the log was empty counts only at the start")

	h = &host{emptyLog: true, peers: []time.Duration{year}}
	require.Equal(t, clocks.ServersDisagree, h.read(0).Reason)
	h.peers = nil
	require.Equal(t, clocks.Started, h.read(0).Reason)
}

func TestJumpWithoutWitnessesCountsAfterSettling(t *testing.T) {
	for _, jump := range []time.Duration{year, -year, beyond, -beyond} {
		h := &host{emptyLog: true}
		require.True(t, h.read(0).Confirmed)
		h.wrong = jump
		v := h.read(time.Second)
		require.Equal(t, clocks.Jumped, v.Reason)
		require.Equal(t, jump, v.Ahead)
		require.Equal(t, clocks.Settle, v.Wait)
		require.False(t, h.read(clocks.Settle-1).Confirmed)
		require.True(t, h.read(1).Confirmed)
	}
}

func TestJumpThatIsUndoneEndsAtOnce(t *testing.T) {
	h := &host{emptyLog: true}
	h.read(0)
	h.wrong = year
	require.False(t, h.read(time.Minute).Confirmed)
	h.wrong = 0
	require.True(t, h.read(time.Minute).Confirmed)
	h.wrong = year
	require.Equal(t, clocks.Settle, h.read(time.Minute).Wait, "the next jump settles from its own start")
}

func TestSecondJumpSettlesAgain(t *testing.T) {
	h := &host{emptyLog: true}
	h.read(0)
	h.wrong = year
	h.read(0)
	h.read(clocks.Settle / 2)
	h.wrong = 2 * year
	require.Equal(t, clocks.Settle, h.read(0).Wait)
}

func TestWitnessesConfirmAJumpAtOnce(t *testing.T) {
	for name, h := range map[string]*host{
		"a server": {emptyLog: true, wrong: -year, peers: []time.Duration{-year}},
		"agents":   {emptyLog: true, wrong: -year, agents: []time.Duration{-year, -year, -year}},
	} {
		require.True(t, h.read(0).Confirmed, name)
		h.wrong = 0
		require.False(t, h.read(time.Second).Confirmed, name)
		clear(h.peers)
		clear(h.agents)
		require.True(t, h.read(0).Confirmed, name)
		require.Zero(t, h.earliest(), name)
	}
}

func TestContradictionDoesNotSettle(t *testing.T) {
	h := &host{}
	h.read(0)
	h.read(clocks.Settle / 2)
	h.peers = []time.Duration{year}
	require.Zero(t, h.read(0).Wait)
	require.False(t, h.read(100*clocks.Settle).Confirmed)
	h.peers = nil
	require.Equal(t, clocks.Settle, h.read(0).Wait, "the time of the contradiction does not count")
}

func TestSmallCorrectionsKeepAClockConfirmed(t *testing.T) {
	h := &host{emptyLog: true}
	h.read(0)
	for range 1000 {
		h.wrong += time.Minute
		require.True(t, h.read(time.Hour).Confirmed)
	}
}

func TestSuspendedMachineIsConfirmedAgain(t *testing.T) {
	h := &host{emptyLog: true}
	h.read(0)
	h.wrong = 8 * time.Hour // the monotonic clock stood still
	require.Equal(t, clocks.Jumped, h.read(0).Reason)
	h.read(clocks.Settle)
	require.Equal(t, 8*time.Hour, h.earliest())
}

func TestConfirmedTimeContinuesThroughJumpsAndContradictions(t *testing.T) {
	h := &host{emptyLog: true}
	h.read(0)
	for _, wrong := range []time.Duration{year, -year} {
		h.wrong = wrong
		h.read(time.Minute)
		require.Zero(t, h.earliest())
		require.Zero(t, h.latest())
	}
	h.wrong, h.peers = 0, []time.Duration{-year}
	h.read(time.Minute)
	require.Zero(t, h.earliest())
}

func TestCredibleTimesBeforeTheFirstConfirmation(t *testing.T) {
	for name, c := range map[string]struct {
		host             *host
		earliest, latest time.Duration
	}{
		"alone":              {&host{wrong: time.Hour}, time.Hour, time.Hour},
		"another server":     {&host{wrong: year, peers: []time.Duration{0}}, 0, year},
		"agents":             {&host{wrong: -year, agents: []time.Duration{0, 0, 0}}, -year, 0},
		"one agent":          {&host{wrong: year, agents: []time.Duration{-year}}, year, year},
		"three wrong clocks": {&host{wrong: year, peers: []time.Duration{2 * year, -year}}, -year, 2 * year},
	} {
		c.host.read(time.Minute)
		require.Equal(t, c.earliest, c.host.earliest(), name)
		require.Equal(t, c.latest, c.host.latest(), name)
	}
}

func TestMonotonicReadingOfATimeIsIgnored(t *testing.T) {
	var c clocks.Clock
	v := c.Read(clocks.Reading{Wall: time.Now(), EmptyLog: true})
	require.NotContains(t, v.Time.String(), " m=")
	require.NotContains(t, c.Earliest(0).String(), " m=", "the difference of two times with it ignores the wall clock")
	require.NotContains(t, c.Latest(0).String(), " m=")
}
