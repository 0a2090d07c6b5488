package api_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/access"
	"github.com/droverhq/drover/agents"
	"github.com/droverhq/drover/api"
	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/memory"
	"github.com/droverhq/drover/explain"
	"github.com/droverhq/drover/internal/ids"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/query"
)

// timeout bounds every wait in these tests; no wait is expected to take this long.
const timeout = 10 * time.Second

// manualClock is a clock that a test advances.
type manualClock struct {
	mu  sync.Mutex
	now time.Duration
}

func (c *manualClock) Now() time.Time {
	return time.Date(2026, 1, 1, 9, 0, 0, 0, time.UTC).Add(c.Elapsed())
}

func (c *manualClock) Elapsed() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *manualClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now += d
}

// fixture is a server with its HTTP API, on a log in memory.
type fixture struct {
	t      *testing.T
	clock  *manualClock
	log    eventlog.Backend
	engine *engine.Engine
	agents *agents.Hub
	config api.Config
	api    *api.API
	server *httptest.Server
	socket string // the address of the same API on a Unix socket, for agents without TLS
	admin  *client.Client
	ready  error
}

func newFixture(t *testing.T) *fixture { return newFixtureOn(t, memory.New(), &manualClock{}) }

// newFixtureOn returns another server on a log.
func newFixtureOn(t *testing.T, log eventlog.Backend, clock *manualClock) *fixture {
	f := &fixture{t: t, clock: clock, log: log}
	accepted, done := make(chan struct{}, 1), make(chan struct{})
	var err error
	f.engine, err = engine.Open(
		context.Background(),
		engine.Config{Log: f.log, Clock: f.clock, Server: ids.New(), Address: "http://here",
			OnAccepted: func() {
				select {
				case accepted <- struct{}{}:
				default:
				}
			},
			OnTouched: func(machines map[string]struct{}) {
				if f.agents != nil {
					f.agents.Touched(machines)
				}
			}},
	)
	require.NoError(t, err)
	require.NoError(t, f.engine.Start(context.Background()))
	f.connect()
	f.server = httptest.NewServer(f.api.Handler())
	f.socket = f.listenOnSocket()
	f.admin = f.as(f.token(domain.TokenSettings{Scope: domain.AdminScope}))
	<-accepted // sent for that token; after this, the server has read nothing that other servers write
	go f.react(accepted, done)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		f.agents.Drain(ctx)
		f.api.Drain(ctx)
		f.server.Close()
		close(done)
	})
	return f
}

// listenOnSocket serves the API on a Unix socket and returns its address.
func (f *fixture) listenOnSocket() string {
	folder, err := os.MkdirTemp("", "d") // the path of a socket is limited to about a hundred bytes
	require.NoError(f.t, err)
	f.t.Cleanup(func() { _ = os.RemoveAll(folder) })
	path := filepath.Join(folder, "s")
	listener, err := net.Listen("unix", path)
	require.NoError(f.t, err)
	server := httptest.NewUnstartedServer(f.api.Handler())
	_ = server.Listener.Close()
	server.Listener = listener
	server.Start()
	f.t.Cleanup(server.Close)
	return client.SocketPrefix + path
}

// connect connects the packages as package server does.
func (f *fixture) connect() {
	callers, people := access.New(f.engine, f.clock), access.NewPeople(f.log, f.clock)
	queries := query.New(
		query.Config{
			Engine:   f.engine,
			Log:      f.log,
			Clock:    f.clock,
			Access:   callers,
			People:   people,
			Ready:    func() error { return f.ready },
			Version:  "test",
			Versions: func() map[string]int { return f.agents.Versions() },
			Forms:    func() map[string]int { return f.agents.Forms() },
		},
	)
	f.agents = agents.New(agents.Config{Engine: f.engine, Log: f.log, Clock: f.clock, Access: callers,
		OutputArrived: queries.OutputArrived})
	f.config = api.Config{
		Engine:  f.engine,
		Clock:   f.clock,
		Access:  callers,
		Queries: queries,
		Agents:  f.agents,
		People:  people,
		Version: "test",
	}
	f.api = api.New(f.config)
}

