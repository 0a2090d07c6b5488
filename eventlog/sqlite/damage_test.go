package sqlite_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/sqlite"
)

// filled creates a closed log with ten events in each of two streams and returns its path.
func filled(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "drover.db")
	log := open(t, path)
	for i := range 10 {
		for j, stream := range []string{"machine/a", "machine/b"} {
			_, err := log.Append(context.Background(), stream, eventlog.Revision(i-1), sample(uint64(2*i+j)))
			require.NoError(t, err)
		}
	}
	require.NoError(t, log.Close())
	return path
}

func TestDamagedEventIsReportedAfterTheEventsBeforeIt(t *testing.T) {
	const unlock = `DROP TRIGGER events_are_never_changed; DROP TRIGGER events_are_never_deleted;`
	for name, c := range map[string]struct{ damage, text string }{
		"changed data": {`UPDATE events SET data = replace(data, '"n":10', '"n":11') WHERE position = 11`,
			"stream machine/a, revision 5, position 11"},
		"changed type": {`UPDATE events SET type = 'x' WHERE position = 11`,
			"stream machine/a, revision 5, position 11"},
		"changed id": {`UPDATE events SET id = replace(id, '0a', '0b') WHERE position = 11`,
			"stream machine/a, revision 5, position 11"},
		"invalid id": {`UPDATE events SET id = 'none' WHERE position = 11`,
			`stream machine/a, revision 5, position 11: id "none"`},
		"changed stream": {`UPDATE events SET stream = 'machine/c' WHERE position = 11`,
			"stream machine/c, revision 5, position 11"},
		"changed revision": {`UPDATE events SET revision = 50 WHERE position = 11`,
			"stream machine/a, revision 50, position 11"},
		"invalid time": {`UPDATE events SET time = 'noon' WHERE position = 11`,
			"stream machine/a, revision 5, position 11"},
		"invalid causes": {`UPDATE events SET causes = '[' WHERE position = 11`,
			"stream machine/a, revision 5, position 11"},
		"invalid command": {`UPDATE events SET command = 'x' WHERE position = 11`,
			"stream machine/a, revision 5, position 11"},
		"changed checksum": {`UPDATE events SET checksum = replace(checksum, substr(checksum, 1, 1), 'x') WHERE position = 11`,
			"stream machine/a, revision 5, position 11"},
		"changed position": {`UPDATE events SET position = position + 64 WHERE position = 11`,
			"position 11 is missing"},
		"missing event": {`DELETE FROM events WHERE position = 11`, "position 11 is missing"},
		"missing end": {`DELETE FROM events WHERE position > 10; INSERT INTO events VALUES (12, 'z', 0, '', '', '', '', '', '', '')`,
			"position"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filled(t)
			alter(t, path, unlock+c.damage)
			log := open(t, path)
			defer log.Close()
			read := 0
			var damage error
			for _, err := range log.ReadAll(context.Background(), 0, 0) {
				if damage = err; err == nil {
					read++
				}
			}
			require.ErrorIs(t, damage, eventlog.ErrDamaged)
			require.ErrorContains(t, damage, c.text)
			require.Equal(t, 10, read)
			verified, err := eventlog.Verify(context.Background(), log, nil)
			require.ErrorIs(t, err, eventlog.ErrDamaged)
			require.Equal(t, eventlog.Verified{Events: 10, Streams: 2, Head: 10}, verified)
		})
	}
}

func TestMissingRevisionIsReported(t *testing.T) {
	path := filled(t)
	alter(t, path, `DROP TRIGGER events_are_never_deleted;
		DELETE FROM events WHERE stream = 'machine/a' AND revision = 3`)
	log := open(t, path)
	defer log.Close()
	var damage error
	for _, damage = range log.ReadStream(context.Background(), "machine/a", 0, 0) {
	}
	require.ErrorIs(t, damage, eventlog.ErrDamaged)
	require.ErrorContains(t, damage, "revision 3 of stream machine/a is missing")
}

// TestFlippedBitIsDetectedOrHarmless flips bits all over the file. Either opening or reading the log returns an error
// of a known kind, or the part of every event that its checksum covers is unchanged.
func TestFlippedBitIsDetectedOrHarmless(t *testing.T) {
	path := filled(t)
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	var want []string
	log := open(t, path)
	for event, err := range log.ReadAll(context.Background(), 0, 0) {
		require.NoError(t, err)
		want = append(want, eventlog.Checksum(event.Stream, event.Revision, event.Event))
	}
	require.NoError(t, log.Close())
	random := rand.New(rand.NewPCG(1, 2))
	found := 0
	for range 120 {
		broken := append([]byte(nil), whole...)
		at := random.IntN(len(broken))
		broken[at] ^= 1 << random.IntN(8)
		got, err := readDamaged(t, broken)
		if err != nil {
			found++
			known := errors.Is(err, eventlog.ErrDamaged) || errors.Is(err, eventlog.ErrForeign) || errors.Is(err,
				eventlog.ErrUnavailable)
			require.True(t, known, "bit at %d: %v", at, err)
			continue
		}
		require.Equal(t, want, got, "bit at %d", at)
	}
	require.Positive(t, found)
}

func readDamaged(t *testing.T, content []byte) (sums []string, err error) {
	path := filepath.Join(t.TempDir(), "broken.db")
	require.NoError(t, os.WriteFile(path, content, 0o600))
	log, err := sqlite.Open(context.Background(), path, sqlite.Config{})
	if err != nil {
		return nil, err
	}
	defer log.Close()
	for event, err := range log.ReadAll(context.Background(), 0, 0) {
		if err != nil {
			return nil, err
		}
		sums = append(sums, eventlog.Checksum(event.Stream, event.Revision, event.Event))
	}
	if _, err := eventlog.Verify(context.Background(), log, nil); err != nil {
		return nil, err
	}
	return sums, nil
}

func TestDamageErrorHasHintOnOneLine(t *testing.T) {
	path := filled(t)
	alter(t, path, `DROP TRIGGER events_are_never_changed; UPDATE events SET type = 'x' WHERE position = 3`)
	log := open(t, path)
	defer log.Close()
	_, err := eventlog.Verify(context.Background(), log, nil)
	require.ErrorContains(t, err, "restore a backup")
	require.NotContains(t, err.Error(), "\n")
}
