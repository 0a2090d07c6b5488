package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/access"
	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/postgres"
	"github.com/droverhq/drover/eventlog/postgres/postgrestest"
	"github.com/droverhq/drover/eventlog/sqlite"
	"github.com/droverhq/drover/explain"
	"github.com/droverhq/drover/internal/harness"
	"github.com/droverhq/drover/internal/harness/harnesstest"
	"github.com/droverhq/drover/internal/server"
)

const (
	tick  = time.Second
	grace = 3 * time.Second // offlineAfter of every machine
	// timeout limits every wait for a condition that must become true. It is not a performance limit.
	timeout = harnesstest.Timeout
)

// cluster is a set of processes: servers on one PostgreSQL, agents, and the proxies between them.
type cluster struct {
	t          *testing.T
	folder     string               // contains a home folder and a log for each process
	serverHost *harness.Host        // runs the servers
	agentHost  *harness.Host        // runs the agents and single commands with the released program
	pg         *postgrestest.Server // nil if the log is a file
	file       string               // path of the log; empty: PostgreSQL
	disk       string               // mount point of the small disk for PostgreSQL; empty: none
	log        eventlog.Backend
	token      string
	join       string
	ran        string // file to which each step appends a line when it begins and when it ends
	servers    []*droverServer
	agents     []*agent
	hits       atomic.Int64 // servers that stopped at a failpoint
}

type droverServer struct {
	*supervised
	address string
	toLog   *proxy
	users   *proxy // between users and this server
	client  *client.Client
}

type agent struct {
	*supervised
	name, environment string
	proxies           []*proxy // one per server
}

// clusterConfig describes a cluster.
type clusterConfig struct {
	servers, agents int
	// clockSkew is the difference between the wall clocks of consecutive servers.
	clockSkew time.Duration
	// small puts PostgreSQL on a disk that can be filled, if the system has one.
	small bool
	// file makes the log an SQLite file instead of PostgreSQL. There are no proxies to it.
	file bool
	// program is the build that the servers run; nil means withFailpoints.
	program *harnesstest.Program
}

func newCluster(t *testing.T, s clusterConfig) *cluster {
	t.Helper()
	c := &cluster{t: t, folder: t.TempDir()}
	c.ran = filepath.Join(c.folder, "ran")
	if s.program == nil {
		s.program = withFailpoints
	}
	// Create the hosts first: smallDisk sets TMPDIR to the small disk, and their environment must not have it.
	c.serverHost = harnesstest.NewHost(t, s.program, "RAN="+c.ran).Host
	c.agentHost = harnesstest.NewHost(t, released, "RAN="+c.ran).Host
	if s.small {
		c.disk = smallDisk(t)
	}
	c.openLog(s.file)
	c.token = c.mint(access.TokenRequest{Scope: domain.AdminScope})
	unlimited := 0
	c.join = c.mint(access.TokenRequest{Join: true, Uses: &unlimited})
	for n := range s.servers {
		c.addServer(n, time.Duration(n)*s.clockSkew)
	}
	c.until("all servers are ready", c.ready)
	for n := range s.agents {
		c.addAgent(n)
	}
	return c
}

// openLog creates the log of the cluster and opens it.
func (c *cluster) openLog(file bool) {
	var err error
	if file {
		c.file = filepath.Join(c.folder, "drover.db")
		c.log, err = sqlite.Open(context.Background(), c.file, sqlite.Config{})
	} else {
		c.pg = postgrestest.Start(c.t, postgrestest.Config{})
		c.log, err = postgres.Open(context.Background(), c.pg.URL(), postgres.Config{})
	}
	require.NoError(c.t, err)
	c.t.Cleanup(func() { c.log.Close() })
}

// logURL returns the URL of the log for a server, through the server's own proxy unless the log is a file.
func (c *cluster) logURL(s *droverServer) string {
	if c.file != "" {
		return "sqlite:" + c.file
	}
	s.toLog = newProxy(c.t, c.pg.Address())
	log := url.URL{Scheme: "postgres", User: url.UserPassword(postgrestest.User, postgrestest.Password),
		Host: s.toLog.address(), Path: "/" + postgrestest.Database, RawQuery: "sslmode=disable"}
	return log.String()
}

func (c *cluster) mint(request access.TokenRequest) string {
	made, err := server.CreateTokenInLog(context.Background(), c.log, request, "test")
	require.NoError(c.t, err)
	return made.Text
}

// home creates a folder for a process.
func (c *cluster) home(name string) string {
	home := filepath.Join(c.folder, name)
	require.NoError(c.t, os.MkdirAll(home, 0o700))
	return home
}

// supervise prepares a supervised process with its own home folder and log.
func (c *cluster) supervise(host *harness.Host, name, home string, spec harness.Spec, env ...string) *supervised {
	spec.Name, spec.Log = name, filepath.Join(c.folder, name+".log")
	spec.Env = append(append(spec.Env, "HOME="+home), env...)
	return supervise(c.t, host, spec)
}

func (c *cluster) addServer(n int, ahead time.Duration) {
	name := fmt.Sprintf("server-%d", n)
	s := &droverServer{address: harnesstest.FreeAddress(c.t)}
	home := c.home(name)
	spec := harness.Server{Listen: s.address, Data: home, Tick: tick, Log: c.logURL(s)}.Spec()
	s.supervised = c.supervise(c.serverHost, name, home, spec, "DROVER_CLOCK_OFFSET="+ahead.String(),
		"DROVER_TRUSTED_PROXY=127.0.0.1")
	s.users = newProxy(c.t, s.address)
	s.client = c.clientAt(s.users.address())
	c.servers = append(c.servers, s)
	s.start()
}

