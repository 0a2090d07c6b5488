package api_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/doctor"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
)

// finding returns the finding of a check.
func (f *fixture) finding(c *client.Client, check string) doctor.Finding {
	f.t.Helper()
	var found doctor.Checkup
	_, err := c.Get(context.Background(), "/doctor", nil, &found)
	require.NoError(f.t, err)
	for _, f := range found.Findings {
		if f.Check == check {
			return f
		}
	}
	f.t.Fatalf("no finding of check %s", check)
	return doctor.Finding{}
}

func TestRepeatedRefusalsAreReportedAndOnlyAdminsSeeTheAddress(t *testing.T) {
	f := newFixture(t)
	reader := f.as(f.token(domain.TokenSettings{Scope: domain.ReadScope}))
	stranger := f.guessing("0123456789ab.wrong")
	for range 6 {
		_, err := stranger.Get(context.Background(), "/machines", nil, nil)
		require.Error(t, err)
	}
	require.Contains(t, f.finding(f.admin, "agents").Text, "a client at 127.0.0.1 was refused 6 times")
	require.Contains(t, f.finding(reader, "agents").Text, "a client was refused 6 times")
	f.clock.advance(time.Hour)
	require.Equal(t, doctor.OK, f.finding(f.admin, "agents").Severity, "refusals that have stopped are not reported")
}

func TestCheckupContainsNoSecretAndNeedsAToken(t *testing.T) {
	f := newFixture(t)
	text := f.token(domain.TokenSettings{Join: true, Environments: []string{}})
	var raw json.RawMessage
	_, err := f.admin.Get(context.Background(), "/doctor", nil, &raw)
	require.NoError(t, err)
	require.NotContains(t, string(raw), text[13:])
	_, err = f.asAgent(text).Get(context.Background(), "/doctor", nil, nil)
	require.Equal(t, client.Forbidden, client.KindOf(err), "a join token can only be used to join")
	_, err = f.as("").Get(context.Background(), "/doctor", nil, nil)
	require.Equal(t, client.Unauthorised, client.KindOf(err), "a token is required on loopback too")
}

func TestDoctorReportsAClockThatIsAhead(t *testing.T) {
	clock, late := &manualClock{}, &manualClock{}
	late.advance(time.Minute) // its wall clock is ahead
	a := newFixtureOn(t, newFixture(t).log, clock)
	b := newFixtureOn(t, a.log, late)
	renew := func() {
		clock.advance(time.Second)
		late.advance(time.Second)
		require.NoError(t, b.engine.RenewLease(context.Background(), b.log))
		require.NoError(t, a.engine.RenewLease(context.Background(), a.log))
	}
	renew()
	require.Equal(t, doctor.OK, a.finding(a.admin, "clock").Severity, "a lease from before the start may be old")
	renew()
	require.NoError(t, a.engine.CatchUp(context.Background()))
	found := a.finding(a.admin, "clock")
	require.Equal(t, doctor.Warn, found.Severity)
	require.Contains(t, found.Text, "is 1m ahead of that of server")
	require.NoError(t, a.log.Drop(context.Background(), eventlog.Leases, b.engine.Server().String()))
}
