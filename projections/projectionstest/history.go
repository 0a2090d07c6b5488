package projectionstest

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections"
)

// Start is the wall-clock time before the first fact.
var Start = time.Date(2026, 1, 1, 9, 0, 0, 0, time.UTC)

// History is a view together with the facts that were folded into it.
type History struct {
	*projections.View
	// Log holds every fact in log order.
	Log []eventlog.Recorded

	t         testing.TB
	revisions map[string]eventlog.Revision // number of facts by stream
	elapsed   time.Duration
	ages      projections.Ages
}

// New returns an empty history, folded by the core folds and the given ones.
func New(t testing.TB, more ...projections.Fold) *History {
	return &History{View: projections.New(more...), t: t, revisions: map[string]eventlog.Revision{}}
}

// ID returns the id of the event at a position.
func ID(position eventlog.Position) domain.ID {
	id := domain.ID{0: 0xe0}
	binary.BigEndian.PutUint64(id[8:], uint64(position))
	return id
}

// Add appends facts to a stream and returns the id of the last one. It fails the test if a fact sets its stream aside.
func (h *History) Add(stream string, facts ...domain.Event) domain.ID {
	h.t.Helper()
	for _, fact := range facts {
		name, data, err := domain.Encode(fact)
		require.NoError(h.t, err)
		require.NotNil(h.t, h.record(stream, name, data), "%s does not fold into %s: %+v", name, stream,
			h.Aside[stream])
	}
	return ID(h.Position)
}

// SetAsideStream appends an event that cannot be decoded, which sets the stream aside.
func (h *History) SetAsideStream(stream string) {
	h.t.Helper()
	require.Nil(h.t, h.record(stream, domain.TypeName(domain.MachineAdded{}), []byte(`{"environment":7}`)))
	require.True(h.t, h.SetAside(stream))
}

func (h *History) record(stream, name string, data []byte) domain.Event {
	position := h.Position + 1
	rec := eventlog.Recorded{Stream: stream, Revision: h.revisions[stream], Position: position,
		Event: eventlog.Event{ID: uuid.UUID(ID(position)), Type: name, Data: data,
			Time: Start.Add(h.elapsed + time.Duration(position)*time.Second)}}
	h.revisions[stream]++
	h.Log = append(h.Log, rec)
	h.ages.Mark(position, h.elapsed)
	return h.Apply(rec)
}

// Wait advances the monotonic clock before the next fact.
func (h *History) Wait(d time.Duration) { h.elapsed += d }

// Age returns how long ago the event at a position was folded: the sum of all waits since.
func (h *History) Age(position eventlog.Position) time.Duration {
	return h.ages.Since(position, h.elapsed)
}

// Shop defines environment production and project shop with these triggers and release 1.0.
func (h *History) Shop(settings domain.ProjectSettings, triggers ...domain.TriggerDefined) {
	h.t.Helper()
	h.Add("environment/production", domain.EnvironmentDefined{})
	h.Project("shop", settings, triggers...)
}

// Ids of the machine in OneMachine.
var (
	Session  = domain.ID{1: 1}
	Instance = domain.ID{2: 1}
	Server   = domain.ID{3: 1}
)

// OneMachine returns a history with machine web-01 online in production. Production wants release 1.0 of project shop.
// The project's trigger joins selects machines that become available.
func OneMachine(t testing.TB) *History {
	t.Helper()
	h := New(t)
	joins := domain.TriggerSettings{Events: []domain.Category{domain.AvailableGroup},
		Environments: []string{"production"}}
	h.Shop(domain.ProjectSettings{Steps: []domain.Step{{Name: "install", Run: "true"}}},
		domain.TriggerDefined{Trigger: "joins", Settings: joins})
	h.Want("1.0")
	h.Add("machine/web-01", domain.MachineAdded{Environment: "production", Origin: domain.By("agent")},
		domain.MachineCameOnline{Server: Server, Session: Session, Instance: Instance})
	return h
}

