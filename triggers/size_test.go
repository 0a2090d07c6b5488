package triggers

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections"
)

func TestSizeIsACloseUpperBoundOfTheJSONOfAMachine(t *testing.T) {
	for _, names := range []int{0, 1, 5, 40} {
		for _, causes := range []int{0, 1, projections.MaxCauses} {
			verdict := Verdict{Machine: strings.Repeat("m", 1+names), Reason: MachineUnavailable,
				Causes: make([]projections.Cause, causes)}
			machine := domain.DeploymentMachine{Name: verdict.Machine, Reason: string(verdict.Reason),
				Causes: slices.Repeat([]domain.ID{{1: 1}}, causes)}
			for range names {
				verdict.Triggers = append(verdict.Triggers, strings.Repeat("t", names))
			}
			machine.Triggers = verdict.Triggers
			data, err := json.Marshal(machine)
			require.NoError(t, err)
			require.GreaterOrEqual(t, size(verdict), len(data), "%d triggers, %d causes", names, causes)
			require.Less(t, size(verdict), len(data)+100, "%d triggers, %d causes", names, causes)
		}
	}
}
