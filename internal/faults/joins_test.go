package faults

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/access"
	"github.com/droverhq/drover/api/client"
)

// joinAtOnce lets count agents join over plain HTTP at the same moment, spread over the servers.
func (c *cluster) joinAtOnce(token, prefix string, count int) *answers {
	found, begin := newAnswers(), make(chan struct{})
	var at []*client.Client
	for _, s := range c.servers {
		at = append(at, c.through(c.roundRobin(s), token))
	}
	var all sync.WaitGroup
	for n := range count {
		asking := at[n%len(at)]
		all.Go(func() {
			<-begin
			ctx, cancel := context.WithTimeout(context.Background(), timeout)
			defer cancel()
			_, err := asking.Write(ctx, "/machines", "", object{"name": fmt.Sprintf("%s-%02d", prefix, n),
				"environment": "production", "instance": uuid.NewString(), "secret": strings.Repeat("5e", 32)})
			found.record(err)
		})
	}
	close(begin)
	all.Wait()
	c.t.Logf("%d agents joined at once at %d servers: %s", count, len(c.servers), found)
	return found
}

// TestAgentsThatJoinAtOnceAreNotRefused also has a token that is valid for half of the agents: exactly the others are
// refused, which shows that the count finds refusals and that the limit holds in a burst.
func TestAgentsThatJoinAtOnceAreNotRefused(t *testing.T) {
	skipIfShort(t)
	for _, servers := range []int{1, 3} {
		t.Run(fmt.Sprint(servers, " servers"), func(t *testing.T) {
			c := newCluster(t, clusterConfig{servers: servers, file: servers == 1, program: released})
			c.apply(shop)
			require.Zero(t, c.joinAtOnce(c.join, "a", 80).refused())
			require.Equal(t, 80, c.count("machine.added/v1"))
			uses := 40
			limited := c.mint(access.TokenRequest{Join: true, AnyEnvironment: true, Uses: &uses})
			c.until("the servers know the token", func() error { return c.knows(limited) })
			found := c.joinAtOnce(limited, "b", 80)
			require.Equal(t, 40, found.refused(), found)
			require.Equal(t, 40, found.counts[403], found)
		})
	}
}

// count returns the number of events of a type in the log.
func (c *cluster) count(typeName string) (n int) {
	for _, e := range c.events() {
		if e.Type == typeName {
			n++
		}
	}
	return n
}

// knows returns an error unless all servers know a join token, which has no access to a list.
func (c *cluster) knows(token string) error {
	for _, s := range c.servers {
		_, err := c.through(c.roundRobin(s), token).Get(context.Background(), "/machines", nil, nil)
		if !strings.Contains(fmt.Sprint(err), "valid only for joining") {
			return err
		}
	}
	return nil
}
