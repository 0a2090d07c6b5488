package harness_test

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// parentVariable makes TestProcessEndsWhenItsParentIsKilled act as the parent.
const parentVariable = "HARNESS_TEST_PARENT"

func TestProcessEndsWhenItsParentIsKilled(t *testing.T) {
	if os.Getenv(parentVariable) != "" {
		fmt.Println("child", start(t, newHost(t), "exec sleep 600").PID())
		select {} // until it is killed
	}
	parent := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$")
	parent.Env = append(os.Environ(), parentVariable+"=1")
	out, err := parent.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, parent.Start())
	defer func() { _ = parent.Process.Kill(); _ = parent.Wait() }()
	var child int
	_, err = fmt.Fscanf(out, "child %d\n", &child)
	require.NoError(t, err)
	require.False(t, gone(child))

	require.NoError(t, parent.Process.Kill())
	require.Eventually(t, func() bool { return gone(child) }, timeout, 10*time.Millisecond)
}
