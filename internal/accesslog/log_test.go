package accesslog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/droverhq/drover/access"
)

// fixture is an access log with a clock that the test advances.
type fixture struct {
	*Log
	t      *testing.T
	folder string
	at     time.Time
	server *observer.ObservedLogs
}

func newFixture(t *testing.T) *fixture {
	core, logs := observer.New(zapcore.InfoLevel)
	f := &fixture{t: t, folder: t.TempDir(), at: time.Date(2026, 1, 1, 9, 0, 0, 0, time.UTC), server: logs}
	f.Log = New(f.folder, zap.New(core), func() time.Time { return f.at })
	t.Cleanup(f.Close)
	return f
}

func (f *fixture) deny(remote string) {
	f.Record(access.Entry{Time: f.at, Kind: access.Denied, Remote: remote, Reason: access.InvalidToken,
		Token: access.UnknownToken, Route: "GET /api/v1/machines"})
}

// second advances the clock.
func (f *fixture) second() {
	f.at = f.at.Add(time.Second)
	f.Flush()
}

// settle returns when every queued line is written.
func (f *fixture) settle() {
	done := make(chan struct{})
	f.queue <- func() { close(done) }
	<-done
}

// lines decodes every line of a file.
func (f *fixture) lines(name string) (all []access.Entry) {
	f.t.Helper()
	f.settle()
	text, err := os.ReadFile(filepath.Join(f.folder, name))
	require.NoError(f.t, err)
	for line := range strings.Lines(string(text)) {
		require.Less(f.t, len(line), 4<<10)
		require.True(f.t, strings.HasSuffix(line, "}\n"))
		var e access.Entry
		require.NoError(f.t, json.Unmarshal([]byte(line), &e), line)
		all = append(all, e)
	}
	return all
}

// counts returns the sum of the counts, or else the number, of the lines of each kind.
func counts(all []access.Entry) map[access.Kind]int {
	sums := map[access.Kind]int{}
	for _, e := range all {
		sums[e.Kind] += max(e.Count, 1)
	}
	return sums
}

func TestFloodOfDenialsIsLimitedAndCounted(t *testing.T) {
	f := newFixture(t)
	const perSecond, seconds = 10_000, 90
	for range seconds {
		for range perSecond {
			f.deny("192.0.2.1:4000")
		}
		f.second()
	}
	f.second()
	all := f.lines(Name)
	sums := counts(all)
	require.LessOrEqual(t, sums[access.Denied], denialsEach+seconds)
	require.Equal(t, perSecond*seconds, sums[access.Denied]+sums[access.Suppressed], "every denial is a line or is counted")
	require.Less(t, len(all), 150)
	require.Equal(t, access.Suppressed, all[len(all)-1].Kind, "the count is written when the flood ends")
}

func TestFloodFromOneNetworkHidesNothingElse(t *testing.T) {
	f := newFixture(t)
	for range 1000 {
		f.deny("[2001:db8::1]:4000")
	}
	f.second()
	f.deny("192.0.2.1:4000")
	f.Record(access.Entry{Kind: access.TokenCreated, Subject: "0123456789ab ci"})
	f.Record(access.Entry{Kind: access.BackedUp})
	for range denialsEach {
		f.Record(access.Entry{Kind: access.Denied, Remote: "[2001:db8::1]:4000", Token: "0123456789ab", Reason: access.NotPermitted})
	}
	sums := counts(f.lines(Name))
	require.Equal(t, 1, sums[access.TokenCreated])
	require.Equal(t, 1, sums[access.BackedUp])
	require.Equal(t, 2*denialsEach+1, sums[access.Denied], "those of a valid token have their own limit")
}

func TestManyNetworksShareOneLimitAndLimitedMemory(t *testing.T) {
	f := newFixture(t)
	for n := range 20_000 {
		f.deny(fmt.Sprintf("10.%d.%d.1:4000", n/256, n%256))
	}
	require.LessOrEqual(t, counts(f.lines(Name))[access.Denied], 2*denialsPerSecond)
	require.LessOrEqual(t, len(f.networks), maxNetworks)
}

func TestHostileTextsStayOnOneBoundedCleanLine(t *testing.T) {
	f := newFixture(t)
	secret := strings.Repeat("S", 43)
	for i, text := range []string{
		"a\n{\"event\":\"token-created\"}", "a\r\nb", "\x1b[2Jcleared", "\x00", "a\u2028b\u202ec", "\xff\xfe",
		strings.Repeat("é", 1<<20), strings.Repeat("\\\"", 1<<20), "no token 0123456789ab." + secret + " exists",
		"agent:01234567-89ab-cdef-0123-456789abcdef:" + secret,
	} {
		f.Record(access.Entry{Kind: access.Denied, Remote: fmt.Sprintf("10.0.0.%d:1", i), Token: text, TokenName: text,
			Owner: text, Machine: text, Route: text, Detail: text, Subject: text})
	}
	all := f.lines(Name)
	require.Len(t, all, 10)
	for _, e := range all {
		require.Equal(t, access.Denied, e.Kind)
		require.True(t, utf8.ValidString(e.Detail))
		require.NotContains(t, e.Detail, secret)
		require.NotContains(t, e.Detail, "\x1b")
	}
	require.Equal(t, "no token 0123456789ab.… exists", all[8].Detail)
}

