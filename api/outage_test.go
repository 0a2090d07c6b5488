package api_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/access"
	"github.com/droverhq/drover/agents"
	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/memory"
	"github.com/droverhq/drover/projections"
)

// outageLog is a log whose writes a test makes hang or fail.
type outageLog struct {
	*memory.Log
	mu    sync.Mutex
	hangs chan struct{} // closed at the end of the outage; nil: writes do not hang
	fails error
	waits chan struct{} // receives a value for each append that begins to wait
}

func newOutageLog() *outageLog { return &outageLog{Log: memory.New(), waits: make(chan struct{}, 100)} }

func (l *outageLog) hang() (end func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	hangs := make(chan struct{})
	l.hangs = hangs
	return sync.OnceFunc(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.hangs = nil
		close(hangs)
	})
}

func (l *outageLog) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fails = err
}

func (l *outageLog) write(ctx context.Context) error {
	l.mu.Lock()
	hangs, err := l.hangs, l.fails
	l.mu.Unlock()
	if hangs == nil {
		return err
	}
	l.waits <- struct{}{}
	select {
	case <-hangs:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *outageLog) Append(ctx context.Context, stream string, expected eventlog.Revision,
	events ...eventlog.Event) (eventlog.Appended, error) {
	if err := l.write(ctx); err != nil {
		return eventlog.Appended{}, err
	}
	return l.Log.Append(ctx, stream, expected, events...)
}

func (l *outageLog) Put(ctx context.Context, c eventlog.Collection, item eventlog.Item) error {
	if err := l.write(ctx); err != nil {
		return err
	}
	return l.Log.Put(ctx, c, item)
}

func (f *fixture) connectOf(machine string) (connect domain.ID) {
	f.engine.Read(func(v *projections.View) { connect = v.Machines[machine].Connect })
	return connect
}

func TestHeartbeatsAreReadWhileAnAppendHangs(t *testing.T) {
	log := newOutageLog()
	f := newFixtureOn(t, log, &manualClock{})
	f.shop()
	d := f.dial(hello("web-01", f.join(1)))
	receive(d, welcome)
	end := log.hang()
	d.send(client.FromAgent{Health: &client.Health{Status: domain.Healthy}})
	<-log.waits
	f.clock.advance(time.Hour)
	d.send(client.FromAgent{Heartbeat: &client.Heartbeat{}})
	f.eventually("the heartbeat counts", func() bool {
		return f.engine.HoldsSession(f.connectOf("web-01"), time.Minute)
	})
	end()
	f.eventually("the report is recorded", func() bool { return f.events("MachineHealthChanged") == 1 })
}

// TestMessagesOfAnAgentKeepTheirOrder sends more messages than the inbox has places while the log hangs.
func TestMessagesOfAnAgentKeepTheirOrder(t *testing.T) {
	log := newOutageLog()
	f := newFixtureOn(t, log, &manualClock{})
	d, work := f.startPart()
	end := log.hang()
	d.send(client.FromAgent{Health: &client.Health{Status: domain.Healthy}})
	<-log.waits
	const count = 200
	for n := range count {
		d.send(client.FromAgent{Output: &client.Output{Deployment: work.Deployment, Sequence: int64(n + 1),
			Data: fmt.Appendf(nil, "line %d\n", n)}})
	}
	f.clock.advance(time.Hour)
	f.eventually("an agent that this server does not read is not silent", func() bool {
		return f.engine.HoldsSession(f.connectOf("web-01"), time.Minute)
	})
	d.send(client.FromAgent{End: &client.End{Deployment: work.Deployment, State: "succeeded"}})
	d.send(client.FromAgent{Goodbye: &client.Goodbye{}})
	end()
	d.waitUntilClosed()
	f.eventually("the end is recorded", func() bool { return f.events("PartEnded") == 1 })
	f.eventually("the goodbye is recorded", func() bool { return f.machine("web-01").Presence == "offline" })
	var text strings.Builder
	for item, err := range log.Items(t.Context(), eventlog.Output, work.Deployment+"/web-01", 0, 0) {
		require.NoError(t, err)
		text.Write(item.Data)
	}
	for n := range count {
		require.Contains(t, text.String(), fmt.Sprintf("line %d\n", n))
	}
}

// connected waits until the server has registered so many sessions.
func (f *fixture) connected(count int) {
	f.t.Helper()
	f.eventually("the sessions are registered", func() bool { return f.agents.Connected() == count })
}

func (f *fixture) renewLease() error { return f.engine.RenewLease(f.t.Context(), f.log) }

// TestCutOffServerHandsItsAgentsOver makes all writes fail.
func TestCutOffServerHandsItsAgentsOver(t *testing.T) {
	log := newOutageLog()
	f := newFixtureOn(t, log, &manualClock{})
	f.shop()
	d := f.dial(hello("web-01", f.join(0)))
	receive(d, welcome)
	f.connected(1)
	ready := func() error { return f.engine.Ready() }
	log.fail(eventlog.ErrUnavailable)
	require.Error(t, f.renewLease())
	f.clock.advance(engine.CutOffAfter - time.Second)
	f.agents.HandOverIfCutOff()
	require.NotErrorIs(t, ready(), engine.ErrCutOff, "the outage is short")
	require.Equal(t, 1, f.agents.Connected())

	f.clock.advance(2 * time.Second)
	f.agents.HandOverIfCutOff()
	d.waitUntilClosed()
	require.ErrorIs(t, ready(), engine.ErrCutOff)
	refused := receive(f.dial(hello("web-02", "unknown")), refusal)
	require.Contains(t, refused.Reason, engine.ErrCutOff.Error())
	require.False(t, refused.Final, "the agent tries again")

	log.fail(nil)
	require.NoError(t, f.renewLease())
	require.NoError(t, ready())
	receive(f.dial(d.hello), welcome)
	require.Zero(t, f.events("MachineWentOffline"))
}

// TestServerWhoseLogHangsIsCutOff makes writes hang instead of failing.
func TestServerWhoseLogHangsIsCutOff(t *testing.T) {
	log := newOutageLog()
	f := newFixtureOn(t, log, &manualClock{})
	f.shop()
	d := f.dial(hello("web-01", f.join(1)))
	receive(d, welcome)
	f.connected(1)
	end, done := log.hang(), make(chan error, 1)
	go func() { done <- f.renewLease() }()
	<-log.waits
	f.clock.advance(engine.CutOffAfter + time.Second)
	f.agents.HandOverIfCutOff()
	d.waitUntilClosed()
	require.ErrorIs(t, f.engine.Ready(), engine.ErrCutOff)
	end()
	require.NoError(t, <-done)
	f.clock.advance(29 * time.Second)
	f.tick()
	require.Zero(t, f.events("MachineWentOffline"), "the time of the outage is no silence")
	receive(f.dial(d.hello), welcome)
}

// TestCutOffServerRefusesHTTPAgents checks the response to agents that use plain HTTP.
func TestCutOffServerRefusesHTTPAgents(t *testing.T) {
	log := newOutageLog()
	f := newFixtureOn(t, log, &manualClock{})
	f.shop()
	f.do(domain.ApplyMachine{Name: "box-01", Environment: "production"})
	agent, ctx := access.Caller{Principal: domain.AgentPrincipal("box-01"), Machine: "box-01",
		Instance: domain.ID{1: 1}}, t.Context()
	online := func() (agents.Reported, error) {
		return f.agents.Report(ctx, agent, agents.ReportInput{Machine: "box-01", Status: "online"})
	}
	session, err := online()
	require.NoError(t, err)
	log.fail(eventlog.ErrUnavailable)
	require.Error(t, f.renewLease())
	f.clock.advance(engine.CutOffAfter)
	_, err = online()
	require.ErrorContains(t, err, engine.ErrCutOff.Error())

	request, err := http.NewRequestWithContext(ctx, http.MethodGet, f.server.URL+"/api/v1/machines/box-01/work", nil)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+f.admin.Token)
	answer, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer answer.Body.Close()
	require.Equal(t, http.StatusServiceUnavailable, answer.StatusCode)
	require.Equal(t, "5", answer.Header.Get("Retry-After"))

	f.clock.advance(time.Hour)
	log.fail(nil)
	require.NoError(t, f.renewLease())
	f.clock.advance(29 * time.Second)
	f.tick()
	require.Zero(t, f.events("MachineWentOffline"), "the time of the outage is no silence")
	again, err := online()
	require.NoError(t, err)
	require.Equal(t, session.Session, again.Session)
}

