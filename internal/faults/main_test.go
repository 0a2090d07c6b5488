package faults

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/internal/built"
)

var (
	seedFlag = flag.Uint64("seed", 0, "the seed of the faults; 0: one from the clock, printed")
	timeFlag = flag.Duration("time", 45*time.Second, "how long faults are done")
)

// long says that somebody asked for a long run, in which outages are long too.
func long() bool { return *timeFlag >= 5*time.Minute }

func seed(t *testing.T) uint64 {
	chosen := *seedFlag
	if chosen == 0 {
		chosen = uint64(time.Now().UnixNano()) % 1_000_000
	}
	t.Logf("seed %d: make faults SEED=%d TIME=%s", chosen, chosen, *timeFlag)
	return chosen
}

// needsTime skips what takes long where all is to be short.
func needsTime(t *testing.T) {
	if testing.Short() {
		t.Skip("this test starts many processes and takes its time; run it without -short")
	}
}

var folder string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(func() int {
		var err error
		if folder, err = os.MkdirTemp("", "drover-faults-"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(folder)
		return m.Run()
	}())
}

// shipped is the program as people run it, fragile the one that can end itself at named points.
var (
	shipped = sync.OnceValues(func() (string, error) { return build("drover") })
	fragile = sync.OnceValues(func() (string, error) { return build("drover-failpoints", "-tags", "failpoints") })
)

func build(name string, args ...string) (string, error) {
	program := filepath.Join(folder, name)
	return program, built.Program(program, args...)
}

func program(t testing.TB, built func() (string, error)) string {
	t.Helper()
	path, err := built()
	require.NoError(t, err)
	return path
}

func TestTheProgramThatPeopleRunHasNoFailpoints(t *testing.T) {
	needsTime(t)
	for built, has := range map[string]bool{program(t, shipped): false, program(t, fragile): true} {
		text, err := os.ReadFile(built)
		require.NoError(t, err)
		for _, name := range []string{"DROVER_FAILPOINT", "DROVER_CLOCK_OFFSET"} {
			if has {
				require.Contains(t, string(text), name)
			} else {
				require.NotContains(t, string(text), name)
			}
		}
	}
}
