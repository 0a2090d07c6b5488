package explain

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections"
)

// TestHistoryDescribesDeploymentsThatTheViewNoLongerRetains checks that events alone are enough for `why`.
func TestHistoryDescribesDeploymentsThatTheViewNoLongerRetains(t *testing.T) {
	l := shop(t)
	d := l.Attempt("web-01", "1.0", domain.PartFailed, "step-failed")
	first := len(l.Log)
	for range 2 * projections.RetainedDeployments {
		l.Attempt("web-01", "1.0", domain.PartSucceeded, "")
	}
	oldest := l.Log[:first]
	_, pruned := l.Pruned(d)
	require.True(t, pruned)
	var texts []string
	for _, line := range history(l.View, "shop", "web-01", oldest, nil) {
		texts = append(texts, regexp.MustCompile(`[0-9a-f]{8}`).ReplaceAllString(line.Text, "ID"))
	}
	require.Subset(t, texts, []string{
		"deployment ID of 1.0 to production queued: behind, requested by trigger joins",
		"part of deployment ID on machine web-01 claimed",
		"part of deployment ID on machine web-01 failed: a step failed",
		"deployment ID ended: failed",
	})
}
