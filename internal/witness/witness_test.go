package witness_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/internal/witness"
)

var made = uuid.MustParse("11111111-2222-4333-8444-555555555555")

// seen returns the nth event of a log whose current id is log.
func seen(log uuid.UUID, n byte) eventlog.Seen {
	return eventlog.Seen{Log: log, Before: eventlog.Position(n) - 1, Position: eventlog.Position(n), ID: uuid.UUID{15: n},
		Time: time.Date(2026, 1, 2, 3, 4, 5, int(n)*1000, time.UTC)}
}

// open opens the witness of the log in folder, and collects its messages.
func open(t *testing.T, folder string) (*witness.File, *observer.ObservedLogs) {
	t.Helper()
	core, messages := observer.New(zap.DebugLevel)
	f := witness.Open(witness.Config{Folder: folder, Made: made, LogFile: "/log/drover.db", Logger: zap.New(core)})
	t.Cleanup(func() { _ = f.Close() })
	return f, messages
}

func pathIn(folder string) string { return filepath.Join(folder, "head-"+made.String()) }

func TestNextRunSeesTheLastTwoRecords(t *testing.T) {
	folder := t.TempDir()
	f, _ := open(t, folder)
	require.Empty(t, f.Seen())
	for n := range byte(5) {
		f.Record(seen(made, n+1))
		again, messages := open(t, folder) // without Close, as after kill -9
		require.Contains(t, again.Seen(), seen(made, n+1))
		require.Zero(t, messages.Len(), "%v", messages.All())
	}
	again, _ := open(t, folder)
	require.ElementsMatch(t, []eventlog.Seen{seen(made, 4), seen(made, 5)}, again.Seen())
	info, err := os.Stat(pathIn(folder))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

func TestFirstRecordUnderANewIDReplacesBothRecords(t *testing.T) {
	folder := t.TempDir()
	f, _ := open(t, folder)
	f.Record(seen(made, 7))
	f.Record(seen(made, 8))
	accepted := uuid.New()
	f.Record(seen(accepted, 3))
	again, _ := open(t, folder)
	require.Equal(t, []eventlog.Seen{seen(accepted, 3), seen(accepted, 3)}, again.Seen())
	again.Record(seen(accepted, 4))
	third, _ := open(t, folder)
	require.Equal(t, []eventlog.Seen{seen(accepted, 4), seen(accepted, 4)}, third.Seen(), "and so does that of a new run")
}

func TestInterruptedWriteLeavesTheOtherRecord(t *testing.T) {
	for n, block := range []int{0, 4096} {
		for _, length := range []int{1, 100, 300} {
			t.Run(fmt.Sprintf("record %d, %d bytes", n+1, length), func(t *testing.T) {
				folder := t.TempDir()
				f, _ := open(t, folder)
				f.Record(seen(made, 1))
				content, err := os.ReadFile(pathIn(folder))
				require.NoError(t, err)
				copy(content[block:block+length], bytes.Repeat([]byte{'x'}, length))
				require.NoError(t, os.WriteFile(pathIn(folder), content, 0o600))
				again, messages := open(t, folder)
				require.Equal(t, []eventlog.Seen{seen(made, 1)}, again.Seen())
				require.Equal(t, 1, messages.FilterMessageSnippet("one of the two records").Len())
				again.Record(seen(made, 2))
				_, messages = open(t, folder)
				require.Zero(t, messages.Len(), "the next record repairs the file")
			})
		}
	}
}

func TestEveryFlippedBitIsDetected(t *testing.T) {
	folder := t.TempDir()
	f, _ := open(t, folder)
	f.Record(seen(made, 1))
	whole, err := os.ReadFile(pathIn(folder))
	require.NoError(t, err)
	for at := range bytes.TrimRight(whole[:4096], " \n") {
		content := bytes.Clone(whole)
		content[at] ^= 1
		require.NoError(t, os.WriteFile(pathIn(folder), content, 0o600))
		got, err := witness.Read(witness.Config{Folder: folder, Made: made})
		require.NoError(t, err)
		for _, s := range got {
			require.Equal(t, seen(made, 1), s, "bit at %d", at)
		}
	}
}

func TestDamagedFileIsQuarantinedAndTheLastThreeAreKept(t *testing.T) {
	folder := t.TempDir()
	for n := range 5 {
		require.NoError(t, os.WriteFile(pathIn(folder), fmt.Append(nil, "damage ", n), 0o600))
		f, messages := open(t, folder)
		require.Empty(t, f.Seen())
		warned := messages.FilterMessageSnippet("head witness damaged").All()
		require.Len(t, warned, 1)
		require.Equal(t, fmt.Sprintf("%s.damaged-%d", pathIn(folder), n+1), warned[0].ContextMap()["renamed"])
		f.Record(seen(made, 1))
		require.NoError(t, f.Close())
	}
	kept, err := filepath.Glob(pathIn(folder) + ".damaged-*")
	require.NoError(t, err)
	require.Equal(t, []string{pathIn(folder) + ".damaged-3", pathIn(folder) + ".damaged-4", pathIn(folder) + ".damaged-5"},
		kept)
	again, _ := open(t, folder)
	require.Contains(t, again.Seen(), seen(made, 1), "a new file was written")
}

func TestFileOfANewerVersionIsNotChanged(t *testing.T) {
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(pathIn(folder), witness.NewerFile(made), 0o600))
	before, err := os.ReadFile(pathIn(folder))
	require.NoError(t, err)
	f, messages := open(t, folder)
	require.Empty(t, f.Seen())
	require.Equal(t, 1, messages.FilterMessageSnippet("a newer version of drover").Len())
	f.Record(seen(made, 1))
	f.Sync()
	require.NoError(t, f.Close())
	after, err := os.ReadFile(pathIn(folder))
	require.NoError(t, err)
	require.Equal(t, before, after)
}

