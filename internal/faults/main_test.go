package faults

import (
	"flag"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/internal/harness/harnesstest"
)

var (
	seedFlag = flag.Uint64("seed", 0, "seed of the faults (0: from the clock; it is printed)")
	timeFlag = flag.Duration("time", 45*time.Second, "how long to inject faults")
)

// long reports whether a long run was requested, in which outages are long too.
func long() bool { return *timeFlag >= 5*time.Minute }

func seed(t *testing.T) uint64 {
	chosen := *seedFlag
	if chosen == 0 {
		chosen = uint64(time.Now().UnixNano()) % 1_000_000
	}
	t.Logf("seed %d: make faults SEED=%d TIME=%s", chosen, chosen, *timeFlag)
	return chosen
}

// skipIfShort skips the test in short mode.
func skipIfShort(t *testing.T) {
	if testing.Short() {
		t.Skip("this test starts many processes; run it without -short")
	}
}

func TestMain(m *testing.M) { os.Exit(harnesstest.Run(m)) }

// released is built like a release; withFailpoints can end itself at named points.
var (
	released       = harnesstest.NewProgram()
	withFailpoints = harnesstest.NewProgram("-tags", "failpoints")
)

func TestReleasedProgramHasNoFailpoints(t *testing.T) {
	skipIfShort(t)
	for program, has := range map[*harnesstest.Program]bool{released: false, withFailpoints: true} {
		text, err := os.ReadFile(program.Path(t))
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
