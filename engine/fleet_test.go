package engine_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections"
)

// fleet is a set of servers on one log, for benchmarks. Project shop has a release and one trigger that matches every
// second machine. The triggers of the other projects select the same environment, but roles that no machine has.
type fleet struct {
	b       testing.TB
	log     eventlog.Log
	clock   *manualClock
	servers []*engine.Engine
	next    int // number of the next machine
}

// newFleet returns a fleet without machines. It has one trigger of the shop, and ten triggers per other project.
func newFleet(b testing.TB, log eventlog.Log, triggers, servers int) *fleet {
	b.Helper()
	f := &fleet{b: b, log: log, clock: &manualClock{}}
	for server := range servers {
		e, err := engine.Open(context.Background(),
			engine.Config{Log: log, Clock: f.clock, Server: domain.ID{15: byte(server + 1)}, Parallel: 8})
		f.must(err)
		f.must(e.Start(context.Background()))
		f.servers = append(f.servers, e)
	}
	f.do(domain.ApplyEnvironment{Name: "production"})
	f.project("shop", "web", 1)
	for left := triggers - 1; left > 0; left -= 10 {
		f.project(fmt.Sprintf("other-%03d", left/10), fmt.Sprintf("role-%03d", left/10), min(left, 10))
	}
	f.tick()
	return f
}

func (f *fleet) must(err error) {
	f.b.Helper()
	if err != nil {
		f.b.Fatal(err)
	}
}

func (f *fleet) do(c domain.Command) {
	f.b.Helper()
	_, err := f.servers[0].Handle(context.Background(), domain.ID(uuid.New()), c)
	f.must(err)
}

func (f *fleet) project(name, role string, triggers int) {
	f.b.Helper()
	steps := []domain.Step{{Name: "install", Run: "true"}}
	f.do(domain.ApplyProject{Name: name, Settings: domain.ProjectSettings{Steps: steps, Roles: []string{role}}})
	for i := range triggers {
		f.do(domain.ApplyTrigger{Project: name, Name: fmt.Sprintf("joins-%d", i), Settings: domain.TriggerSettings{
			Events: []domain.Category{domain.AvailableGroup}, Environments: []string{[]string{"production",
				"*"}[i%2]}}})
	}
	f.do(domain.CreateRelease{Project: name, Version: "1.0"})
	f.do(domain.Deploy{Project: name, Release: "1.0", Environment: "production"})
}

func (f *fleet) tick() engine.Report {
	f.b.Helper()
	report, err := f.servers[0].Tick(context.Background())
	f.must(err)
	return report
}

// arrive adds n machines and brings them online. Every second one is in scope of the shop.
func (f *fleet) arrive(n int) {
	f.b.Helper()
	for range n {
		id := domain.ID{0: byte(f.next >> 16), 1: byte(f.next >> 8), 2: byte(f.next), 15: 1}
		stream := domain.MachineStream(fmt.Sprintf("web-%07d", f.next))
		f.append(stream, eventlog.NoStream,
			domain.MachineAdded{Environment: "production", Roles: []string{[]string{"web", "db"}[f.next%2]}},
			domain.MachineCameOnline{Server: f.servers[0].Server(), Session: id, Instance: id})
		f.next++
	}
}

// leave takes the machines from number first on offline and deletes them.
func (f *fleet) leave(first int) {
	f.b.Helper()
	for i := first; i < f.next; i++ {
		name := fmt.Sprintf("web-%07d", i)
		var m domain.Machine
		var at eventlog.Revision
		f.servers[0].Read(func(v *projections.View) {
			m, at = v.Machines[name].Machine, v.Revision(domain.MachineStream(name))
		})
		f.append(domain.MachineStream(name), at,
			domain.MachineWentOffline{Connect: m.Connect, Session: m.Session, Instance: m.Instance,
				Reason: "said-goodbye"},
			domain.MachineDeleted{Reason: "ephemeral"})
	}
}

// disable disables the machines from number first on.
func (f *fleet) disable(first int) {
	f.b.Helper()
	for i := first; i < f.next; i++ {
		f.append(domain.MachineStream(fmt.Sprintf("web-%07d", i)), 1, domain.MachineDisabled{})
	}
}

// work lets every machine claim its released parts and succeed, and ends the deployments.
func (f *fleet) work() {
	f.b.Helper()
	for _, s := range f.shares() {
		f.append(s.stream, eventlog.NoStream, s.claimed(),
			domain.PartEnded{Project: "shop", Session: s.session, State: domain.PartSucceeded})
	}
	f.tick()
}

// share is an open part of a machine.
type share struct {
	stream            string
	session, instance domain.ID
}

func (s share) claimed() domain.Event {
	return domain.PartClaimed{Project: "shop", Session: s.session, Instance: s.instance}
}

// claim claims the part unless it is already claimed.
func (f *fleet) claim(s share) {
	f.b.Helper()
	at := eventlog.NoStream
	f.servers[0].Read(func(v *projections.View) { at = v.Revision(s.stream) })
	f.append(s.stream, at, s.claimed())
}

// shares returns the open parts, by machine.
func (f *fleet) shares() (shares []share) {
	f.servers[0].Read(func(v *projections.View) {
		for _, d := range v.OpenDeployments() {
			for name := range d.Parts {
				m := v.Machines[name]
				shares = append(shares, share{domain.PartStream(d.ID, name), m.Session, m.Instance})
			}
		}
	})
	slices.SortFunc(shares, func(a, b share) int { return strings.Compare(a.stream, b.stream) })
	return shares
}

// heartbeats records a heartbeat of every machine, five seconds ago.
func (f *fleet) heartbeats() {
	heard := map[string]domain.ID{}
	f.servers[0].Read(func(v *projections.View) {
		for name, m := range v.Machines {
			heard[name] = m.Connect
		}
	})
	for name, connect := range heard {
		f.servers[0].Heartbeat(name, connect)
	}
	f.clock.now += 5 * time.Second
}

func (f *fleet) append(stream string, expected eventlog.Revision, facts ...domain.Event) {
	f.b.Helper()
	var events []eventlog.Event
	for _, fact := range facts {
		typeName, data, err := domain.Encode(fact)
		f.must(err)
		events = append(events, eventlog.Event{ID: uuid.New(), Type: typeName, Data: data, Time: time.Unix(0, 0).UTC()})
	}
	_, err := f.log.Append(context.Background(), stream, expected, events...)
	f.must(err)
}
