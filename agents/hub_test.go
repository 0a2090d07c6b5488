package agents

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/access"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/internal/clock"
	"github.com/droverhq/drover/internal/ids"
)

// fixture is the hub of a server, with an environment and a project that has a release.
type fixture struct {
	*Hub
	t      *testing.T
	engine *engine.Engine
}

func newFixture(t *testing.T, log eventlog.Backend) *fixture {
	t.Helper()
	f, wall := &fixture{t: t}, clock.New()
	var err error
	f.engine, err = engine.Open(
		t.Context(),
		engine.Config{Log: log, Clock: wall, Server: ids.New(), OnTouched: func(machines map[string]struct{}) {
			if f.Hub != nil {
				f.Touched(machines)
			}
		}},
	)
	require.NoError(t, err)
	require.NoError(t, f.engine.Start(t.Context()))
	f.Hub = New(Config{Engine: f.engine, Log: log, Clock: wall, Access: access.New(f.engine, wall)})
	f.do(domain.ApplyEnvironment{Name: "production"})
	f.do(
		domain.ApplyProject{
			Name:     "shop",
			Settings: domain.ProjectSettings{Steps: []domain.Step{{Name: "install", Run: "true"}}},
		},
	)
	f.do(domain.CreateRelease{Project: "shop", Version: "1.0"})
	return f
}

func (f *fixture) do(c domain.Command) {
	f.t.Helper()
	_, err := f.engine.Handle(context.Background(), ids.New(), c)
	require.NoError(f.t, err)
	_, err = f.engine.React(context.Background())
	require.NoError(f.t, err)
}

// machine adds a machine and returns its agent and the session in which it is online.
func (f *fixture) machine(name string) (agent access.Caller, session string) {
	f.t.Helper()
	f.do(domain.ApplyMachine{Name: name, Environment: "production"})
	agent = access.Caller{Principal: domain.AgentPrincipal(name), Machine: name, Instance: ids.New()}
	r, err := f.Report(context.Background(), agent, ReportInput{Machine: name, Status: "online"})
	require.NoError(f.t, err)
	return agent, r.Session.String()
}
