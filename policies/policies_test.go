package policies_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/policies"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/projections/projectionstest"
)

// Ids of servers that hold sessions.
var self, other, third = domain.ID{3: 1}, domain.ID{3: 2}, domain.ID{3: 3}

// instance is the instance of all machines. No policy depends on it.
var instance = domain.ID{2: 1}

// define defines a policy.
func define(h *projectionstest.History, name string, settings domain.PolicySettings) {
	h.Add(domain.PolicyStream(name), domain.PolicyDefined{Settings: settings})
}

// join adds a machine under a policy, empty for the default one, and brings it online on a server.
func join(h *projectionstest.History, name, policy string, server domain.ID) {
	h.Add(domain.MachineStream(name), domain.MachineAdded{Environment: "production", Policy: policy})
	h.Connect(name, server, instance)
}

func TestPinsAndHoldsExpireAtTheirDeadline(t *testing.T) {
	until := projectionstest.Start.Add(time.Hour)
	h := projectionstest.New(t)
	h.Shop(domain.ProjectSettings{})
	h.Join("web-01", "web-02")
	h.Add("project/shop", domain.PinSet{Environment: "production", Release: "1.0", Until: &until},
		domain.HoldSet{Machine: "web-01", Until: &until}, domain.HoldSet{Machine: "web-02"})

	require.Empty(t, policies.Expired(h.View, until.Add(-1)))
	want := []domain.Decision{
		{Kind: "expire-pin", Stream: "project/shop",
			Events: []domain.Event{domain.PinLifted{Environment: "production", Reason: "expired"}}},
		{Kind: "expire-hold", Stream: "project/shop",
			Events: []domain.Event{domain.HoldLifted{Machine: "web-01", Reason: "expired"}}},
	}
	require.Equal(t, want, policies.Expired(h.View, until))
	require.Equal(t, want, policies.Expired(h.View, until.Add(24*time.Hour)), "a server that was down lifts them later")

	h.Add("project/shop", want[0].Events[0], want[1].Events[0])
	require.Empty(t, policies.Expired(h.View, until), "a hold without a deadline does not expire")
}

func TestPinsExpireBeforeHoldsAndEachInOrderOfName(t *testing.T) {
	until := projectionstest.Start
	h := projectionstest.New(t)
	h.Join("web-02", "web-01", "web-03")
	for _, project := range []string{"shop", "blog", "mail"} {
		h.Add(domain.ProjectStream(project), domain.ProjectDefined{})
		for _, machine := range []string{"web-02", "web-01", "web-03"} {
			h.Add(domain.ProjectStream(project), domain.HoldSet{Machine: machine, Until: &until})
		}
		for _, environment := range []string{"staging", "production", "testing"} {
			h.Add(domain.ProjectStream(project), domain.PinSet{Environment: environment, Release: "1.0", Until: &until})
		}
	}
	var order []string
	for _, d := range policies.Expired(h.View, until) {
		switch e := d.Events[0].(type) {
		case domain.PinLifted:
			order = append(order, d.Stream+" "+e.Environment)
		case domain.HoldLifted:
			order = append(order, e.Machine+" "+d.Stream)
		}
	}
	require.Equal(t, []string{
		"project/blog production", "project/blog staging", "project/blog testing",
		"project/mail production", "project/mail staging", "project/mail testing",
		"project/shop production", "project/shop staging", "project/shop testing",
		"web-01 project/blog", "web-01 project/mail", "web-01 project/shop",
		"web-02 project/blog", "web-02 project/mail", "web-02 project/shop",
		"web-03 project/blog", "web-03 project/mail", "web-03 project/shop",
	}, order)
}

func TestSilentSessionEndsAfterPolicyOfflineAfter(t *testing.T) {
	h := projectionstest.New(t)
	define(h, "strict", domain.PolicySettings{OfflineAfter: domain.Duration(5 * time.Second)})
	join(h, "web-01", "", self)
	join(h, "web-02", "strict", self)
	silent := func(machine string, d time.Duration) []domain.Decision {
		return policies.Offline(h.View,
			[]policies.Contact{{Machine: machine, Connect: h.Machines[machine].Connect, Silent: d}})
	}

	require.Empty(t, silent("web-01", 30*time.Second), "the default is 30s, which is not exceeded")
	require.Empty(t, silent("web-02", 5*time.Second))
	require.Len(t, silent("web-01", 30*time.Second+1), 1)
	m := h.Machines["web-02"]
	require.Equal(t, []domain.Decision{{Kind: "went-offline", Stream: "machine/web-02", Causes: []domain.ID{m.Connect},
		Events: []domain.Event{domain.MachineWentOffline{Connect: m.Connect, Session: m.Session, Instance: instance,
			Reason: "silent"}}}},
		silent("web-02", 5*time.Second+1))
}

