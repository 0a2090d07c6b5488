package explain

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections/projectionstest"
)

func TestReachCountsMachinesThatHaveTheReleaseOnlyIfTheyAreLeftOut(t *testing.T) {
	l := projectionstest.OneMachine(t)
	l.Join("web-02", "web-03")
	l.Attempt("web-01", "1.0", domain.PartSucceeded, "")
	l.Disconnect("web-03")
	deploy := domain.Deploy{Project: "shop", Release: "1.0", Environment: "production"}
	require.Equal(t, Reach{Machines: 3, Ready: 2, Offline: 1, Unavailable: "skip"}, ReachOf(l.View, deploy))
	deploy.OnlyBehind = true
	require.Equal(t, Reach{Machines: 2, Ready: 1, Offline: 1, Have: 1, Unavailable: "skip"}, ReachOf(l.View, deploy))
}
