package engine_test

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/memory"
)

// joinWith makes a machine join with a token, which is created if it does not exist.
func (f *fixture) joinWith(token, machine string, n byte) {
	world := viewOf(f.Engine).World()
	if world.Token(token) == nil {
		f.put(domain.TokenStream(token), "token.created/v1", `{"kind":"join","uses":100}`)
	}
	f.join(machine, n)
	instance := viewOf(f.Engine).Machines[machine].Instance
	f.put(domain.TokenStream(token), "token.used/v1", fmt.Sprintf(`{"instance":%q,"machine":%q}`, instance, machine))
	require.NoError(f.t, f.CatchUp(context.Background()))
}

// lie reports that the agent of a machine remembers a success that the log does not have.
func (f *fixture) lie(machine string) {
	f.t.Helper()
	require.NoError(f.t, f.CheckAgentMemory(context.Background(), machine, engine.AgentMemory{Log: f.LogID(),
		Successes:   map[string]domain.ID{"shop": {9}},
		Deployments: map[string]domain.ID{"shop": {8}}}))
}

func TestDoubtedMachinesStopTheFleet(t *testing.T) {
	for name, c := range map[string]struct {
		tokens  []string // of web-1, web-2, …
		lies    []int
		unready bool // the machines joined after the start of the server
		stopped bool
	}{
		"one machine of one":                        {[]string{"a"}, []int{1}, false, false},
		"half of the fleet":                         {[]string{"a", "a", "a", "a"}, []int{1, 2}, false, false},
		"more than half of the fleet":               {[]string{"a", "a", "a"}, []int{1, 2}, false, true},
		"all machines of one of two tokens":         {[]string{"a", "a", "a", "b"}, []int{1, 2, 3}, false, false},
		"machines of both tokens":                   {[]string{"a", "a", "a", "b"}, []int{1, 2, 4}, false, true},
		"three of many machines, with three tokens": {[]string{"a", "b", "c", "a", "a", "a", "a", "a"}, []int{1, 2, 3}, false, true},
		"three of many machines, with two of three": {[]string{"a", "b", "c", "a", "a", "a", "a", "a"}, []int{1, 2, 4}, false, false},
		"machines that joined after the last start": {[]string{"a", "b", "c"}, []int{1, 2, 3}, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.shop()
			for i, token := range c.tokens {
				f.joinWith(token, fmt.Sprintf("web-%d", i+1), byte(i+1))
			}
			if !c.unready {
				f.Engine = f.server(7)
				for i := range c.tokens { // the agents connect to the new server
					f.connectTo(fmt.Sprintf("web-%d", i+1))
				}
			}
			for _, n := range c.lies {
				require.NoError(t, f.LostEvents())
				f.lie(fmt.Sprintf("web-%d", n))
				require.NotNil(t, doubtOf(f.Engine, fmt.Sprintf("web-%d", n)))
			}
			require.Equal(t, c.stopped, f.LostEvents() != nil)
		})
	}
}

// connectTo moves the session of a machine to the server of the fixture.
func (f *fixture) connectTo(machine string) {
	m := viewOf(f.Engine).Machines[machine]
	f.do(domain.ConnectMachine{Name: machine, Server: f.Server(), Session: m.Session, Instance: m.Instance})
}

func TestCommandsThatRemovePowerWorkWhileTheLogHasLostEvents(t *testing.T) {
	f := newFixture(t)
	f.shop()
	f.joinWith("a", "web-01", 1)
	f.joinWith("b", "web-02", 2)
	f.ReportLostEvents("server a has read event 1 at position 1")
	require.ErrorIs(t, f.try(domain.SetMachineEnabled{Name: "web-01", Enabled: true}), engine.ErrLostEvents)
	require.NoError(t, f.try(domain.SetMachineEnabled{Name: "web-01"}))
	require.NoError(t, f.try(domain.RevokeToken{ID: "a"}))
	require.NoError(t, f.try(domain.DeleteMachine{Name: "web-01"}))
	require.NoError(t, f.try(domain.AcceptRestore{Was: domain.ID(f.LogID()), Except: []string{"web-02"}}))
	require.NoError(t, f.LostEvents())
}

func TestDoubtsOfManyMachinesFitIntoTheLease(t *testing.T) {
	f := newFixture(t)
	f.shop()
	other := f.server(2)
	machines := 0
	for ; machines < 20; machines++ {
		name := fmt.Sprintf("web-%02d-%s", machines, strings.Repeat("x", 50))
		f.join(name, byte(machines+1))
		f.lie(name)
	}
	f.ReportLostEvents(strings.Repeat("long\n", 1000))
	for _, e := range []*engine.Engine{f.Engine, other} {
		require.NoError(t, e.CatchUp(context.Background()))
		require.NoError(t, e.RenewLease(context.Background(), f.log))
	}
	require.ErrorIs(t, other.LostEvents(), engine.ErrLostEvents)
	require.LessOrEqual(t, len(other.LostEvents().Error()), 400)
	v := viewOf(other)
	require.Len(t, v.Doubts, machines, "the texts were cut, but no machine was left out")

	for name := range v.Doubts {
		f.do(domain.DeleteMachine{Name: name})
	}
	require.NoError(t, f.RenewLease(context.Background(), f.log))
	require.NoError(t, other.CatchUp(context.Background()))
	require.NoError(t, other.RenewLease(context.Background(), f.log))
	require.Empty(t, viewOf(other).Doubts, "a deleted machine is not doubted")
}

func TestReimagedMachineIsNotDoubted(t *testing.T) {
	f := newFixture(t)
	f.shop()
	f.join("web-01", 1)
	f.lie("web-01")
	require.NotNil(t, doubtOf(f.Engine, "web-01"))
	m := viewOf(f.Engine).Machines["web-01"]
	f.do(domain.DisconnectMachine{Name: "web-01"})
	f.do(domain.ConnectMachine{Name: "web-01", Server: m.Server, Session: domain.ID{77}, Instance: domain.ID{78}, Admin: true})
	require.Nil(t, doubtOf(f.Engine, "web-01"))
}

// countedReads counts the reads of single streams.
type countedReads struct {
	*memory.Log
	reads int
}

func (l *countedReads) ReadStream(ctx context.Context, stream string, from eventlog.Revision,
	limit int) iter.Seq2[eventlog.Recorded, error] {
	l.reads++
	return l.Log.ReadStream(ctx, stream, from, limit)
}

func TestComparingAMemoryCostsABoundedNumberOfReads(t *testing.T) {
	f := newFixture(t)
	f.shop()
	f.join("web-01", 1)
	counting := &countedReads{Log: f.log}
	e, err := engine.Open(context.Background(), engine.Config{Log: counting, Clock: f.clock, Server: domain.ID{15: 9}})
	require.NoError(t, err)
	remembered := engine.AgentMemory{Log: e.LogID(), Revision: 1, Event: domain.ID{7}, Successes: map[string]domain.ID{},
		Deployments: map[string]domain.ID{}}
	for n := range 1000 {
		project := fmt.Sprintf("p-%d", n)
		remembered.Successes[project], remembered.Deployments[project] = domain.ID(uuid.New()), domain.ID(uuid.New())
	}
	counting.reads = 0
	require.NoError(t, e.CheckAgentMemory(context.Background(), "web-01", remembered))
	require.Equal(t, 2, counting.reads, "one success, because one project exists, and the last event")
}
