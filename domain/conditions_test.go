package domain

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestConditionsOfAnAgentAreBoundedAndCleaned(t *testing.T) {
	w := shopWorld(t)
	w.do(ConnectMachine{Name: "web-01", Server: number(1), Session: number(2), Instance: number(3)})
	m := w.Machine("web-01")
	report := func(conditions ...Condition) []Condition {
		t.Helper()
		events, rejected := ReportConditions{Name: "web-01", Session: m.Session, Conditions: conditions}.Decide(w)
		require.Nil(t, rejected)
		require.Len(t, events, 1)
		return events[0].(MachineConditionsChanged).Conditions
	}
	require.Equal(t, []Condition{{DiskFull, "[31mno space"}, {Leftovers, ""}},
		report(Condition{Kind: Leftovers}, Condition{"from-a-newer-agent", "x"}, Condition{DiskFull, " \x1b[31mno\n space "},
			Condition{DiskFull, "again"}))
	long := report(Condition{JournalNotWritable, strings.Repeat("é", 4000)})
	require.LessOrEqual(t, len(long[0].Detail), 200)

	w.rejects(ReportConditions{Name: "web-01", Session: number(9)}, Conflict, "the reporting session is not the newest one")
	w.rejects(ReportConditions{Name: "gone"}, NotFound)
}

func TestConditionsEndWithTheInstance(t *testing.T) {
	m := Machine{Name: "web-01"}
	evolve := func(events ...Event) {
		t.Helper()
		for _, e := range events {
			require.NoError(t, m.Evolve(number(1), e))
		}
	}
	full := MachineConditionsChanged{Conditions: []Condition{{Kind: DiskFull}}, Session: number(2)}
	evolve(MachineAdded{Environment: "production"}, MachineCameOnline{Session: number(2), Instance: number(3)}, full)
	c, blocked := m.Blocked()
	require.True(t, blocked)
	require.Equal(t, "the disk of its data folder is full", c.Text())
	evolve(AgentConnected{Server: number(8), Session: number(2), Instance: number(3)})
	require.Len(t, m.Conditions, 1, "the same run of the agent, on another server")
	evolve(AgentConnected{Session: number(4), Instance: number(3)})
	require.Len(t, m.Conditions, 1, "another run of the agent, which has stated nothing yet")
	evolve(MachineCameOnline{Session: number(5), Instance: number(6)})
	require.Empty(t, m.Conditions, "another disk")
	evolve(full, MachineConditionsChanged{Conditions: []Condition{{Kind: Leftovers}}})
	_, blocked = m.Blocked()
	require.False(t, blocked, "a warning does not block")
	evolve(full, MachineConditionsChanged{})
	require.Empty(t, m.Conditions)
}
