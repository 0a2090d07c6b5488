package projections

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
)

// folded returns a view in which machine web-01 is online, web-02 is offline, and web-03 is deleted. All have an open part
// of project shop, which is pinned in production. No machine has the role of project blog.
func folded(t *testing.T) *View {
	t.Helper()
	v := New()
	add := func(stream string, facts ...domain.Event) domain.ID {
		for _, fact := range facts {
			name, data, err := domain.Encode(fact)
			require.NoError(t, err)
			position := v.Position + 1
			require.NotNil(t, v.Apply(eventlog.Recorded{Stream: stream, Position: position, Event: eventlog.Event{
				ID: uuid.UUID{0: 1, 15: byte(position)}, Type: name, Data: data, Time: time.Unix(1e9, 123456789).UTC()}}))
		}
		return domain.ID{0: 1, 15: byte(v.Position)}
	}
	until := time.Unix(2e9, 0).UTC()
	add("environment/production", domain.EnvironmentDefined{})
	add("project/shop", domain.ProjectDefined{}, domain.TriggerDefined{Trigger: "joins", Settings: domain.TriggerSettings{
		Events: []domain.Category{domain.AvailableGroup}, Environments: []string{"production"}}},
		domain.PinSet{Environment: "production", Release: "1.0", Until: &until, Origin: domain.By("ann")})
	add("project/blog", domain.ProjectDefined{Settings: domain.ProjectSettings{Roles: []string{"blog"}}},
		domain.TriggerDefined{Trigger: "posts", Settings: domain.TriggerSettings{
			Events: []domain.Category{domain.AvailableGroup}, Environments: []string{"production"}}})
	for _, name := range []string{"web-01", "web-02", "web-03"} {
		connect := add("machine/"+name, domain.MachineAdded{Environment: "production"},
			domain.MachineCameOnline{Server: domain.ID{3: 1}, Session: domain.ID{1: 1}, Instance: domain.ID{2: 1}})
		if name == "web-02" {
			add("machine/"+name, domain.MachineWentOffline{Connect: connect})
		}
	}
	d := add("project/shop", domain.DeploymentQueued{Kind: domain.EnvironmentWide, Environment: "production", Release: "1.0"})
	add(domain.PartStream(d, "web-01"), domain.PartClaimed{Project: "shop", Session: domain.ID{1: 1},
		Instance: domain.ID{2: 1}})
	add("machine/web-03", domain.MachineDeleted{Origin: domain.By("ann")})
	return v
}

// The simulation and most tests of this package rely on it.
func TestInconsistenciesDescribesEachKindOfDifference(t *testing.T) {
	part := func(v *View, machine string) *Part { return v.open[0].Parts[machine] }
	for what, c := range map[string]struct {
		damage func(v *View)
		found  string
	}{
		"no environment": {func(v *View) { clear(v.index.byEnvironment.lists) },
			"machines by environment: want map[production:["},
		"no session":         {func(v *View) { clear(v.index.byServer.lists) }, "machines by server: want map["},
		"no offline machine": {func(v *View) { clear(v.index.offline.lists) }, "offline machines: want map[default:["},
		"no deadline": {func(v *View) { clear(v.index.deadlines) },
			"deadlines: want map[{shop production }:2033-05-18 03:33:20 +0000 UTC], index has map[]"},
		"another deadline": {func(v *View) { v.index.deadlines[deadlineKey{project: "shop", environment: "production"}] = v.Time },
			"deadlines: want map[{shop production }:2033-05-18 03:33:20 +0000 UTC], index has map[{shop production }:2001-"},
		"no project to evaluate": {func(v *View) { clear(v.index.toEvaluate) },
			"projects to evaluate: want [shop], index has []"},
		"not in the sweep": {func(v *View) { v.Machines["web-01"].candidates = nil },
			"project shop on machine web-01: sweepable is true, in the sweep is false"},
		"in the sweep": {func(v *View) { v.Projects["shop"].sweep["web-01"] = v.Machines["web-01"] },
			"project shop on machine web-01: sweepable is false, in the sweep is true"},
		"a part without a record": {func(v *View) { part(v, "web-01").record = nil },
			"on machine web-01 points to the wrong record"},
		"a part of another record": {func(v *View) { part(v, "web-01").record = v.Machines["web-02"].record },
			"on machine web-01 points to the wrong record"},
		"an ended part with a record": {func(v *View) { part(v, "web-01").State = domain.PartFailed },
			"on machine web-01 points to the wrong record"},
		"a record without its part": {func(v *View) { v.Machines["web-01"].record.Parts = nil },
			"machine web-01 has 1 open parts, but its record has 0"},
		"a vacant record of a machine": {func(v *View) { v.vacant["web-03"].Machine = v.Machines["web-01"] },
			"record web-03 is vacant but has machine "},
		"a vacant record without parts": {func(v *View) { v.vacant["web-09"] = &Record{Name: "web-09"} },
			"record web-09 is vacant but has machine "},
		"a record of another machine": {func(v *View) { v.Machines["web-01"].record.Machine = &Machine{} },
			"machine web-01 has the wrong record"},
		"a record of another name": {func(v *View) { v.Machines["web-01"].record.Name = "web-09" },
			"machine web-01 has the wrong record"},
		"a record with a strange part": {func(v *View) {
			v.Machines["web-04"] = &Machine{Machine: domain.Machine{Name: "web-04"}}
			v.Machines["web-04"].record = &Record{Name: "web-04", Machine: v.Machines["web-04"], Parts: []*Part{{}}}
			v.index = *v.buildIndex()
		}, "machine web-04 has the wrong record"},
		"no project for a machine": {func(v *View) { v.listenerIndex.projects = nil },
			"the listener index does not find project shop for machine web-0"},
		"no trigger for a machine": {func(v *View) { v.listenerIndex.triggers = nil },
			"trigger joins of project shop does not receive "},
	} {
		t.Run(what, func(t *testing.T) {
			v := folded(t)
			require.Empty(t, v.Inconsistencies())
			c.damage(v)
			require.Contains(t, v.Inconsistencies(), c.found)
		})
	}
}

func TestListenersThatAreNotIndexedAreNotCompared(t *testing.T) {
	v := folded(t)
	v.listenerIndex = listenerIndex{}
	require.Empty(t, v.Inconsistencies())
	require.False(t, v.listenerIndex.valid)
}
