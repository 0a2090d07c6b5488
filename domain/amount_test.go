package domain

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAmountHasTheJSONOfAnIntUnlessItIsAPercentage(t *testing.T) {
	for text, a := range map[string]Amount{`16`: Count(16), `0`: {}, `-1`: Count(-1), `"25%"`: Percent(25), `"0%"`: Percent(0)} {
		data, err := json.Marshal(a)
		require.NoError(t, err)
		require.Equal(t, text, string(data))
		var back Amount
		require.NoError(t, json.Unmarshal([]byte(text), &back))
		require.Equal(t, a, back)
		parsed, err := ParseAmount(a.String())
		require.NoError(t, err)
		require.Equal(t, a, parsed)
	}
	data, err := json.Marshal(DeploymentQueued{Kind: EnvironmentWide})
	require.NoError(t, err)
	require.NotContains(t, string(data), "maxParallel", "zero is left out, as before percentages existed")
}

func TestAmountRejectsOtherForms(t *testing.T) {
	for _, data := range []string{`"16"`, `"%"`, `"many"`, `"1.5%"`, `1.5`, `true`, `{}`, `"25%%"`, `99999999999999999999`} {
		require.Error(t, json.Unmarshal([]byte(data), new(Amount)), data)
	}
	for _, text := range []string{"", "%", "many", "1.5", "25 %"} {
		_, err := ParseAmount(text)
		require.ErrorContains(t, err, "use a whole number such as 16, or a percentage such as 25%", text)
	}
}

func TestPercentageIsRoundedDownButLeavesOneSlot(t *testing.T) {
	for _, c := range []struct {
		amount           Amount
		total, of, slots int
	}{
		{Count(3), 2, 3, 3}, {Amount{}, 9, 0, 0},
		{Percent(1), 2000, 20, 20}, {Percent(1), 1999, 19, 19}, {Percent(1), 99, 0, 1},
		{Percent(25), 4, 1, 1}, {Percent(25), 3, 0, 1}, {Percent(100), 7, 7, 7}, {Percent(0), 7, 0, 1},
		{Percent(50), 0, 0, 1}, {Percent(1 << 62), 7, 7, 7}, {Percent(-1 << 62), 7, 0, 1},
	} {
		require.Equal(t, c.of, c.amount.Of(c.total), "%s of %d", c.amount, c.total)
		require.Equal(t, c.slots, c.amount.SlotsOf(c.total), "%s of %d", c.amount, c.total)
	}
}