func TestSilenceOfASessionThatIsNotCurrentIsIgnored(t *testing.T) {
	h := projectionstest.New(t)
	for _, name := range []string{"reconnected", "offline", "deleted", "silent"} {
		join(h, name, "", self)
	}
	contacts := []policies.Contact{{Machine: "unknown", Connect: projectionstest.ID(1), Silent: time.Hour}}
	for _, name := range []string{"reconnected", "offline", "deleted", "silent"} {
		contacts = append(contacts, policies.Contact{Machine: name, Connect: h.Machines[name].Connect,
			Silent: time.Hour})
	}
	h.Add("machine/reconnected", domain.AgentConnected{Server: self, Instance: instance})
	h.Disconnect("offline")
	h.Add("machine/deleted", domain.MachineDeleted{})

	ended := policies.Offline(h.View, contacts)
	require.Len(t, ended, 1)
	require.Equal(t, "machine/silent", ended[0].Stream)
}

func TestSessionsOfAGoneServerEndAfterPolicyOfflineAfter(t *testing.T) {
	h := projectionstest.New(t)
	define(h, "strict", domain.PolicySettings{OfflineAfter: domain.Duration(5 * time.Second)})
	join(h, "web-03", "", other)
	join(h, "web-02", "", other)
	join(h, "web-01", "strict", third)
	join(h, "web-04", "strict", other)
	stale := map[string]time.Duration{"web-01": 5*time.Second + 1, "web-02": 30*time.Second + 1,
		"web-03": 30 * time.Second, "web-04": 5 * time.Second}
	ended := policies.Orphans(h.View, self, func(domain.ID) bool { return true },
		func(m *projections.Machine) time.Duration { return stale[m.Name] })

	require.Len(t, ended, 2, "web-03 and web-04 have been silent for exactly the allowed time")
	for i, name := range []string{"web-01", "web-02"} {
		m := h.Machines[name]
		require.Equal(t, domain.Decision{Kind: "went-offline", Stream: "machine/" + name,
			Causes: []domain.ID{m.Connect},
			Events: []domain.Event{domain.MachineWentOffline{Connect: m.Connect, Session: m.Session, Instance: instance,
				Reason: "server-gone"}}}, ended[i])
	}
}

func TestOrphanedSessionsEndInOrderOfMachine(t *testing.T) {
	h := projectionstest.New(t)
	names := []string{"web-1", "web-2", "web-3", "web-4", "web-5", "web-6", "web-7", "web-8"}
	for i, name := range names {
		join(h, name, "", []domain.ID{other, third}[i%2])
	}
	var ended []string
	for _, d := range policies.Orphans(h.View, self, func(domain.ID) bool { return true },
		func(*projections.Machine) time.Duration { return time.Hour }) {
		_, name := domain.SplitStream(d.Stream)
		ended = append(ended, name)
	}
	require.Equal(t, names, ended)
}

func TestOwnSessionsAndThoseOfLiveServersAreNotOrphans(t *testing.T) {
	h := projectionstest.New(t)
	join(h, "own", "", self)
	join(h, "living", "", other)
	join(h, "offline", "", third)
	h.Disconnect("offline")
	gone := func(server domain.ID) bool { return server != other }
	require.Empty(t, policies.Orphans(h.View, self, gone, func(m *projections.Machine) time.Duration {
		t.Errorf("stale was called for machine %s, whose server is not gone", m.Name)
		return time.Hour
	}))
}

// cleanUp returns a policy that cleans up after a time, with the default share.
func cleanUp(after time.Duration) domain.PolicySettings {
	return domain.PolicySettings{CleanUp: &domain.CleanUp{After: domain.Duration(after)}}
}

