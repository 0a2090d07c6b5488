package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/postgres"
	"github.com/droverhq/drover/eventlog/postgres/postgrestest"
	"github.com/droverhq/drover/explain"
	"github.com/droverhq/drover/internal/server"
)

const (
	tick  = time.Second
	grace = 3 * time.Second // offlineAfter of every machine
	// patience is how long anything may take that must come at last. Nothing is said by it about speed.
	patience = 2 * time.Minute
)

// yard is servers on one PostgreSQL and agents, all of them processes, and the lines between them.
type yard struct {
	t       *testing.T
	folder  string
	pg      *postgrestest.Server
	disk    string // the small disk that PostgreSQL stands on; empty: it stands on the machine's own
	log     eventlog.Backend
	token   string
	join    string
	ran     string // the file to which each step appends a line when it begins and when it ends
	servers []*droverServer
	agents  []*agent
	hits    atomic.Int64 // servers that ended themselves at a named point
}

type droverServer struct {
	*process
	address string
	toLog   *wire
	people  *wire // the line of those who command
	client  *client.Client
}

type agent struct {
	*process
	name, environment string
	wires             []*wire // one to each server
}

// shape says what stands in a yard.
type shape struct {
	servers, agents int
	// apart is by how much the wall clock of each server is ahead of that of the one before.
	apart time.Duration
	// small puts PostgreSQL on a disk that can be filled, where one can be had.
	small bool
	// program is the build that the servers run; nil: fragile.
	program func() (string, error)
}

func newYard(t *testing.T, s shape) *yard {
	t.Helper()
	y := &yard{t: t, folder: t.TempDir()}
	y.ran = filepath.Join(y.folder, "ran")
	if s.small {
		y.disk = smallDisk(t)
	}
	y.pg = postgrestest.Start(t, postgrestest.Config{})
	var err error
	y.log, err = postgres.Open(context.Background(), y.pg.URL(), postgres.Config{})
	require.NoError(t, err)
	t.Cleanup(func() { y.log.Close() })
	y.token = y.mint(domain.TokenSettings{Scope: domain.AdminScope})
	y.join = y.mint(domain.TokenSettings{Join: true})
	if s.program == nil {
		s.program = fragile
	}
	for n := range s.servers {
		y.addServer(n, program(t, s.program), time.Duration(n)*s.apart)
	}
	y.until("all servers are ready", y.ready)
	for n := range s.agents {
		y.addAgent(n)
	}
	return y
}

func (y *yard) mint(settings domain.TokenSettings) string {
	text, err := server.MintIn(context.Background(), y.log, settings, "test")
	require.NoError(y.t, err)
	return text
}

// env is the environment of a process that has a home of its own.
func (y *yard) env(home string) []string {
	require.NoError(y.t, os.MkdirAll(home, 0o700))
	return []string{"HOME=" + home, "PATH=" + os.Getenv("PATH"), "RAN=" + y.ran}
}

func (y *yard) addServer(n int, program string, ahead time.Duration) {
	name := fmt.Sprintf("server-%d", n)
	home := filepath.Join(y.folder, name)
	s := &droverServer{address: freeAddress(y.t), toLog: newWire(y.t, y.pg.Address())}
	log := url.URL{Scheme: "postgres", User: url.UserPassword(postgrestest.User, postgrestest.Password), Host: s.toLog.address(),
		Path: "/" + postgrestest.Database, RawQuery: "sslmode=disable"}
	env := append(y.env(home), "DROVER_CLOCK_OFFSET="+ahead.String())
	s.process = newProcess(y.t, filepath.Join(y.folder, name+".log"), program, env,
		"server", "--listen", s.address, "--log", log.String(), "--data", home, "--tick", tick.String())
	s.people = newWire(y.t, s.address)
	s.client = y.clientAt(s.people.address())
	y.servers = append(y.servers, s)
	s.start()
}

// clientAt is a person's client that asks these servers.
func (y *yard) clientAt(addresses ...string) *client.Client {
	c := &client.Client{Token: y.token, HTTP: &http.Client{Transport: &http.Transport{}}}
	for _, address := range addresses {
		c.Servers = append(c.Servers, "http://"+address)
	}
	return c
}

func (y *yard) addAgent(n int) {
	a := &agent{name: fmt.Sprintf("m-%02d", n), environment: []string{"production", "production", "staging"}[n%3]}
	home := filepath.Join(y.folder, a.name)
	var addresses []string
	for i := range y.servers {
		w := newWire(y.t, y.servers[(n+i)%len(y.servers)].address)
		a.wires = append(a.wires, w)
		addresses = append(addresses, "http://"+w.address())
	}
	a.process = newProcess(y.t, filepath.Join(y.folder, a.name+".log"), program(y.t, shipped), y.env(home),
		"agent", "--server", strings.Join(addresses, ","), "--join", y.join, "--name", a.name, "--environment", a.environment,
		"--role", "web", "--data", home)
	y.agents = append(y.agents, a)
}

// wireTo is an agent's line to a server.
func (y *yard) wireTo(n, server int) *wire {
	return y.agents[n].wires[(server-n%len(y.servers)+len(y.servers))%len(y.servers)]
}

func freeAddress(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// until waits for what must come; is says why it is not there yet.
func (y *yard) until(what string, is func() error) {
	y.t.Helper()
	var last error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if last = is(); last == nil {
			return
		}
	}
	y.t.Fatalf("within %s it did not come that %s: %v", patience, what, last)
}

// ready says which server is not ready, if one is not.
func (y *yard) ready() error {
	for n, s := range y.servers {
		answer, err := (&http.Client{Timeout: 2 * time.Second}).Get("http://" + s.address + "/readyz")
		if err != nil {
			return err
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("server %d answers %s", n, answer.Status)
		}
	}
	return nil
}

// whole asks for a collection in one page.
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

// events are all there are, read from the log itself.
func (y *yard) events() []eventlog.Recorded {
	y.t.Helper()
	var all []eventlog.Recorded
	for recorded, err := range y.log.ReadAll(context.Background(), 0, 0) {
		require.NoError(y.t, err)
		all = append(all, recorded)
	}
	return all
}

// apply brings things to what text says, through any server and past the lines of people.
func (y *yard) apply(text string) {
	y.t.Helper()
	body := map[string]any{"documents": []map[string]string{{"file": "stdin", "text": text}}}
	var answer json.RawMessage
	var addresses []string
	for _, s := range y.servers {
		addresses = append(addresses, s.address)
	}
	require.NoError(y.t, y.clientAt(addresses...).Post(context.Background(), "/apply", "", body, &answer))
}

// shop is what is deployed. Each step says when it begins and when it ends, where it happens.
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

// written is what the steps wrote.
func (y *yard) written() string {
	text, _ := os.ReadFile(y.ran)
	return string(text)
}

// refuses says whether a server is unready with these words.
func (y *yard) refuses(s *droverServer, words string) error {
	answer, err := http.Get("http://" + s.address + "/readyz")
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

func touch(path string) error { return os.WriteFile(path, nil, 0o600) }