func TestWitnessOfAnotherLogIsReportedOnceAndKept(t *testing.T) {
	folder := t.TempDir()
	other, err := uuid.NewRandom()
	require.NoError(t, err)
	f := witness.Open(witness.Config{Folder: folder, Made: other})
	f.Record(seen(other, 9))
	require.NoError(t, f.Close())

	mine, messages := open(t, folder)
	require.Empty(t, mine.Seen(), "another log is not a loss")
	told := messages.FilterMessageSnippet("belongs to another log").All()
	require.Len(t, told, 1)
	require.Equal(t, other.String(), told[0].ContextMap()["other"])
	require.Equal(t, "9", told[0].ContextMap()["head"])
	mine.Record(seen(made, 1))
	_, messages = open(t, folder)
	require.Zero(t, messages.Len())
	again := witness.Open(witness.Config{Folder: folder, Made: other})
	require.Contains(t, again.Seen(), seen(other, 9))
}

func TestUnwritableFolderIsReportedOnceAndRetried(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "data")
	require.NoError(t, os.WriteFile(folder, nil, 0o600)) // not a folder; unlike permissions, this also stops root
	f, messages := open(t, folder)
	for n := range byte(3) {
		f.Record(seen(made, n+1))
		f.Sync()
	}
	require.Error(t, f.Err())
	require.Equal(t, 1, messages.FilterMessageSnippet("could not write the head witness").Len())
	require.NoError(t, os.Remove(folder))
	require.NoError(t, os.Mkdir(folder, 0o700))
	f.Sync()
	require.NoError(t, f.Err())
	again, _ := open(t, folder)
	require.Contains(t, again.Seen(), seen(made, 3))
}

func TestDeletedFileIsWrittenAgain(t *testing.T) {
	folder := t.TempDir()
	f, _ := open(t, folder)
	f.Record(seen(made, 1))
	require.NoError(t, os.Remove(pathIn(folder)))
	f.Sync()
	again, _ := open(t, folder)
	require.Contains(t, again.Seen(), seen(made, 1))
}

func TestServersThatShareAFolderLeaveTrueRecords(t *testing.T) {
	folder := t.TempDir()
	a, _ := open(t, folder)
	b, _ := open(t, folder)
	for n := range byte(20) {
		a.Record(seen(made, n+1))
		if n%3 == 0 {
			b.Record(seen(made, n+1))
		}
		again, messages := open(t, folder)
		require.NotEmpty(t, again.Seen())
		require.Zero(t, messages.Len(), "%v", messages.All())
		for _, s := range again.Seen() {
			require.Equal(t, seen(made, byte(s.Position)), s)
		}
	}
}

func TestReadIsRestrictedToALogFile(t *testing.T) {
	folder := t.TempDir()
	f, _ := open(t, folder)
	f.Record(seen(made, 1))
	for file, want := range map[string]int{"": 2, "/elsewhere/drover.db": 2, "/log/backup.db": 0} {
		got, err := witness.Read(witness.Config{Folder: folder, Made: made, LogFile: file})
		require.NoError(t, err)
		require.Len(t, got, want, file)
	}
	none, err := witness.Read(witness.Config{Folder: t.TempDir(), Made: made})
	require.NoError(t, err)
	require.Empty(t, none)
	require.NoError(t, os.WriteFile(pathIn(folder), []byte("x"), 0o600))
	_, err = witness.Read(witness.Config{Folder: folder, Made: made})
	require.ErrorContains(t, err, "head witness "+pathIn(folder))
	require.FileExists(t, pathIn(folder), "Read does not change the file")
}

func TestRecordIsTheJSONThatReadersExpect(t *testing.T) {
	for _, file := range []string{"", "drover.db", "a \"quoted\" <name>\n\x00 ü.db", "\xff.db"} {
		written, expected, err := witness.Texts(made, file, seen(uuid.New(), 7))
		require.NoError(t, err)
		require.Equal(t, string(expected), string(written))
	}
}

func BenchmarkRecord(b *testing.B) {
	f := witness.Open(witness.Config{Folder: b.TempDir(), Made: made, LogFile: "drover.db"})
	s := seen(made, 1)
	for b.Loop() {
		s.Position++
		f.Record(s)
	}
}
