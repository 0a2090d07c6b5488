package layout_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// wallClock matches code that loses the monotonic reading of a time. The difference of two such times is wrong if
// somebody sets the wall clock in between.
var wallClock = regexp.MustCompile(`\btime\.Unix\w*\(|\.Unix(Nano|Micro|Milli)?\(\)|\.Round\(0\)`)

// systemTime matches code that bypasses the clock in the configuration of the agent.
var systemTime = regexp.MustCompile(`\btime\.(Now|Since|Until)\(`)

func TestAgentMeasuresIntervalsWithTheMonotonicClock(t *testing.T) {
	read := 0
	for _, name := range trackedFiles(t) {
		if !strings.HasPrefix(name, "agent/") || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(filepath.Join("../..", name))
		require.NoError(t, err)
		read++
		require.Empty(t, wallClock.FindString(string(text)), "%s: measure intervals with the monotonic clock", name)
		if filepath.Dir(name) == "agent" {
			require.Empty(t, systemTime.FindString(string(text)), "%s: use Config.Clock", name)
		}
	}
	require.Greater(t, read, 15)
	require.True(t, wallClock.MatchString("time.Since(time.Unix(0, l.lastReceived.Load()))"))
	require.True(t, wallClock.MatchString("l.lastReceived.Store(time.Now().UnixNano())"))
}
