package problem_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/api/problem"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
)

func TestErrorsAreConvertedToProblems(t *testing.T) {
	for kind, err := range map[string]error{
		client.NotFound:    &domain.Rejection{Kind: domain.NotFound, Reason: "r", Hint: "h"},
		client.Conflict:    fmt.Errorf("handle: %w", engine.ErrLostEvents),
		client.Unavailable: fmt.Errorf("append: %w", eventlog.ErrFull),
		client.Invalid:     fmt.Errorf("append: %w", eventlog.ErrTooLarge),
		client.Internal:    errors.New("a fault"),
	} {
		p := problem.Of(err)
		require.Equal(t, kind, p.Kind)
		require.NotEmpty(t, p.Detail)
		require.NotEmpty(t, p.Hint)
	}
	own := problem.Forbidden("no").WithHint("ask %s", "ann")
	require.Same(t, own, problem.Of(fmt.Errorf("wrapped: %w", own)))
	require.EqualError(t, own, "no (ask ann)")
}

func TestConflictWithOtherServersIsNeverUnavailable(t *testing.T) {
	p := problem.Of(fmt.Errorf("%w: project/shop, 40 tries", engine.ErrContended))
	require.Equal(t, client.Conflict, p.Kind)
	require.Contains(t, p.Hint, client.KeyHeader)
}

func TestFullQueueKeepsTheServerInService(t *testing.T) {
	for _, cause := range []error{nil, context.DeadlineExceeded} {
		p := problem.Of(&engine.Busy{Stream: "project/shop", Waiting: 4096, Err: cause})
		require.Equal(t, client.Unavailable, p.Kind, "clients try the next server")
		require.Equal(t, http.StatusTooManyRequests, p.Status)
		require.Contains(t, p.Detail, "project/shop")
	}
}

func TestPastDeadlineIsInvalid(t *testing.T) {
	now := time.Date(2026, 1, 1, 9, 0, 0, 0, time.UTC)
	later := now.Add(time.Second)
	require.NoError(t, problem.CheckDeadline(now, nil))
	require.NoError(t, problem.CheckDeadline(now, &later))
	require.ErrorContains(t, problem.CheckDeadline(now, &now), "invalid until 2026-01-01T09:00:00Z")
}
