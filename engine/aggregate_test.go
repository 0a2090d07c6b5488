package engine_test

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/projections"
)

// enablings is a test aggregate. It counts how often each machine was enabled, and disables the machine at the third
// time. It consists of one row in the folds and one in the deciders.
type enablings struct{ Count map[string]int }

func enablingsOf(v *projections.View) *enablings { return v.State("enablings").(*enablings) }

var countEnablings = projections.Fold{Name: "enablings", Follows: []string{domain.MachineStreams},
	New: func() any { return &enablings{Count: map[string]int{}} },
	Follow: func(v *projections.View, name string, f projections.Fact) {
		if _, enabled := f.Event.(domain.MachineEnabled); enabled {
			enablingsOf(v).Count[name]++
		}
	},
	Save: func(s *projections.Saving) any { return enablingsOf(s.View) },
	Load: func(l *projections.Loading) { l.Decode(enablingsOf(l.View)) },
}

var stopEnablings = engine.Decider{Name: "stop enablings", Phase: engine.AtOnce,
	Decide: func(s *engine.Situation) (all []domain.Decision) {
		counts := enablingsOf(s.View).Count
		for _, name := range slices.Sorted(maps.Keys(counts)) { // equal views must give equal decisions
			if m := s.View.Machines[name]; counts[name] >= 3 && m != nil && !m.Disabled {
				all = append(all, domain.Decision{Kind: "stop-enablings", Stream: domain.MachineStream(name),
					Events: []domain.Event{domain.MachineDisabled{}}})
			}
		}
		return all
	}}

func TestAggregateIsAddedByOneFoldAndOneDecider(t *testing.T) {
	f := newFixture(t)
	rules := engine.CurrentRules()
	rules.Folds, rules.Deciders = append(rules.Folds, countEnablings), append(rules.Deciders, stopEnablings)
	snapshots := &memorySnapshots{}
	open := func() *engine.Engine {
		e, err := engine.Open(context.Background(), engine.Config{Log: f.log, Clock: f.clock, Server: domain.ID{15: 7},
			Rules: rules, Snapshots: snapshots, Program: "this"})
		require.NoError(t, err)
		require.NoError(t, e.Start(context.Background()))
		return e
	}
	e := open()
	do := func(c domain.Command) {
		_, err := e.Handle(context.Background(), domain.ID{}, c)
		require.NoError(t, err)
	}
	do(domain.ApplyEnvironment{Name: "lab"})
	do(domain.ApplyMachine{Name: "m1", Environment: "lab"})
	for range 2 {
		do(domain.SetMachineEnabled{Name: "m1"})
		do(domain.SetMachineEnabled{Name: "m1", Enabled: true})
	}
	written, err := e.React(context.Background())
	require.NoError(t, err)
	require.Empty(t, written)

	require.NoError(t, e.Snapshot())
	before := e
	e = open() // with the count from the snapshot
	require.Positive(t, e.ResumedFrom())
	fresh, err := engine.Open(context.Background(), engine.Config{Log: f.log, Clock: f.clock, Server: domain.ID{15: 8},
		Rules: rules})
	require.NoError(t, err)
	require.NoError(t, before.CatchUp(context.Background()))
	require.NoError(t, fresh.CatchUp(context.Background()))
	for _, other := range []*engine.Engine{before, fresh} {
		e.Read(func(v *projections.View) {
			other.Read(func(w *projections.View) {
				v.Touched()
				w.Touched()
				require.True(t, reflect.DeepEqual(v, w), "equal logs give equal views, with any folds")
			})
		})
	}
	e.Read(func(v *projections.View) {
		require.Equal(t, enablingsOf(v), v.World().State("enablings"), "commands have access to the state")
	})
	do(domain.SetMachineEnabled{Name: "m1"})
	do(domain.SetMachineEnabled{Name: "m1", Enabled: true})
	written, err = e.React(context.Background())
	require.NoError(t, err)
	require.Equal(t, []engine.Written{{Stream: "machine/m1", Event: domain.MachineDisabled{}}}, written)
	e.Read(func(v *projections.View) {
		require.Equal(t, 3, enablingsOf(v).Count["m1"])
		require.True(t, v.Machines["m1"].Disabled)
	})
}
