package explain

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections"
)

// TestTheHistoryTellsOfDeploymentsThatTheViewHasForgotten: what `why` says of them comes from their events alone.
func TestTheHistoryTellsOfDeploymentsThatTheViewHasForgotten(t *testing.T) {
	l := shop(t)
	d := l.Attempt("web-01", "1.0", domain.PartFailed, "step-failed")
	first := len(l.Log)
	for range 2 * projections.RetainedDeployments {
		l.Attempt("web-01", "1.0", domain.PartSucceeded, "")
	}
	long := l.Log[:first]
	_, forgotten := l.Pruned(d)
	require.True(t, forgotten)
	var told []string
	for _, line := range history(l.View, "shop", "web-01", long, nil) {
		told = append(told, regexp.MustCompile(`[0-9a-f]{8}`).ReplaceAllString(line.Text, "ID"))
	}
	require.Subset(t, told, []string{
		"deployment ID of 1.0 to production queued: behind, asked by trigger joins",
		"part of deployment ID on machine web-01 claimed",
		"part of deployment ID on machine web-01 failed: a step failed",
		"deployment ID ended: failed",
	})
}
