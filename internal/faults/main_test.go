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

func TestMain(m *testing.M) { os.Exit(harnesstest.Run(m)) }

// shipped is the program as people run it, fragile the one that can end itself at named points.
var (
	shipped = harnesstest.NewProgram()
	fragile = harnesstest.NewProgram("-tags", "failpoints")
)

func TestTheProgramThatPeopleRunHasNoFailpoints(t *testing.T) {
	needsTime(t)
	for program, has := range map[*harnesstest.Program]bool{shipped: false, fragile: true} {
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
