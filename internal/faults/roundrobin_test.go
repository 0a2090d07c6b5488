package faults

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/api"
	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
)

// roundRobin starts an HTTP proxy that terminates TLS and sends each request to the next server. A request to a server
// that does not answer is answered 502. The servers trust its header X-Forwarded-Proto.
func (c *cluster) roundRobin(servers ...*droverServer) *httptest.Server {
	var next atomic.Int64
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		s := servers[int(next.Add(1))%len(servers)]
		r.SetURL(&url.URL{Scheme: "http", Host: s.address})
		r.SetXForwarded()
	}, Transport: &http.Transport{}}
	proxy := httptest.NewTLSServer(forward)
	c.t.Cleanup(func() { proxy.CloseClientConnections(); proxy.Close() })
	return proxy
}

// through returns a client of the servers behind a proxy.
func (c *cluster) through(proxy *httptest.Server, token string) *client.Client {
	return &client.Client{Servers: []string{proxy.URL}, Token: token, HTTP: proxy.Client()}
}

// plainAgent is a program that acts as the agent of a machine over plain HTTP.
type plainAgent struct {
	*client.Client
	name, session string
}

// newPlainAgent joins a machine.
func (c *cluster) newPlainAgent(name string, proxy *httptest.Server) *plainAgent {
	instance, secret := uuid.NewString(), strings.Repeat("5e", 32)
	_, err := c.through(proxy, c.join).Write(context.Background(), "/machines", "", object{"name": name, "environment": "production",
		"instance": instance, "secret": secret})
	require.NoError(c.t, err)
	return &plainAgent{Client: c.through(proxy, "agent:"+instance+":"+secret), name: name}
}

// report reports that the machine is online, as its heartbeat.
func (a *plainAgent) report() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var r api.Reported
	err := a.Post(ctx, "/machines/"+a.name+"/reports", "", object{"status": "online", "session": a.session}, &r)
	if err == nil {
		a.session = r.Session
	}
	return err
}

// beat sends count heartbeats of all agents, one third of the grace apart, and returns the errors.
func beat(agents []*plainAgent, count int) (failed []error) {
	var mu sync.Mutex
	for range count {
		var all sync.WaitGroup
		for _, a := range agents {
			all.Go(func() {
				if err := a.report(); err != nil {
					mu.Lock()
					defer mu.Unlock()
					failed = append(failed, err)
				}
			})
		}
		all.Wait()
		time.Sleep(grace / 3)
	}
	return failed
}

// presenceEvents counts the events of the log after a position by type, for one machine.
func (c *cluster) presenceEvents(machine string, after eventlog.Position) map[string]int {
	found := map[string]int{}
	for _, e := range c.events() {
		if e.Position > after && e.Stream == domain.MachineStream(machine) {
			found[e.Type]++
		}
	}
	return found
}

// TestPlainHTTPAgentsBehindARoundRobinProxyCostNoEvents sends heartbeats through a proxy without sticky sessions, for one
// agent only to the servers that do not hold its session. Then a holder is killed, and other servers take its sessions
// over with one event each. As a control, machines without heartbeats go offline.
func TestPlainHTTPAgentsBehindARoundRobinProxyCostNoEvents(t *testing.T) {
	skipIfShort(t)
	c := newCluster(t, clusterConfig{servers: 3, program: released})
	c.apply(shop)
	through := c.roundRobin(c.servers...)
	var agents []*plainAgent
	for n := range 4 {
		agents = append(agents, c.newPlainAgent(fmt.Sprintf("box-%d", n), through))
	}
	c.until("all agents are online", func() error { return errors.Join(beat(agents, 1)...) })
	lonely := agents[0]
	holder := c.holder(lonely.name)
	others := c.serversBut(holder)
	lonely.Servers = []string{c.roundRobin(others...).URL}
	head := c.head()
	require.Empty(t, beat(agents, 40))
	for _, a := range agents {
		require.Empty(t, c.presenceEvents(a.name, head), a.name)
	}

	for _, a := range agents {
		a.Servers = lonely.Servers
	}
	holder.stop(syscall.SIGKILL)
	require.Empty(t, beat(agents, 20))
	require.Equal(t, map[string]int{"machine.agent-connected/v1": 1}, c.presenceEvents(lonely.name, head))
	require.NotSame(t, holder, c.holder(lonely.name))

	c.until("machines without heartbeats are offline", func() error {
		for _, a := range agents {
			if c.presenceEvents(a.name, head)["machine.went-offline/v1"] != 1 {
				return fmt.Errorf("%s is online", a.name)
			}
		}
		return nil
	})
}

// holder returns the server that holds the newest session of a machine, according to the log.
func (c *cluster) holder(machine string) (holder *droverServer) {
	at, addresses := "", map[string]string{}
	for _, e := range c.events() {
		switch fact := c.fact(e).(type) {
		case domain.ServerStarted:
			addresses[strings.TrimPrefix(e.Stream, "server/")] = fact.Address
		case domain.MachineCameOnline:
			if e.Stream == domain.MachineStream(machine) {
				at = fact.Server.String()
			}
		case domain.AgentConnected:
			if e.Stream == domain.MachineStream(machine) {
				at = fact.Server.String()
			}
		}
	}
	for _, s := range c.servers {
		if addresses[at] == "http://"+s.address {
			holder = s
		}
	}
	require.NotNil(c.t, holder, "no server holds the session of %s", machine)
	return holder
}

// serversBut returns all servers except one.
func (c *cluster) serversBut(s *droverServer) (others []*droverServer) {
	return slices.DeleteFunc(slices.Clone(c.servers), func(each *droverServer) bool { return each == s })
}