// react reacts to accepted commands, as package server does.
func (f *fixture) react(accepted, done <-chan struct{}) {
	for {
		select {
		case <-accepted:
			_, _ = f.engine.React(context.Background())
		case <-done:
			return
		}
	}
}

// token creates a token without using the API.
func (f *fixture) token(s domain.TokenSettings) string {
	token := ids.NewToken()
	command := domain.CreateToken{ID: token.ID, Settings: s, Hash: token.Hash()}
	if s.Join {
		command.Verifier = token.Verifier()
	}
	f.do(command)
	return token.Text()
}

func (f *fixture) as(token string) *client.Client {
	return &client.Client{Servers: []string{f.server.URL}, Token: token}
}

// asAgent returns a client for the secret of an agent or a join token, which are refused over TCP without TLS.
func (f *fixture) asAgent(credential string) *client.Client {
	return &client.Client{Servers: []string{f.socket}, Token: credential}
}

// guessing returns a client that sends a wrong token too. A Client with a Token sends it only to a server that knows it.
func (f *fixture) guessing(token string) *client.Client {
	return &client.Client{Servers: []string{f.server.URL}, HTTP: &http.Client{Transport: bearer(token)}}
}

// bearer sends a token with each request.
type bearer string

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(b))
	return http.DefaultTransport.RoundTrip(r)
}

func (f *fixture) do(c domain.Command) engine.Result {
	f.t.Helper()
	r, err := f.engine.Handle(context.Background(), ids.New(), c)
	require.NoError(f.t, err)
	_, err = f.engine.React(context.Background())
	require.NoError(f.t, err)
	return r
}

func (f *fixture) tick() {
	f.t.Helper()
	_, err := f.engine.Tick(context.Background())
	require.NoError(f.t, err)
}

// shop creates an environment, a project with a release that is wanted there, and a trigger.
func (f *fixture) shop() {
	f.do(domain.ApplyEnvironment{Name: "production"})
	f.do(
		domain.ApplyProject{
			Name:     "shop",
			Settings: domain.ProjectSettings{Steps: []domain.Step{{Name: "install", Run: "true"}}},
		},
	)
	f.do(domain.ApplyTrigger{Project: "shop", Name: "joins", Settings: domain.TriggerSettings{
		Events: []domain.Category{domain.AvailableGroup}, Environments: []string{"production"}}})
	f.do(domain.CreateRelease{Project: "shop", Version: "1.0"})
	f.do(domain.Deploy{Project: "shop", Release: "1.0", Environment: "production"})
}

func (f *fixture) get(path string, into any) {
	f.t.Helper()
	u, err := url.Parse(path)
	require.NoError(f.t, err)
	_, err = f.admin.Get(context.Background(), u.Path, u.Query(), into)
	require.NoError(f.t, err)
}

func (f *fixture) post(path string, body any) client.Written {
	f.t.Helper()
	written, err := f.admin.Write(context.Background(), path, "", body)
	require.NoError(f.t, err)
	return written
}

// rejected sends a write and returns its problem.
func (f *fixture) rejected(path string, body any) *client.Problem {
	f.t.Helper()
	_, err := f.admin.Write(context.Background(), path, "", body)
	var p *client.Problem
	require.ErrorAs(f.t, err, &p)
	return p
}

// raw sends a request unchanged.
func (f *fixture) raw(r *http.Request) *http.Response {
	f.t.Helper()
	answer, err := http.DefaultClient.Do(r)
	require.NoError(f.t, err)
	f.t.Cleanup(func() { answer.Body.Close() })
	return answer
}

func (f *fixture) machine(name string) (m explain.Machine) {
	f.engine.Read(func(v *projections.View) { m, _ = explain.MachineOf(v, name) })
	return m
}

func (f *fixture) eventually(description string, condition func() bool) {
	f.t.Helper()
	require.Eventually(f.t, condition, timeout, 2*time.Millisecond, description)
}

type object = map[string]any

// tickReport runs a tick and returns its report.
func tickReport(f *fixture) engine.Report {
	f.t.Helper()
	r, err := f.engine.Tick(context.Background())
	require.NoError(f.t, err)
	return r
}

// queryOf returns the query parameters of a path.
func queryOf(path string) url.Values {
	u, err := url.Parse(path)
	if err != nil {
		panic(err)
	}
	return u.Query()
}
