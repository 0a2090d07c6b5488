package domain

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestApplyPolicyFillsInDefaultsAndWritesOnlyChanges(t *testing.T) {
	w := newWorld(t)
	require.Empty(t, w.do(ApplyPolicy{Name: DefaultPolicy}), "the default policy always exists")
	apply := ApplyPolicy{
		Name: "tame",
		Settings: PolicySettings{
			HealthCheck: &HealthCheck{Script: "./ok"},
			CleanUp:     &CleanUp{After: Duration(time.Hour)},
		},
	}
	defined := w.do(apply)[0].(PolicyDefined).Settings
	require.Equal(t, PolicySettings{OfflineAfter: DefaultOfflineAfter, LostAfter: DefaultLostAfter,
		HealthCheck: &HealthCheck{Every: DefaultHealthEvery, Timeout: DefaultHealthTimeout, Script: "./ok"},
		CleanUp:     &CleanUp{After: Duration(time.Hour), MaxShare: DefaultMaxShare}}, defined)
	require.Zero(t, apply.Settings.CleanUp.MaxShare, "the command must not change")
	require.Empty(t, w.do(apply))
	apply.Settings.HealthCheck.Script = "./better"
	require.Len(t, w.do(apply), 1)
}

func TestApplyPolicyRejectsATooShortLostAfter(t *testing.T) {
	w := newWorld(t)
	w.rejects(
		ApplyPolicy{Name: "hasty", Settings: PolicySettings{LostAfter: Duration(999 * time.Millisecond)}},
		Invalid,
		"invalid lostAfter 999ms",
		"1s",
	)
	w.do(ApplyPolicy{Name: "hasty", Settings: PolicySettings{LostAfter: Duration(time.Second)}})
}
