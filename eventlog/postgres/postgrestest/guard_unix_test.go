//go:build unix

package postgrestest_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/eventlog/postgres/postgrestest"
)

// TestServerStopsWhenTestProcessIsKilled starts this test in a child process that starts a server and is then killed.
func TestServerStopsWhenTestProcessIsKilled(t *testing.T) {
	if os.Getenv("DROVER_POSTGRES_CHILD") != "" {
		fmt.Println("\nserver", postgrestest.Shared(t).PID())
		select {}
	}
	child := exec.Command(os.Args[0], "-test.run", "^TestServerStopsWhenTestProcessIsKilled$", "-test.v")
	child.Env = append(os.Environ(), "DROVER_POSTGRES_CHILD=yes")
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	pid, lines := 0, bufio.NewScanner(out)
	for pid == 0 && lines.Scan() {
		if number, ok := strings.CutPrefix(lines.Text(), "server "); ok {
			pid, err = strconv.Atoi(number)
			require.NoError(t, err)
		}
	}
	require.NoError(t, child.Process.Kill())
	_ = child.Wait()
	if pid == 0 {
		postgrestest.SkipOrFail(t, "PostgreSQL", errors.New("the child started no server"))
	}
	require.Eventually(t, func() bool { return syscall.Kill(pid, 0) != nil }, 30*time.Second, 10*time.Millisecond,
		"server %d is still running", pid)
}