func TestWatchSpanIsATenthOfTheShortestCleanUpTimeWithinBounds(t *testing.T) {
	for name, c := range map[string]struct {
		away map[string]domain.PolicySettings // policies of the offline machines
		want time.Duration                    // 0: no watch
	}{
		"a tenth": {map[string]domain.PolicySettings{"a": cleanUp(30 * time.Minute)},
			3 * time.Minute},
		"a tenth above the minimum": {map[string]domain.PolicySettings{"a": cleanUp(11 * time.Minute)},
			66 * time.Second},
		"at least one minute": {map[string]domain.PolicySettings{"a": cleanUp(2 * time.Minute)}, time.Minute},
		"at most ten minutes": {map[string]domain.PolicySettings{"a": cleanUp(30 * 24 * time.Hour)},
			10 * time.Minute},
		"the shortest of several": {map[string]domain.PolicySettings{"a": cleanUp(time.Hour),
			"b": cleanUp(40 * time.Minute), "c": cleanUp(50 * time.Minute)}, 4 * time.Minute},
		"policies without clean-up": {map[string]domain.PolicySettings{"a": cleanUp(time.Hour), "b": {}},
			6 * time.Minute},
		"no clean-up policy": {map[string]domain.PolicySettings{"a": {}}, 0},
		"none away":          {nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			h := projectionstest.New(t)
			define(h, "short", cleanUp(time.Minute))
			join(h, "web-online", "short", self)
			for policy, settings := range c.away {
				define(h, policy, settings)
				join(h, "web-"+policy, policy, self)
				h.Disconnect("web-" + policy)
			}
			started := h.Add(domain.ServerStream(self), domain.ServerStarted{})
			for _, age := range []time.Duration{c.want - 1, c.want, time.Hour} {
				watched := policies.Watch(h.View, self, func(eventlog.Position) time.Duration { return age })
				if c.want == 0 || age < c.want {
					require.Empty(t, watched, age)
					continue
				}
				require.Equal(t, []domain.Decision{{Kind: "watch", Stream: "watch", Causes: []domain.ID{started},
					Events: []domain.Event{domain.WatchPassed{Since: started,
						Span: domain.Duration(c.want)}}}}, watched, age)
			}
		})
	}
}

func TestWatchCountsFromTheLaterOfLastSpanAndOwnStart(t *testing.T) {
	h := projectionstest.New(t)
	define(h, "default", cleanUp(10*time.Minute))
	join(h, "web-01", "", self)
	h.Disconnect("web-01")
	require.Empty(t, policies.Watch(h.View, self, h.Age), "a server that has not started has not watched")
	since := func() (since domain.ID) {
		for _, d := range policies.Watch(h.View, self, h.Age) {
			since = d.Events[0].(domain.WatchPassed).Since
		}
		return since
	}

	h.Wait(time.Hour)
	start := h.Add(domain.ServerStream(self), domain.ServerStarted{})
	h.Wait(59 * time.Second)
	require.Zero(t, since(), "a server has not watched the time before its start")
	h.Wait(time.Second)
	require.Equal(t, start, since())

	span := h.Add("watch", domain.WatchPassed{Since: start, Span: domain.Duration(time.Minute)})
	require.Zero(t, since(), "the watch of one server is enough")
	h.Wait(time.Minute)
	require.Equal(t, span, since())

	h.Add(domain.ServerStream(other), domain.ServerStarted{})
	require.Equal(t, span, since(), "the start of another server does not interrupt the watch")
	start = h.Add(domain.ServerStream(self), domain.ServerStarted{})
	require.Zero(t, since())
	h.Wait(time.Minute)
	require.Equal(t, start, since())
}

// absent adds machines with the default policy to an environment, and lets servers watch some of them being offline for
// a span.
func absent(h *projectionstest.History, environment string, names []string, away int, span time.Duration) {
	for i, name := range names {
		h.Add(domain.MachineStream(name), domain.MachineAdded{Environment: environment})
		h.Connect(name, self, instance)
		if i < away {
			h.Disconnect(name)
		}
	}
	watch(h, span)
}

// watch lets servers watch for a span that begins now.
func watch(h *projectionstest.History, span time.Duration) {
	h.Add("watch", domain.WatchPassed{Since: h.Watch.Last})
	h.Add("watch", domain.WatchPassed{Since: h.Watch.Last, Span: domain.Duration(span)})
}

var ten = []string{"web-00", "web-01", "web-02", "web-03", "web-04", "web-05", "web-06", "web-07", "web-08", "web-09"}

