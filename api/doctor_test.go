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

// finding is the one of a check.
func (y *yard) finding(c *client.Client, check string) doctor.Finding {
	y.t.Helper()
	var found doctor.Checkup
	_, err := c.Get(context.Background(), "/doctor", nil, &found)
	require.NoError(y.t, err)
	for _, f := range found.Findings {
		if f.Check == check {
			return f
		}
	}
	y.t.Fatalf("nothing is said of %s", check)
	return doctor.Finding{}
}

func TestWhoIsRefusedAgainAndAgainIsSeenAndOnlyAnAdminSeesFromWhere(t *testing.T) {
	y := newYard(t)
	reader := y.as(y.token(domain.TokenSettings{Scope: domain.ReadScope}))
	stranger := y.as("0123456789ab.wrong")
	for range 6 {
		_, err := stranger.Get(context.Background(), "/machines", nil, nil)
		require.Error(t, err)
	}
	require.Contains(t, y.finding(y.admin, "agents").Seen, "somebody at 127.0.0.1 was refused 6 times")
	require.Contains(t, y.finding(reader, "agents").Seen, "somebody was refused 6 times")
	y.clock.move(time.Hour)
	require.Equal(t, doctor.Fine, y.finding(y.admin, "agents").Severity, "what has stopped is no finding")
}

func TestACheckupTellsNoSecretAndTakesAToken(t *testing.T) {
	y := newYard(t)
	text := y.token(domain.TokenSettings{Join: true, Environments: []string{}})
	var raw json.RawMessage
	_, err := y.admin.Get(context.Background(), "/doctor", nil, &raw)
	require.NoError(t, err)
	require.NotContains(t, string(raw), text[13:])
	_, err = y.as(text).Get(context.Background(), "/doctor", nil, nil)
	require.Equal(t, client.Forbidden, client.KindOf(err), "a join token is good for joining alone")
	_, err = y.as("").Get(context.Background(), "/doctor", nil, nil)
	require.Equal(t, client.Unauthorised, client.KindOf(err), "on loopback too")
}

func TestTwoServersSeeEachOthersClocks(t *testing.T) {
	clock, late := &handClock{}, &handClock{}
	late.move(time.Minute) // its wall clock is ahead of the other's
	a := newYardOn(t, newYard(t).log, clock)
	b := newYardOn(t, a.log, late)
	renew := func() {
		clock.move(time.Second)
		late.move(time.Second)
		require.NoError(t, b.engine.RenewLease(context.Background(), b.log))
		require.NoError(t, a.engine.RenewLease(context.Background(), a.log))
	}
	renew()
	require.Equal(t, doctor.Fine, a.finding(a.admin, "clock").Severity, "a lease that was there before may be old")
	renew()
	require.NoError(t, a.engine.CatchUp(context.Background()))
	found := a.finding(a.admin, "clock")
	require.Equal(t, doctor.Warn, found.Severity)
	require.Contains(t, found.Seen, "is 1m ahead of that of server")
	require.NoError(t, a.log.Drop(context.Background(), eventlog.Leases, b.engine.Server().String()))
}
