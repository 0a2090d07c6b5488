package engine_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/projections"
)

// claims counts the claims in the result of Past.
func (f *fixture) claims(e *engine.Engine) (n int) {
	past, err := e.Past(context.Background(), "web-01", "shop")
	require.NoError(f.t, err)
	for _, rec := range past {
		if kind, _ := domain.SplitStream(rec.Stream); kind == domain.PartStreams {
			n++
		}
	}
	return n
}

// Deployments to other machines must not use up the limit.
func TestPastIncludesPartsOfPrunedDeployments(t *testing.T) {
	f := newFixture(t)
	f.shop()
	f.do(domain.ApplyEnvironment{Name: "staging"})
	f.join("web-01", 1)
	wide := domain.Deploy{Project: "shop", Release: "1.0", Environment: "production"}
	for range 3 {
		f.do(wide)
		require.True(t, f.work("web-01", domain.PartSucceeded))
	}
	for range 60 {
		f.do(domain.Deploy{Project: "shop", Release: "1.0", Environment: "staging"})
	}
	require.Equal(t, 6, f.claims(f.Engine))
	rules := engine.CurrentRules()
	rules.Retain = 1
	forgetful, err := engine.Open(context.Background(),
		engine.Config{Log: f.log, Clock: f.clock, Server: domain.ID{15: 3}, Rules: rules})
	require.NoError(t, err)
	forgetful.Read(func(v *projections.View) { require.Less(t, len(v.Deployments), 4) })
	require.Equal(t, 6, f.claims(forgetful))
}

func TestServerWithLostEventsHasNothingToReactTo(t *testing.T) {
	f := newFixture(t)
	f.shop()
	f.do(domain.ApplyMachine{Name: "web-01", Environment: "production"})
	_, err := f.Handle(context.Background(), f.id(),
		domain.Deploy{Project: "shop", Release: "1.0", Environment: "production"})
	require.NoError(t, err)
	require.True(t, f.Due(), "the part of an offline machine is skipped")
	f.ReportLostEvents("an agent remembers a newer event")
	require.False(t, f.Due())
}
