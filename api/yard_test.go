package api_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
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

// patience is how long a test waits for what must come; nothing takes so long unless it never comes.
const patience = 10 * time.Second

// handClock is a clock that a test moves.
type handClock struct {
	mu  sync.Mutex
	now time.Duration
}

func (c *handClock) Now() time.Time {
	return time.Date(2026, 1, 1, 9, 0, 0, 0, time.UTC).Add(c.Elapsed())
}

func (c *handClock) Elapsed() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *handClock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now += d
}

// yard is one server with its door, on a log in memory.
type yard struct {
	t      *testing.T
	clock  *handClock
	log    eventlog.Backend
	engine *engine.Engine
	agents *agents.Hub
	config api.Config
	api    *api.API
	door   *httptest.Server
	admin  *client.Client
	ready  error
}

func newYard(t *testing.T) *yard { return newYardOn(t, memory.New(), &handClock{}) }

// newYardOn is another server on a log.
func newYardOn(t *testing.T, log eventlog.Backend, clock *handClock) *yard {
	y := &yard{t: t, clock: clock, log: log}
	kicks, over := make(chan struct{}, 1), make(chan struct{})
	var err error
	y.engine, err = engine.Open(context.Background(), engine.Config{Log: y.log, Clock: y.clock, Server: ids.New(), Address: "http://here",
		OnAccepted: func() {
			select {
			case kicks <- struct{}{}:
			default:
			}
		},
		OnTouched: func(machines map[string]struct{}) {
			if y.agents != nil {
				y.agents.Touched(machines)
			}
		}})
	require.NoError(t, err)
	require.NoError(t, y.engine.Start(context.Background()))
	y.doors()
	y.door = httptest.NewServer(y.api.Handler())
	y.admin = y.as(y.token(domain.TokenSettings{Scope: domain.AdminScope}))
	<-kicks // of that token: the server has read nothing of what others write from now on
	go y.react(kicks, over)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		y.agents.Drain(ctx)
		y.api.Drain(ctx)
		y.door.Close()
		close(over)
	})
	return y
}

// doors prepares what the wiring does.
func (y *yard) doors() {
	callers, people := access.New(y.engine, y.clock), access.NewPeople(y.log, y.clock)
	queries := query.New(query.Config{Engine: y.engine, Log: y.log, Clock: y.clock, Access: callers, People: people, Ready: func() error { return y.ready },
		Version: "test", Versions: func() map[string]int { return y.agents.Versions() }})
	y.agents = agents.New(agents.Config{Engine: y.engine, Log: y.log, Clock: y.clock, Access: callers, OutputArrived: queries.OutputArrived})
	y.config = api.Config{Engine: y.engine, Clock: y.clock, Access: callers, Queries: queries, Agents: y.agents, People: people, Version: "test"}
	y.api = api.New(y.config)
}

// react does what the wiring does after each kick.
func (y *yard) react(kicks, over <-chan struct{}) {
	for {
		select {
		case <-kicks:
			_, _ = y.engine.React(context.Background())
		case <-over:
			return
		}
	}
}

// token makes a token without the door.
func (y *yard) token(s domain.TokenSettings) string {
	token := ids.NewToken()
	y.do(domain.CreateToken{ID: token.ID, Settings: s, Hash: token.Hash()})
	return token.Text()
}

func (y *yard) as(token string) *client.Client {
	return &client.Client{Servers: []string{y.door.URL}, Token: token}
}

func (y *yard) do(c domain.Command) engine.Result {
	y.t.Helper()
	r, err := y.engine.Handle(context.Background(), ids.New(), c)
	require.NoError(y.t, err)
	_, err = y.engine.React(context.Background())
	require.NoError(y.t, err)
	return r
}

func (y *yard) tick() {
	y.t.Helper()
	_, err := y.engine.Tick(context.Background())
	require.NoError(y.t, err)
}

// shop is an environment, a project with a release that is wanted there, and a trigger.
func (y *yard) shop() {
	y.do(domain.ApplyEnvironment{Name: "production"})
	y.do(domain.ApplyProject{Name: "shop", Settings: domain.ProjectSettings{Steps: []domain.Step{{Name: "install", Run: "true"}}}})
	y.do(domain.ApplyTrigger{Project: "shop", Name: "joins", Settings: domain.TriggerSettings{
		Events: []domain.Category{domain.AvailableGroup}, Environments: []string{"production"}}})
	y.do(domain.CreateRelease{Project: "shop", Version: "1.0"})
	y.do(domain.Deploy{Project: "shop", Release: "1.0", Environment: "production"})
}

func (y *yard) get(path string, into any) {
	y.t.Helper()
	u, err := url.Parse(path)
	require.NoError(y.t, err)
	_, err = y.admin.Get(context.Background(), u.Path, u.Query(), into)
	require.NoError(y.t, err)
}

func (y *yard) post(path string, body any) client.Written {
	y.t.Helper()
	written, err := y.admin.Write(context.Background(), path, "", body)
	require.NoError(y.t, err)
	return written
}

// refused is the problem of a write.
func (y *yard) refused(path string, body any) *client.Problem {
	y.t.Helper()
	_, err := y.admin.Write(context.Background(), path, "", body)
	var p *client.Problem
	require.ErrorAs(y.t, err, &p)
	return p
}

// raw sends a request as it is.
func (y *yard) raw(r *http.Request) *http.Response {
	y.t.Helper()
	answer, err := http.DefaultClient.Do(r)
	require.NoError(y.t, err)
	y.t.Cleanup(func() { answer.Body.Close() })
	return answer
}

func (y *yard) machine(name string) (m explain.Machine) {
	y.engine.Read(func(v *projections.View) { m, _ = explain.MachineOf(v, name) })
	return m
}

func (y *yard) eventually(sentence string, condition func() bool) {
	y.t.Helper()
	require.Eventually(y.t, condition, patience, 2*time.Millisecond, sentence)
}

type object = map[string]any

// engineReport is that of a tick.
func engineReport(y *yard) engine.Report {
	y.t.Helper()
	r, err := y.engine.Tick(context.Background())
	require.NoError(y.t, err)
	return r
}
