package doctor

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/clocks"
	"github.com/droverhq/drover/domain"
)

func TestDoctorSaysWhyNothingExpires(t *testing.T) {
	const effect = "pins, holds and stored output do not expire on this server now: "
	other := domain.ID{3: 2}
	for name, c := range map[string]struct {
		verdict clocks.Verdict
		want    string
	}{
		"two servers disagree": {clocks.Verdict{Reason: clocks.ServersDisagree, Servers: []domain.ID{other, {15: 9}}},
			"bad: " + effect + "its clock differs by more than 5m from that of server 00000002-0000-0000-0000-000000000000, " +
				"server 00000000-0000-0000-0000-000000000009 → " + setClock},
		"ahead of the agents": {clocks.Verdict{Reason: clocks.AgentsDisagree, Ahead: time.Hour, Agents: 3},
			"bad: " + effect + "its clock is 1h ahead of the clocks of most of its 3 agents → " + setClock},
		"behind the agents": {clocks.Verdict{Reason: clocks.AgentsDisagree, Ahead: -72 * time.Hour, Agents: 4},
			"bad: " + effect + "its clock is 3 days behind the clocks of most of its 4 agents → " + setClock},
		"a jump": {clocks.Verdict{Reason: clocks.Jumped, Ahead: 8 * time.Hour, Wait: 59 * time.Minute},
			"bad: " + effect + "its clock was set forward by 8h, and neither another server nor 3 agents confirm the new time; " +
				"without them it is accepted in 59m → timedatectl status (on the machine of this server; if its time is right, wait)"},
		"a jump back": {clocks.Verdict{Reason: clocks.Jumped, Ahead: -time.Hour, Wait: time.Minute},
			"bad: " + effect + "its clock was set back by 1h, and neither"},
		"a start": {clocks.Verdict{Reason: clocks.Started, Wait: time.Hour},
			"ok: " + effect + "it has just started, and neither another server nor 3 agents confirm its clock; " +
				"without them it is accepted in 1h → "},
	} {
		t.Run(name, func(t *testing.T) {
			s := healthy()
			s.Clock = c.verdict
			require.Contains(t, findings(t, shop(t), s, "clock"), c.want)
		})
	}
	require.NotContains(t, findings(t, shop(t), healthy(), "clock"), effect)
	without := healthy()
	without.Self, without.Clock = domain.ID{}, clocks.Verdict{}
	require.NotContains(t, findings(t, shop(t), without, "clock"), effect, "no server runs")
}