// Project defines a project with these triggers and release 1.0, which has the project's steps.
func (h *History) Project(name string, settings domain.ProjectSettings, triggers ...domain.TriggerDefined) {
	h.t.Helper()
	h.Add(domain.ProjectStream(name), domain.ProjectDefined{Settings: settings})
	for _, trigger := range triggers {
		h.Add(domain.ProjectStream(name), trigger)
	}
	h.Release(name, "1.0", settings.Steps...)
}

// Release creates a release of a project.
func (h *History) Release(project, version string, steps ...domain.Step) {
	h.t.Helper()
	incarnation := h.Projects[project].Incarnation
	h.Add(domain.ReleaseStream(project, incarnation, version),
		domain.ReleaseCreated{Incarnation: incarnation, Version: version, Steps: steps})
}

// Want makes production want a release of project shop, with a person's deployment that succeeds at once.
func (h *History) Want(version string) domain.ID {
	h.t.Helper()
	d := h.Add("project/shop", domain.DeploymentQueued{Kind: domain.EnvironmentWide, Environment: "production",
		Release: version, Origin: domain.By("ann")})
	h.Add("project/shop", domain.DeploymentEnded{Deployment: d, State: domain.DeploymentSucceeded})
	return d
}

// Join adds machines to production and brings each online with its own session and instance.
func (h *History) Join(machines ...string) {
	h.t.Helper()
	for _, name := range machines {
		added := h.Add(domain.MachineStream(name), domain.MachineAdded{Environment: "production"})
		h.Connect(name, domain.ID{}, added)
	}
}

// Connect brings a machine online as an instance, in a new session on a server.
func (h *History) Connect(machine string, server, instance domain.ID) domain.ID {
	h.t.Helper()
	session := ID(h.Position)
	session[0] = 0x5e
	return h.Add(domain.MachineStream(machine),
		domain.MachineCameOnline{Server: server, Session: session, Instance: instance})
}

// Disconnect ends the session of a machine.
func (h *History) Disconnect(machine string) {
	h.t.Helper()
	m := h.Machines[machine]
	h.Add(domain.MachineStream(machine),
		domain.MachineWentOffline{Connect: m.Connect, Session: m.Session, Instance: m.Instance, Reason: "silent"})
}

// Claim lets a machine claim its part of a deployment in its current session. The claim check may make the claim void.
func (h *History) Claim(deployment domain.ID, machine string) {
	h.t.Helper()
	m, d := h.Machines[machine], h.Deployments[deployment]
	h.Add(domain.PartStream(deployment, machine),
		domain.PartClaimed{Project: d.Project.Name, Session: m.Session, Instance: m.Instance})
}

// End ends a machine's part. Its agent reports succeeded and failed; a server decides any other state.
func (h *History) End(deployment domain.ID, machine string, state domain.PartState, reason domain.PartReason) {
	h.t.Helper()
	end := domain.PartEnded{Project: h.Deployments[deployment].Project.Name, State: state, Reason: reason}
	if m := h.Machines[machine]; m != nil && end.ByAgent() {
		end.Session = m.Session
	}
	h.Add(domain.PartStream(deployment, machine), end)
}

// Attempt adds an automatic deployment of a release of project shop to one machine, and ends its part with state and
// reason.
func (h *History) Attempt(machine, release string, state domain.PartState, reason domain.PartReason) domain.ID {
	h.t.Helper()
	d := h.Add("project/shop", domain.DeploymentQueued{Kind: domain.Automatic, Environment: "production",
		Release: release, Reason: "behind",
		Machines: []domain.DeploymentMachine{{Name: machine, Triggers: []string{"joins"}, Reason: "behind"}}})
	h.Claim(d, machine)
	h.End(d, machine, state, reason)
	h.Add("project/shop", domain.DeploymentEnded{Deployment: d, State: domain.DeploymentState(state)})
	return d
}