func TestFullLogCutsNoServerOff(t *testing.T) {
	log := newOutageLog()
	f := newFixtureOn(t, log, &manualClock{})
	log.fail(errors.Join(eventlog.ErrFull))
	require.Error(t, f.renewLease())
	f.clock.advance(time.Hour)
	require.NotErrorIs(t, f.engine.Ready(), engine.ErrCutOff, "every server has the same problem")
}

// cleanUp deletes a machine as a clean-up does.
func (f *fixture) cleanUp(machine string) {
	f.do(domain.DisconnectMachine{Name: machine, Reason: "reported"})
	f.do(domain.DeleteMachine{Name: machine, Reason: domain.CleanUpReason})
}

func TestAgentOfACleanedUpMachineReturnsWithItsState(t *testing.T) {
	f := newFixture(t)
	f.shop()
	d := f.dial(hello("web-01", f.join(1)))
	receive(d, welcome)
	f.do(domain.SetMachineEnabled{Name: "web-01"})
	f.cleanUp("web-01")
	d.waitUntilClosed()
	elsewhere := d.hello
	elsewhere.Environment = "nowhere"
	w := receive(f.dial(elsewhere), welcome)
	require.Contains(t, w.Warnings[0], "--environment nowhere is ignored")
	require.Equal(t, 1, f.events("MachineCleanUpUndone"))
	require.Equal(t, 1, f.events("MachineAdded"))
	require.False(t, f.machine("web-01").Enabled)
	require.Equal(t, "online", f.machine("web-01").Presence)
}