func TestFilesAreReplacedAndTheOldestIsDeleted(t *testing.T) {
	f := newFixture(t)
	f.file.max = 1000
	for range 100 {
		f.Record(access.Entry{Kind: access.TokenUsed, Token: "0123456789ab"})
	}
	f.settle()
	names, err := filepath.Glob(filepath.Join(f.folder, "*"))
	require.NoError(t, err)
	require.Len(t, names, oldFiles+1)
	for _, name := range names {
		info, err := os.Stat(name)
		require.NoError(t, err)
		require.LessOrEqual(t, info.Size(), int64(1000))
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
		require.NotEmpty(t, f.lines(filepath.Base(name)))
	}
}

func TestFileThatAnotherProgramRotatedIsBegunAgain(t *testing.T) {
	f := newFixture(t)
	f.deny("192.0.2.1:4000")
	f.settle()
	require.NoError(t, os.Rename(filepath.Join(f.folder, Name), filepath.Join(f.folder, "moved")))
	f.second()
	f.deny("192.0.2.1:4000")
	require.Len(t, f.lines("moved"), 1)
	require.Len(t, f.lines(Name), 1)
}

func TestUnwritableFileIsReportedOnceAndItsLinesAreCounted(t *testing.T) {
	f := newFixture(t)
	path := filepath.Join(f.folder, Name)
	require.NoError(t, os.Mkdir(path, 0o700)) // a folder is in the way
	for range 5 {
		f.deny("192.0.2.1:4000")
	}
	f.settle()
	warnings := f.server.FilterMessageSnippet("could not write the access log")
	require.Equal(t, 1, warnings.Len())
	require.NoError(t, os.Remove(path))
	f.deny("192.0.2.1:4000")
	all := f.lines(Name)
	require.Equal(t, access.Lost, all[0].Kind)
	require.Equal(t, 5, all[0].Count)
	require.Equal(t, access.Denied, all[1].Kind)
}

func TestPipeInPlaceOfTheFileBlocksNobody(t *testing.T) {
	f := newFixture(t)
	require.NoError(t, syscall.Mkfifo(filepath.Join(f.folder, Name), 0o600))
	f.deny("192.0.2.1:4000")
	f.settle()
	require.Equal(t, 1, f.server.FilterMessageSnippet("could not write the access log").Len())
}

func TestRequestsDoNotWaitForADiskThatHangs(t *testing.T) {
	f := newFixture(t)
	hangs, resume := make(chan struct{}), make(chan struct{})
	f.queue <- func() { close(hangs); <-resume }
	<-hangs
	record := func(n int) {
		for range n {
			f.Record(access.Entry{Kind: access.TokenUsed, Token: "0123456789ab"})
		}
	}
	const more = 500
	record(maxQueued)
	f.at = f.at.Add(time.Minute) // the rate limit permits more lines
	record(more)
	close(resume)
	f.settle()
	f.deny("192.0.2.1:4000")
	sums := counts(f.lines(Name))
	require.Equal(t, maxQueued, sums[access.TokenUsed])
	require.Equal(t, more, sums[access.Lost])
}

func TestTornLineDoesNotDamageTheNextOne(t *testing.T) {
	f := newFixture(t)
	f.deny("192.0.2.1:4000")
	f.settle()
	_, err := f.file.open.WriteString(`{"time":"2026-`)
	require.NoError(t, err)
	f.file.torn = true
	f.deny("192.0.2.1:4000")
	f.settle()
	text, err := os.ReadFile(filepath.Join(f.folder, Name))
	require.NoError(t, err)
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	require.Len(t, lines, 3)
	require.True(t, json.Valid(lines[2]))
}

func TestWithoutADataFolderLinesGoToTheLogOfTheServer(t *testing.T) {
	core, logs := observer.New(zapcore.InfoLevel)
	l := New("", zap.New(core), time.Now)
	l.Record(access.Entry{Kind: access.Denied, Reason: access.NoToken})
	l.Flush()
	l.Close()
	require.Equal(t, 1, logs.FilterMessage("access").Len())
	require.Contains(t, fmt.Sprintf("%s", logs.All()[0].ContextMap()["entry"]), `"reason":"no-token"`)
}

// BenchmarkDenied measures a denial within a flood, of which nearly all are suppressed.
func BenchmarkDenied(b *testing.B) {
	l := New(b.TempDir(), zap.NewNop(), time.Now)
	defer l.Close()
	for b.Loop() {
		l.Record(access.Entry{Kind: access.Denied, Remote: "192.0.2.1:4000", Route: "GET /api/v1/machines"})
	}
}

// BenchmarkLine measures a line that is written.
func BenchmarkLine(b *testing.B) {
	at := time.Now()
	l := New(b.TempDir(), zap.NewNop(), func() time.Time { at = at.Add(time.Second); return at })
	defer l.Close()
	for b.Loop() {
		l.Record(access.Entry{Kind: access.Denied, Remote: "192.0.2.1:4000", Route: "GET /api/v1/machines",
			Detail: "the token is unknown, revoked or expired", Token: "unknown"})
	}
}
