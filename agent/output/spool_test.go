package output_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/agent/output"
)

// chunks returns all chunks that are in the spool now.
func chunks(t *testing.T, s *output.Spool) (all []output.Chunk) {
	t.Helper()
	for c := (output.Cursor{}); ; {
		chunk, err := s.Next(&c)
		if errors.Is(err, io.EOF) {
			return all
		}
		require.NoError(t, err)
		require.LessOrEqual(t, len(chunk.Data), output.ChunkBytes)
		require.Equal(t, int64(len(all)+1), chunk.Sequence)
		all = append(all, chunk)
	}
}

func text(all []output.Chunk) string {
	var b strings.Builder
	for _, c := range all {
		b.Write(c.Data)
	}
	return b.String()
}

func create(t *testing.T, limit int64) (*output.Spool, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "output")
	s, err := output.Create(path, limit)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s, path
}

func TestOutputWithinTheLimitIsComplete(t *testing.T) {
	for _, size := range []int{0, 1, 499, 500, 501, 999, 1000} {
		s, _ := create(t, 1000)
		want := strings.Repeat("0123456789", 100)[:size]
		for piece := range slices.Chunk([]byte(want), 7) {
			_, _ = s.Write(piece)
		}
		require.NoError(t, s.Finish())
		require.Equal(t, want, text(chunks(t, s)), "%d bytes", size)
	}
}

func TestExcessiveOutputIsCutInTheMiddle(t *testing.T) {
	for _, step := range []int{1, 3, 64, 999, 5000} {
		s, _ := create(t, 100)
		var all []byte
		for i := 0; len(all) < 5000; i++ {
			all = fmt.Appendf(all, "%d,", i)
		}
		for piece := range slices.Chunk(all, step) {
			_, _ = s.Write(piece)
		}
		require.NoError(t, s.Finish())
		want := fmt.Sprintf("%s\ndrover: %d bytes of output were cut here\n%s", all[:50], len(all)-100, all[len(all)-50:])
		require.Equal(t, want, text(chunks(t, s)), "in pieces of %d", step)
	}
}

func TestOneGigabyteOfOutputStaysWithinTheLimit(t *testing.T) {
	s, path := create(t, 0)
	piece := bytes.Repeat([]byte("x"), 1<<20)
	for range 1 << 10 {
		_, _ = s.Write(piece)
	}
	require.NoError(t, s.Finish())
	retained := len(text(chunks(t, s)))
	require.Greater(t, retained, output.DefaultLimit)
	require.Less(t, retained, output.DefaultLimit+100)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Less(t, info.Size(), int64(output.DefaultLimit+10_000))
}

func TestLineIsReadableWhileTheStepRuns(t *testing.T) {
	s, _ := create(t, 0)
	_, _ = s.Write([]byte("one "))
	_, _ = s.Write([]byte("line\n"))
	select {
	case <-s.Written():
	case <-time.After(10 * time.Second):
		t.Fatal("nothing to read after ten seconds")
	}
	require.Equal(t, "one line\n", text(chunks(t, s)))
}

func TestChunksStayTheSameAcrossReadsAndRestarts(t *testing.T) {
	s, path := create(t, 0)
	for i := range 20 {
		_, _ = s.Write(bytes.Repeat([]byte{byte(i)}, i*1000))
		s.Flush()
	}
	before := chunks(t, s)
	require.Equal(t, before, chunks(t, s))
	require.NoError(t, s.Close())

	again, err := output.Reopen(path, 0)
	require.NoError(t, err)
	defer again.Close()
	require.Equal(t, before, chunks(t, again))
	_, _ = again.Write([]byte("more"))
	require.NoError(t, again.Finish())
	require.Equal(t, text(before)+"more", text(chunks(t, again)))
}

func TestIncompleteLastChunkIsDropped(t *testing.T) {
	s, path := create(t, 0)
	_, _ = s.Write([]byte("whole"))
	s.Flush()
	_, _ = s.Write([]byte("cut short"))
	s.Flush()
	require.NoError(t, s.Close())
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.NoError(t, os.Truncate(path, info.Size()-3))

	again, err := output.Reopen(path, 0)
	require.NoError(t, err)
	defer again.Close()
	_, _ = again.Write([]byte(", continued"))
	require.NoError(t, again.Finish())
	require.Equal(t, "whole, continued", text(chunks(t, again)))
}

func TestOutputIsStoredInMemoryWhenTheDiskIsFull(t *testing.T) {
	const full = "/dev/full"
	if _, err := os.Stat(full); err != nil {
		if os.Getenv("DROVER_TEST_REQUIRE") == "all" {
			t.Fatal("needs " + full)
		}
		t.Skip("needs " + full)
	}
	s, err := output.Reopen(full, 0)
	require.NoError(t, err)
	defer s.Close()
	want := strings.Repeat("stored in memory ", 10_000)
	_, _ = s.Write([]byte(want))
	require.ErrorContains(t, s.Finish(), "no space left")
	require.Equal(t, want, text(chunks(t, s)))
}
