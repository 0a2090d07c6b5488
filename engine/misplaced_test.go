package engine_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/memory"
)

// misplaced is a log whose file can be deleted while it is open: its events can still be read.
type misplaced struct {
	*memory.Log
	deleted bool
}

func (m *misplaced) Check(context.Context) error {
	if m.deleted {
		return fmt.Errorf("%w: the file was deleted", eventlog.ErrUnavailable)
	}
	return nil
}

func TestCommandThatChangesNothingIsNotConfirmedFromADeletedFile(t *testing.T) {
	ctx := t.Context()
	log := &misplaced{Log: memory.New()}
	e, err := engine.Open(ctx, engine.Config{Log: log, Clock: &manualClock{}, Server: domain.ID{15: 1}})
	require.NoError(t, err)
	require.NoError(t, e.Start(ctx))
	key, command := domain.ID{0: 0xc0}, domain.ApplyEnvironment{Name: "production"}
	_, err = e.Handle(ctx, key, command)
	require.NoError(t, err)

	log.deleted = true
	_, err = e.Handle(ctx, key, command)
	require.ErrorIs(t, err, eventlog.ErrUnavailable, "a repeat with the same key")
	_, err = e.Handle(ctx, domain.ID{0: 0xc1}, command)
	require.ErrorIs(t, err, eventlog.ErrUnavailable, "a command that is already fulfilled")

	log.deleted = false // the file was moved back
	result, err := e.Handle(ctx, key, command)
	require.NoError(t, err)
	require.True(t, result.Repeat)
}
