package faults

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/api/client"
)

// answers counts the answers to requests by status. Status 0 is a connection that failed.
type answers struct {
	mu     sync.Mutex
	counts map[int]int
	texts  map[int]string // the first error of each status
}

func newAnswers() *answers { return &answers{counts: map[int]int{}, texts: map[int]string{}} }

// record counts the answer of a client's request.
func (a *answers) record(err error) {
	status, text := http.StatusOK, ""
	if err != nil {
		status, text = client.StatusOf(client.KindOf(err)), err.Error()
		if p := (*client.Problem)(nil); errors.As(err, &p) {
			status = p.Status
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.counts[status]++; a.counts[status] == 1 {
		a.texts[status] = text
	}
}

// total is the number of answers.
func (a *answers) total() (n int) {
	for _, count := range a.counts {
		n += count
	}
	return n
}

// refused is the number of answers that are not successful.
func (a *answers) refused() int { return a.total() - a.counts[http.StatusOK] }

func (a *answers) String() string {
	var all []string
	for _, status := range slices.Sorted(maps.Keys(a.counts)) {
		all = append(all, fmt.Sprintf("%d: %d times %s", status, a.counts[status], a.texts[status]))
	}
	return strings.Join(all, "; ")
}

// writeAtOnce sends commands of count clients to one project, each client one command after another, and spreads the
// clients over the servers. Most commands append to the stream of the project.
func (c *cluster) writeAtOnce(count, commands int) *answers {
	found, begun := newAnswers(), time.Now()
	var all sync.WaitGroup
	for n := range count {
		s := c.servers[n%len(c.servers)]
		asking := c.clientAt(s.address)
		all.Go(func() {
			machine := fmt.Sprintf("w-%02d", n)
			for i := range commands {
				ctx, cancel := context.WithTimeout(context.Background(), timeout)
				var err error
				if i%2 == 0 {
					_, err = asking.Write(ctx, "/holds", uuid.NewString(), object{"project": "shop", "machine": machine})
				} else {
					_, err = asking.Delete(ctx, "/holds/shop/"+machine, uuid.NewString())
				}
				found.record(err)
				cancel()
			}
		})
	}
	all.Wait()
	c.t.Logf("%d clients, %d servers: %d commands in %s; %s", count, len(c.servers), found.total(),
		time.Since(begun).Round(time.Millisecond), found)
	return found
}

// addMachines adds the machines that writeAtOnce holds.
func (c *cluster) addMachines(count int) {
	for n := range count {
		c.write(c.servers[0], post("/machines", object{"name": fmt.Sprintf("w-%02d", n), "environment": "production"}))
	}
}

// TestClientsThatWriteToOneProjectAreNotRefused sends commands to one server. The control cuts the server off from its
// log: the same count then finds refusals.
func TestClientsThatWriteToOneProjectAreNotRefused(t *testing.T) {
	skipIfShort(t)
	for name, file := range map[string]bool{"SQLite": true, "PostgreSQL": false} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, clusterConfig{servers: 1, file: file, program: released})
			c.apply(shop)
			c.addMachines(64)
			for _, count := range []int{16, 64} {
				require.Zero(t, c.writeAtOnce(count, 20).refused())
			}
			if !file {
				c.servers[0].toLog.set(conditions{refuse: true})
				c.servers[0].toLog.cut()
				require.NotZero(t, c.writeAtOnce(2, 2).counts[http.StatusServiceUnavailable])
			}
		})
	}
}

// TestServersThatWriteToOneProjectAreRarelyRefusedAndNeverUnavailable has clients on three servers, whose conflicts
// no queue prevents.
func TestServersThatWriteToOneProjectAreRarelyRefusedAndNeverUnavailable(t *testing.T) {
	skipIfShort(t)
	c := newCluster(t, clusterConfig{servers: 3, program: released})
	c.apply(shop)
	c.addMachines(48)
	found := c.writeAtOnce(48, 20)
	require.Zero(t, found.counts[http.StatusServiceUnavailable], found)
	require.LessOrEqual(t, found.counts[http.StatusConflict], found.total()/100, found)
	require.Equal(t, found.refused(), found.counts[http.StatusConflict], found)
}
