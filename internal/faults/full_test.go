package faults

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/droverhq/drover/eventlog/postgres/postgrestest"
)

// TestServerBecomesReadyAfterFullDiskWithoutWrites fills the disk of PostgreSQL until a command is refused. It
// sends no command after that, like a load balancer that does not use unready servers.
func TestServerBecomesReadyAfterFullDiskWithoutWrites(t *testing.T) {
	skipIfShort(t)
	c := newCluster(t, clusterConfig{servers: 1, small: true, program: released})
	c.apply(shop)
	s := c.servers[0]
	empty := fill(c.disk)
	n := 0
	c.until("a command is refused because the disk is full", func() error {
		n++
		_, err := s.client.Write(context.Background(), "/projects/shop/releases", uuid.NewString(),
			object{"version": fmt.Sprint("1.", n)})
		if err == nil || !strings.Contains(err.Error(), "no space left") {
			return errors.Join(errors.New("the command was not refused"), err)
		}
		return nil
	})
	c.until("the server reports it", func() error { return c.refuses(s, "until there is free space in the database") })
	empty()
	c.stopLog(postgrestest.Immediate) // it may have stopped by itself
	c.startLog()
	c.until("the server is ready again", c.ready)
}