func TestHTTPAgentOfACleanedUpMachineReturnsWithItsState(t *testing.T) {
	f := newFixture(t)
	f.shop()
	agent := access.Caller{Principal: domain.AgentPrincipal("box-01"), Machine: "box-01", Instance: domain.ID{1: 1}}
	f.do(domain.ApplyMachine{Name: "box-01", Environment: "production"})
	_, err := f.agents.Report(t.Context(), agent, agents.ReportInput{Machine: "box-01", Status: "online"})
	require.NoError(t, err)
	f.do(domain.SetMachineEnabled{Name: "box-01"})
	f.cleanUp("box-01")
	_, err = f.agents.Report(t.Context(), agent, agents.ReportInput{Machine: "box-01", Status: "online"})
	require.ErrorContains(t, err, "does not exist")
	rejoined, err := f.agents.Join(t.Context(), agent, agents.JoinInput{Machine: "box-01"})
	require.NoError(t, err)
	require.Equal(t, []string{"MachineCleanUpUndone"}, rejoined.Events)
	require.False(t, f.machine("box-01").Enabled)
	_, err = f.agents.Report(t.Context(), agent, agents.ReportInput{Machine: "box-01", Status: "online"})
	require.NoError(t, err)
}

// An agent ends as soon as its close is confirmed. A user who then looks at the log must find its departure.
func TestCloseOfAnAgentIsConfirmedAfterItsGoodbyeIsRecorded(t *testing.T) {
	log := newOutageLog()
	f := newFixtureOn(t, log, &manualClock{})
	f.shop()
	d := f.dial(hello("web-01", f.join(1)))
	receive(d, welcome)
	end := log.hang()
	d.send(client.FromAgent{Goodbye: &client.Goodbye{}})
	<-log.waits
	go d.conn.Close(websocket.StatusNormalClosure, "")
	require.Never(t, func() bool {
		select {
		case _, open := <-d.inbox:
			return !open
		default:
			return false
		}
	}, 200*time.Millisecond, 10*time.Millisecond, "the close is confirmed too early")
	end()
	d.waitUntilClosed()
	require.Equal(t, 1, f.events("MachineWentOffline"))
}
