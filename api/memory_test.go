package api_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
)

// lying returns the hello of an agent whose memory has events that the log does not have.
func (f *fixture) lying(machine string) (h client.Hello, log string) {
	h = hello(machine, f.join(1))
	log = receive(f.dial(h), welcome).Log
	h.Memory = &client.Memory{Machine: machine, Log: log, Revision: 99, Event: uuid.NewString(),
		Successes:   map[string]string{"shop": uuid.NewString()},
		Deployments: map[string]string{"shop": uuid.NewString()}}
	return h, log
}

func TestFalseMemoryOfAnAgentStopsOnlyItsMachine(t *testing.T) {
	f := newFixture(t)
	f.shop()
	h, log := f.lying("web-01")
	informed := f.dial(h)
	require.Contains(t, receive(informed, welcome).Warnings[0], "the log does not have what this agent remembers")
	require.NoError(t, f.engine.LostEvents())
	require.True(t, f.machine("web-01").Doubted)
	require.False(t, f.machine("web-01").Deployable)
	require.Contains(t, f.machine("web-01").Note, "`drover eventlog accept-restore --machine web-01`")
	require.Contains(t, f.why("/why?machine=web-01&project=shop").Sentence, "its agent remembers its success")

	f.post("/deployments", map[string]any{"project": "shop", "release": "1.0", "environment": "production"})
	f.post("/log/accept-restore", map[string]any{"machine": "web-01"})
	informed.waitUntilClosed() // its agent reconnects and sends its memory again
	receive(f.dial(h), welcome)
	require.Equal(t, log, f.engine.LogID().String(), "the log is not restored")
	require.False(t, f.machine("web-01").Doubted)
	require.Equal(t, "unproven", f.machine("web-01").Wanted[0].Hold.Kind)

	f.do(domain.LiftHold{Project: "shop", Machine: "web-01"})
	require.Empty(t, receive(f.dial(h), welcome).Warnings, "what was accepted raises no doubt again")
	require.Nil(t, f.machine("web-01").Wanted[0].Hold)
	require.Equal(t, 404, f.rejected("/log/accept-restore", map[string]any{"machine": "web-09"}).Status)
	require.Contains(t, f.rejected("/log/accept-restore", map[string]any{"machine": "web-01"}).Detail, "is not doubted")
	require.Contains(t, f.rejected("/log/accept-restore", map[string]any{"machine": "a", "except": []string{"b"}}).Detail,
		"use one of them")
}

func TestAcceptedRestoreHoldsTheDoubtedMachinesExceptSome(t *testing.T) {
	f := newFixture(t)
	f.shop()
	first, log := f.lying("web-01")
	second, _ := f.lying("web-02")
	receive(f.dial(first), welcome)
	receive(f.dial(second), welcome)
	f.post("/log/accept-restore", map[string]any{"except": []string{"web-02"}})
	require.NotEqual(t, log, receive(f.dial(first), welcome).Log)
	require.Len(t, receive(f.dial(second), welcome).Warnings, 1)
	require.Equal(t, "unproven", f.machine("web-01").Wanted[0].Hold.Kind)
	require.True(t, f.machine("web-02").Doubted)
}

func TestSignedLogIDStopsTheServer(t *testing.T) {
	f := newFixture(t)
	f.shop()
	require.NoError(t, f.engine.EnsureServerKey(t.Context()))
	h := hello("web-01", f.join(1))
	w := receive(f.dial(h), welcome)
	h.Memory = &client.Memory{Machine: "web-01", Log: uuid.NewString(), Made: w.Made, LogProof: w.LogProof}
	receive(f.dial(h), welcome)
	require.NoError(t, f.engine.LostEvents(), "the signature is for another id")
	require.True(t, f.machine("web-01").Doubted)

	lost := uuid.New()
	made := uuid.MustParse(w.Made)
	signature := f.engine.ServerKey().Sign("drover log id", lost[:], made[:])
	h.Memory.Log, h.Memory.LogProof = lost.String(), base64.StdEncoding.EncodeToString(signature)
	require.Contains(t, receive(f.dial(h), welcome).Warnings[0], "has lost events")
	require.ErrorIs(t, f.engine.LostEvents(), engine.ErrLostEvents)
	deploy := map[string]any{"project": "shop", "release": "1.0", "environment": "production"}
	require.Contains(t, f.rejected("/deployments", deploy).Detail, "has lost events")
	ready, err := http.NewRequest(http.MethodGet, f.server.URL+"/readyz", nil)
	require.NoError(t, err)
	require.Equal(t, 200, f.raw(ready).StatusCode, "the server stays ready for agents and people")
	require.Contains(t, f.why("/why?machine=web-01&project=shop").Sentence,
		"decides nothing now: this log has lost events")
	f.post("/log/accept-restore", nil)
	require.NoError(t, f.engine.LostEvents())
}

func TestMemoryIsBounded(t *testing.T) {
	f := newFixture(t)
	f.shop()
	h, _ := f.lying("web-01")
	h.Memory.Successes["x\n"+strings.Repeat("y", 5000)] = uuid.NewString()
	require.Contains(t, receive(f.dial(h), refusal).Reason, "project")
}
