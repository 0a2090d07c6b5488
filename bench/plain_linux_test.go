package main

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPlainSQLiteReadsRowsOfLog(t *testing.T) {
	folder := t.TempDir()
	log, err := logIn(context.Background(), folder)
	require.NoError(t, err)
	require.NoError(t, comeAndGo(context.Background(), log, 3, 7))
	require.NoError(t, log.Close())
	rows, err := plainRead(context.Background(), filepath.Join(folder, logFile))
	require.NoError(t, err)
	require.Equal(t, 21, rows)
}

func TestLargeFleetHasNothingDueAfterRestart(t *testing.T) {
	folder := t.TempDir()
	log, err := logIn(context.Background(), folder)
	require.NoError(t, err)
	defer log.Close()
	alone, err := newCore(context.Background(), log, 1)
	require.NoError(t, err)
	c := &largeFleet{core: alone, folder: folder}
	for range 3 {
		_, err := c.grow(context.Background(), 20)
		require.NoError(t, err)
	}
	require.Equal(t, 3*20*eventsEach, c.written)
	r, err := c.restart(context.Background())
	require.NoError(t, err, "nothing must be due after a start")
	require.Greater(t, r.events, c.written)
}
