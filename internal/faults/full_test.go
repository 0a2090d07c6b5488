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

// TestAServerWhoseDatabaseWasFullIsReadyAgainAlthoughNobodyWrites fills the disk of PostgreSQL until a command is
// refused, and sends none after that: who spreads requests over ready servers would send none either.
func TestAServerWhoseDatabaseWasFullIsReadyAgainAlthoughNobodyWrites(t *testing.T) {
	needsTime(t)
	c := newCluster(t, shape{servers: 1, small: true, program: shipped})
	c.apply(shop)
	s := c.servers[0]
	empty := fill(c.disk)
	n := 0
	c.until("a command is refused for want of room", func() error {
		n++
		_, err := s.client.Write(context.Background(), "/projects/shop/releases", uuid.NewString(), object{"version": fmt.Sprint("1.", n)})
		if err == nil || !strings.Contains(err.Error(), "no space left") {
			return errors.Join(errors.New("it was not"), err)
		}
		return nil
	})
	c.until("the server says so", func() error { return c.refuses(s, "until there is free space in the database") })
	empty()
	c.stopLog(postgrestest.Immediate) // it may have ended itself
	c.startLog()
	c.until("the server is ready again", c.ready)
}