// clientAt returns a user's client of these servers.
func (c *cluster) clientAt(addresses ...string) *client.Client {
	asking := &client.Client{Token: c.token, Relayed: true, HTTP: &http.Client{Transport: &http.Transport{}}}
	for _, address := range addresses {
		asking.Servers = append(asking.Servers, "http://"+address)
	}
	return asking
}

func (c *cluster) addAgent(n int) {
	a := &agent{name: fmt.Sprintf("m-%02d", n), environment: []string{"production", "production", "staging"}[n%3]}
	var servers []string
	for i := range c.servers {
		w := newProxy(c.t, c.servers[(n+i)%len(c.servers)].address)
		a.proxies = append(a.proxies, w)
		servers = append(servers, "http://"+w.address())
	}
	home := c.home(a.name)
	described := harness.Agent{Name: a.name, Environment: a.environment, Roles: []string{"web"},
		Servers: servers, Join: c.join, Data: home}
	spec := described.Spec()
	spec.Env = append(spec.Env, "DROVER_RELAY=true", "DROVER_PASS_ENV=RAN") // the proxies are relays
	a.supervised = c.supervise(c.agentHost, a.name, home, spec)
	c.agents = append(c.agents, a)
}

// proxyTo returns the proxy between an agent and a server.
func (c *cluster) proxyTo(n, server int) *proxy {
	return c.agents[n].proxies[(server-n%len(c.servers)+len(c.servers))%len(c.servers)]
}

// until waits until is returns nil. The errors of is describe what is missing.
func (c *cluster) until(what string, is func() error) {
	c.t.Helper()
	harnesstest.Until(c.t, what, is)
}

// ready returns an error unless all servers are ready.
func (c *cluster) ready() error {
	asking := &http.Client{Timeout: 2 * time.Second}
	for _, s := range c.servers {
		if err := harness.Ready(context.Background(), asking, "http://"+s.address); err != nil {
			return err
		}
	}
	return nil
}

// whole requests a collection in one page.
var whole = url.Values{"limit": {"5000"}}

// list reads a collection from a server.
func list[T any](s *droverServer, path string, query url.Values) ([]T, string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var all explain.List[T]
	position, err := s.client.Get(ctx, path, query, &all)
	return all.Items, position, err
}

func (s *droverServer) machines() map[string]explain.Machine {
	items, _, err := list[explain.Machine](s, "/machines", whole)
	if err != nil {
		return nil
	}
	byName := map[string]explain.Machine{}
	for _, m := range items {
		byName[m.Name] = m
	}
	return byName
}

// events returns all events, read directly from the log.
func (c *cluster) events() []eventlog.Recorded {
	c.t.Helper()
	var all []eventlog.Recorded
	for recorded, err := range c.log.ReadAll(context.Background(), 0, 0) {
		require.NoError(c.t, err)
		all = append(all, recorded)
	}
	return all
}

// apply applies resources through any server, bypassing the proxies of users.
func (c *cluster) apply(text string) {
	c.t.Helper()
	body := map[string]any{"documents": []map[string]string{{"file": "stdin", "text": text}}}
	var answer json.RawMessage
	var addresses []string
	for _, s := range c.servers {
		addresses = append(addresses, s.address)
	}
	require.NoError(c.t, c.clientAt(addresses...).Post(context.Background(), "/apply", "", body, &answer))
}

// shop is the deployed configuration. Each step records when it begins and ends.
const shop = `
apiVersion: drover.dev/v1
kind: Environment
metadata: {name: production}
spec: {}
---
apiVersion: drover.dev/v1
kind: Environment
metadata: {name: staging}
spec: {}
---
apiVersion: drover.dev/v1
kind: MachinePolicy
metadata: {name: default}
spec: {offlineAfter: 3s, lostAfter: 10s}
---
apiVersion: drover.dev/v1
kind: Project
metadata: {name: shop}
spec:
  roles: [web]
  automatic: {attempts: 50, backoff: 1s}
  steps:
    - name: install
      timeout: 10s
      run: |
        echo "begin $DROVER_DEPLOYMENT $DROVER_MACHINE $DROVER_RELEASE $$ $(date +%s%N)" >> "$RAN"
        sleep 0.05
        echo "end $DROVER_DEPLOYMENT $DROVER_MACHINE $DROVER_RELEASE $$ $(date +%s%N)" >> "$RAN"
---
apiVersion: drover.dev/v1
kind: Trigger
metadata: {name: joins}
spec: {project: shop, events: [MachineAvailable], environments: ["*"]}
`

// written returns the lines that the steps wrote.
func (c *cluster) written() string {
	text, _ := os.ReadFile(c.ran)
	return string(text)
}

// refuses returns nil if a server reports on a new connection that it is not ready, with a message that contains the
// given text.
func (c *cluster) refuses(s *droverServer, words string) error {
	answer, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get("http://" + s.address +
		"/readyz")
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if answer.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(text), words) {
		return errors.Join(err, fmt.Errorf("%d %s", answer.StatusCode, text))
	}
	return nil
}
