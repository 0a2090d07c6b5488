//go:build unix

package run

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestHangingCommandOfASecretIsKilled(t *testing.T) {
	c := secretCommand{command: "echo hunter2; sleep 1000", folder: t.TempDir(), environ: os.Environ(),
		timeout: 10 * time.Millisecond}
	_, err := c.run(t.Context())
	require.EqualError(t, err, "did not end within 10ms")
}

func TestCommandOfASecretMayLeaveAProcessRunning(t *testing.T) {
	c := secretCommand{command: "sleep 5 & echo hunter2", folder: t.TempDir(), environ: os.Environ()}
	value, err := c.run(t.Context())
	require.NoError(t, err)
	require.Equal(t, "hunter2", value)
}