func TestMachineIsDeletedAfterItsPolicysTimeOfWatchedAbsence(t *testing.T) {
	h := projectionstest.New(t)
	define(h, "default", cleanUp(time.Hour))
	define(h, "kept", domain.PolicySettings{})
	absent(h, "production", ten, 1, time.Hour-1)
	join(h, "web-10", "kept", self)
	h.Disconnect("web-10")
	require.Empty(t, policies.CleanUp(h.View))

	h.Wait(100 * time.Hour)
	require.Empty(t, policies.CleanUp(h.View), "time that no server watched does not count")
	watch(h, 1)
	require.Equal(t, []domain.Decision{{Kind: "clean-up", Stream: "machine/web-00",
		Causes: []domain.ID{h.Machines["web-00"].Connect},
		Events: []domain.Event{domain.MachineDeleted{Reason: "clean-up"}}}}, policies.CleanUp(h.View))

	h.Connect("web-00", self, instance)
	require.Empty(t, policies.CleanUp(h.View))
	h.Disconnect("web-00")
	require.Empty(t, policies.CleanUp(h.View), "the next absence counts from its own start")
}

func TestNothingIsDeletedWhileMoreThanTheShareOfAnEnvironmentIsAbsent(t *testing.T) {
	for name, c := range map[string]struct {
		share, machines, away int
		deleted               bool
	}{
		"one of one":                  {20, 1, 1, true},
		"one of two":                  {20, 2, 1, true},
		"two of two":                  {20, 2, 2, false},
		"one of four at 1 %":          {1, 4, 1, true},
		"two of nine at 20 %":         {20, 9, 2, false}, // 1.8 rounds down to one
		"two of ten at 20 %":          {20, 10, 2, true},
		"three of ten at 20 %":        {20, 10, 3, false},
		"three of ten at 30 %":        {30, 10, 3, true},
		"two of nine at 22 %":         {22, 9, 2, false}, // 1.98 rounds down to one
		"all of ten at 100 %":         {100, 10, 10, true},
		"nine of ten at 89 %":         {89, 10, 9, false},
		"two of ten at the default":   {0, 10, 2, true},
		"three of ten at the default": {0, 10, 3, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := projectionstest.New(t)
			define(h, "default",
				domain.PolicySettings{CleanUp: &domain.CleanUp{After: domain.Duration(time.Hour), MaxShare: c.share}})
			absent(h, "production", ten[:c.machines], c.away, time.Hour)
			var want []domain.Decision
			for _, machine := range ten[:c.away] {
				d := domain.Decision{Kind: "clean-up", Stream: "machine/" + machine,
					Causes: []domain.ID{h.Machines[machine].Connect},
					Events: []domain.Event{domain.MachineDeleted{Reason: "clean-up"}}}
				if !c.deleted {
					d.Events = []domain.Event{domain.MachineCleanUpHeld{Absent: c.away, Machines: c.machines}}
				}
				want = append(want, d)
			}
			require.Equal(t, want, policies.CleanUp(h.View))
		})
	}
}

func TestHeldCleanUpIsRecordedOncePerAbsence(t *testing.T) {
	h := projectionstest.New(t)
	define(h, "default", cleanUp(time.Hour))
	absent(h, "production", ten[:4], 2, time.Hour)
	recorded := func() (streams []string) {
		for _, d := range policies.CleanUp(h.View) {
			require.IsType(t, domain.MachineCleanUpHeld{}, d.Events[0])
			streams = append(streams, d.Stream)
			h.Add(d.Stream, d.Events...)
		}
		return streams
	}
	require.Equal(t, []string{"machine/web-00", "machine/web-01"}, recorded())
	require.Empty(t, recorded())

	h.Connect("web-01", self, instance)
	h.Disconnect("web-01")
	watch(h, time.Hour)
	require.Equal(t, []string{"machine/web-01"}, recorded(), "it is a new absence")

	h.Connect("web-01", self, instance)
	deleted := policies.CleanUp(h.View)
	require.Len(t, deleted, 1)
	require.Equal(t, "machine/web-00", deleted[0].Stream)
	require.IsType(t, domain.MachineDeleted{}, deleted[0].Events[0],
		"a held machine is deleted once few machines are absent")
}

func TestShareCountsOnlyLongAbsentMachinesOfTheSameEnvironment(t *testing.T) {
	h := projectionstest.New(t)
	define(h, "default", cleanUp(time.Hour))
	absent(h, "production", ten[:4], 1, 0)
	absent(h, "staging", ten[4:], 2, time.Hour)
	h.Disconnect("web-01") // after the watch
	decided := map[string]domain.Event{}
	for _, d := range policies.CleanUp(h.View) {
		decided[d.Stream] = d.Events[0]
	}
	held := domain.MachineCleanUpHeld{Absent: 2, Machines: 6}
	require.Equal(t, map[string]domain.Event{"machine/web-00": domain.MachineDeleted{Reason: "clean-up"},
		"machine/web-04": held, "machine/web-05": held}, decided)
}
