package faults

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/api/client"
)

// TestServersStopUsingALogThatANewerVersionMigrated raises the format of the log, as the first server of a newer version
// does. The release that is created before is the negative control.
func TestServersStopUsingALogThatANewerVersionMigrated(t *testing.T) {
	skipIfShort(t)
	c := newCluster(t, clusterConfig{servers: 2, program: released})
	c.apply(shop)
	create := func(version string) error {
		_, err := c.servers[0].client.Write(context.Background(), "/projects/shop/releases", uuid.NewString(),
			object{"version": version})
		return err
	}
	require.NoError(t, create("1.0"))
	head := c.head()

	setFormat := func(n int) { c.pg.Exec(t, fmt.Sprint(`UPDATE drover.info SET format = `, n)) }
	setFormat(2)
	for _, s := range c.servers { // nobody sends a command, so the servers have to look
		c.until("the server reports it", func() error { return c.refuses(s, "a newer drover has migrated the log") })
	}
	var problem *client.Problem
	err := create("1.1")
	require.True(t, errors.As(err, &problem), "%v", err)
	require.Equal(t, http.StatusServiceUnavailable, problem.Status)
	require.Contains(t, problem.Detail, "a newer drover has migrated the log")

	setFormat(1) // as if the migration had not happened
	c.until("the servers are ready again", c.ready)
	require.Equal(t, head, c.head(), "nothing was written in the meantime")
	require.NoError(t, create("1.1"))
}

// TestLostEndOfTheLogIsDetectedAtTheNextStart removes the newest event of the log while no server runs. No agent is
// involved. The second server, whose witness is removed, is the negative control.
func TestLostEndOfTheLogIsDetectedAtTheNextStart(t *testing.T) {
	skipIfShort(t)
	c := newCluster(t, clusterConfig{servers: 2, program: released})
	c.apply(shop)
	for _, s := range c.servers {
		s.stop(syscall.SIGKILL)
	}
	c.pg.Exec(t, `ALTER TABLE drover.events DISABLE TRIGGER ALL;
		DELETE FROM drover.events WHERE position = (SELECT max(position) FROM drover.events)`)
	witnessed, unaware := c.servers[0], c.servers[1]
	heads, err := filepath.Glob(filepath.Join(c.folder, "server-1", "head-*"))
	require.NoError(t, err)
	require.Len(t, heads, 1)
	require.NoError(t, os.Remove(heads[0]))

	unaware.start()
	require.NotContains(t, c.awaitStart(unaware), "lost events")
	witnessed.start()
	require.Contains(t, c.awaitStart(witnessed), "this log has lost events: an earlier run of a server has read event")
	c.until("the second server learns it", func() error {
		if text := c.awaitStart(unaware); !strings.Contains(text, "this log has lost events") {
			return errors.New(text)
		}
		return nil
	})
}

// awaitStart waits until a server is ready and returns its answer to /readyz.
func (c *cluster) awaitStart(s *droverServer) (text string) {
	c.t.Helper()
	c.until("the server is ready", func() error {
		answer, err := http.Get("http://" + s.address + "/readyz")
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		all, err := io.ReadAll(answer.Body)
		if text = string(all); answer.StatusCode != http.StatusOK {
			err = errors.Join(err, errors.New(text))
		}
		return err
	})
	return text
}
