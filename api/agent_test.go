package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/api/client/handshake"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/sqlite"
	"github.com/droverhq/drover/explain"
	"github.com/droverhq/drover/policies"
	"github.com/droverhq/drover/projections"
)

// fakeAgent is an agent whose messages a test sends one by one.
type fakeAgent struct {
	t     *testing.T
	hello client.Hello // contains the secret and the join token, which are not sent
	conn  *websocket.Conn
	inbox chan client.ToAgent // closed with the connection
}

func hello(machine, join string) client.Hello {
	return client.Hello{
		Machine:     machine,
		Instance:    uuid.NewString(),
		Secret:      strings.Repeat("5e", 32),
		Session:     uuid.NewString(),
		Join:        join,
		Environment: "production",
		Version:     "test",
		ObeysKill:   true,
	}
}

// dial opens a connection and sends the hello with the proofs of the agent's secret and join token.
func (f *fixture) dial(h client.Hello) *fakeAgent {
	f.t.Helper()
	on := handshake.Connection{Address: f.server.Listener.Addr().String()}
	own := handshake.NewCredential(handshake.AgentName(h.Instance), h.Secret)
	agent, header := own.Start(on), http.Header{}
	header.Set(handshake.Header, agent.First())
	var joining *handshake.Attempt
	if id, secret, ok := strings.Cut(h.Join, "."); ok {
		joining = handshake.NewCredential(handshake.JoinName(id), secret).Start(on)
		header.Set(handshake.JoinHeader, joining.First())
	}
	d, answer := f.open(header)
	var err error
	proven := h
	proven.Secret, proven.Join = "", ""
	proven.Proof, err = agent.Answer(answer.Get(handshake.Header))
	require.NoError(f.t, err)
	if agent.KnowsHash(client.HashSecret(h.Secret), answer.Get(handshake.KnownHeader)) {
		proven.Secret, proven.Verifier = h.Secret, own.Verifier()
	}
	if joining != nil {
		proven.Verifier = own.Verifier()
		proven.JoinProof, err = joining.Answer(answer.Get(handshake.JoinHeader))
		require.NoError(f.t, err)
	}
	d.hello = h
	d.send(client.FromAgent{Hello: &proven})
	return d
}

// joinedEarlier returns the hello of an agent that joined with an earlier version of drover. The log has the hash of its
// secret, so the agent can also use plain HTTP.
func (f *fixture) joinedEarlier(machine string) client.Hello {
	f.t.Helper()
	id, _, _ := strings.Cut(f.join(1), ".")
	h := hello(machine, "")
	instance, err := domain.ParseID(h.Instance)
	require.NoError(f.t, err)
	f.do(domain.UseToken{ID: id, Instance: instance, Machine: machine, Secret: client.HashSecret(h.Secret),
		Environment: h.Environment})
	return h
}

// open opens a connection. It returns the headers of the answer.
func (f *fixture) open(header http.Header) (*fakeAgent, http.Header) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	conn, answer, err := websocket.Dial(ctx, f.server.URL+client.AgentPath, &websocket.DialOptions{HTTPHeader: header,
		HTTPClient: f.server.Client()})
	require.NoError(f.t, err)
	conn.SetReadLimit(client.MaxMessageBytes)
	d := &fakeAgent{t: f.t, conn: conn, inbox: make(chan client.ToAgent, 1000)}
	f.t.Cleanup(func() { conn.CloseNow() })
	go d.readMessages()
	return d, answer.Header
}

func (d *fakeAgent) readMessages() {
	defer close(d.inbox)
	for {
		_, text, err := d.conn.Read(context.Background())
		if err != nil {
			return
		}
		var m client.ToAgent
		if json.Unmarshal(text, &m) == nil {
			d.inbox <- m
		}
	}
}

func (d *fakeAgent) send(m client.FromAgent) {
	d.t.Helper()
	text, err := json.Marshal(m)
	require.NoError(d.t, err)
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	require.NoError(d.t, d.conn.Write(ctx, websocket.MessageText, text))
}

// receive waits for the next message that pick selects, and skips others.
func receive[T any](d *fakeAgent, pick func(client.ToAgent) *T) T {
	d.t.Helper()
	expired := time.After(timeout)
	for {
		select {
		case m, open := <-d.inbox:
			require.True(d.t, open, "the connection is closed")
			if found := pick(m); found != nil {
				return *found
			}
		case <-expired:
			require.Fail(d.t, "timed out waiting for the message")
		}
	}
}

func welcome(m client.ToAgent) *client.Welcome          { return m.Welcome }
func refusal(m client.ToAgent) *client.Refused          { return m.Refused }
func offer(m client.ToAgent) *client.Work               { return m.Offer }
func claimed(m client.ToAgent) *client.Claimed          { return m.Claimed }
func killed(m client.ToAgent) *client.Kill              { return m.Kill }
func ended(m client.ToAgent) *client.Ended              { return m.Ended }
func memoryUpdate(m client.ToAgent) *client.NewestEvent { return m.Newest }
func settings(m client.ToAgent) *client.Settings        { return m.Settings }

// waitUntilClosed waits until the server has closed the connection.
func (d *fakeAgent) waitUntilClosed() {
	d.t.Helper()
	expired := time.After(timeout)
	for {
		select {
		case _, open := <-d.inbox:
			if !open {
				return
			}
		case <-expired:
			require.Fail(d.t, "timed out waiting for the end of the connection")
		}
	}
}

// startPart applies the shop, connects an agent as web-01 and lets it claim the part that the next tick queues.
func (f *fixture) startPart() (*fakeAgent, client.Work) {
	f.t.Helper()
	f.shop()
	d := f.dial(hello("web-01", f.join(1)))
	receive(d, welcome)
	f.tick()
	work := receive(d, offer)
	d.send(client.FromAgent{Claim: &client.Claim{Deployment: work.Deployment}})
	require.True(f.t, receive(d, claimed).Counts)
	return d, work
}

func (f *fixture) join(uses int) string {
	return f.token(domain.TokenSettings{Join: true, Uses: uses, AnyEnvironment: true})
}

func (f *fixture) events(name string) (count int) {
	for rec, err := range f.log.ReadAll(context.Background(), 0, 0) {
		require.NoError(f.t, err)
		if domain.NameOfType(rec.Type) == name {
			count++
		}
	}
	return count
}

func TestAgentJoinsReceivesWorkAndReportsItsEnd(t *testing.T) {
	f := newFixture(t)
	f.shop()
	d := f.dial(hello("web-01", f.join(1)))
	w := receive(d, welcome)
	require.Equal(t, f.engine.LogID().String(), w.Log)
	require.Equal(t, domain.Duration(10*time.Second), w.Settings.HeartbeatEvery)
	require.Empty(t, w.Unfinished)
	require.Equal(t, "online", f.machine("web-01").Presence)

	f.tick()
	work := receive(d, offer)
	require.Equal(t, "1.0", work.Release)
	require.Equal(t, "trigger", work.Cause)
	require.Equal(t, []domain.Step{{Name: "install", Run: "true"}}, work.Steps)
	d.send(client.FromAgent{Claim: &client.Claim{Deployment: work.Deployment}})
	require.True(t, receive(d, claimed).Counts)
	d.send(client.FromAgent{Output: &client.Output{Deployment: work.Deployment, Sequence: 1, Data: []byte("installed\n")}})
	d.send(client.FromAgent{End: &client.End{Deployment: work.Deployment, State: "succeeded"}})
	first := receive(d, ended)
	require.NotEmpty(t, first.Event)
	f.eventually("the deployment ends", func() bool {
		var one explain.Deployment
		f.get("/deployments/"+work.Deployment, &one)
		return one.State == "succeeded"
	})
	require.Equal(t, "1.0", f.machine("web-01").Installed[0].Release)

	d.send(client.FromAgent{End: &client.End{Deployment: work.Deployment, State: "failed"}})
	require.Equal(t, first, receive(d, ended), "an end that is reported twice is recorded once")
	require.Equal(t, 1, f.events("PartEnded"))
}

func TestConcurrentJoinsWithOneTokenSucceedAtTheFirstAttempt(t *testing.T) {
	log, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "drover.db"), sqlite.Config{})
	require.NoError(t, err)
	t.Cleanup(func() { log.Close() })
	f := newFixtureOn(t, log, &manualClock{})
	f.shop()
	token := f.join(0)
	var all []*fakeAgent
	for n := range 64 {
		all = append(all, f.dial(hello(fmt.Sprintf("web-%02d", n), token)))
	}
	for _, d := range all {
		receive(d, func(m client.ToAgent) *client.Welcome {
			require.Nil(t, m.Refused)
			return m.Welcome
		})
	}
	require.Equal(t, 64, f.events("TokenUsed"))
}

func TestClaimThatDoesNotCountReturnsItsReason(t *testing.T) {
	f := newFixture(t)
	f.shop()
	d := f.dial(hello("web-01", f.join(1)))
	receive(d, welcome)
	f.tick()
	work := receive(d, offer)
	f.do(domain.SetMachineEnabled{Name: "web-01"})
	d.send(client.FromAgent{Claim: &client.Claim{Deployment: work.Deployment}})
	answer := receive(d, claimed)
	require.False(t, answer.Counts)
	require.NotEmpty(t, answer.Reason)
	require.Zero(t, f.events("PartClaimed"))
	for _, invalid := range []string{uuid.NewString(), "monday"} {
		d.send(client.FromAgent{Claim: &client.Claim{Deployment: invalid}})
		require.False(t, receive(d, claimed).Counts)
		d.send(client.FromAgent{End: &client.End{Deployment: invalid, State: "succeeded"}})
		require.Empty(t, receive(d, ended).Event, "the agent can forget an end that the log permanently rejects")
	}
}

func TestResultIsNotLostWhileItsStreamIsSetAside(t *testing.T) {
	f := newFixture(t)
	d, work := f.startPart()
	id, err := domain.ParseID(work.Deployment)
	require.NoError(t, err)
	stream := domain.PartStream(id, "web-01")
	_, err = f.log.Append(context.Background(), stream, 0,
		eventlog.Event{ID: uuid.New(), Type: "part.ended/v1", Time: f.clock.Now(), Data: []byte(`{"state":7}`)})
	require.NoError(t, err)

	d.send(client.FromAgent{End: &client.End{Deployment: work.Deployment, State: "succeeded"}})
	d.send(client.FromAgent{Claim: &client.Claim{Deployment: work.Deployment}})
	require.NotNil(t, receive(d, func(m client.ToAgent) *client.ToAgent {
		require.Nil(t, m.Ended, "the agent would forget its result")
		if m.Claimed != nil {
			return &m
		}
		return nil
	}))
	f.post("/log/clear", object{"stream": stream})
	d.send(client.FromAgent{End: &client.End{Deployment: work.Deployment, State: "succeeded"}})
	require.NotEmpty(t, receive(d, ended).Event)
	require.Equal(t, "1.0", f.machine("web-01").Installed[0].Release)
}

func TestWorkIsOfferedOnlyToItsMachine(t *testing.T) {
	f := newFixture(t)
	f.shop()
	join := f.join(0)
	one, two := f.dial(hello("web-01", join)), f.dial(hello("web-02", join))
	receive(one, welcome)
	receive(two, welcome)
	f.tick()
	require.Equal(t, "web-01", receive(one, offer).Machine)
	require.Equal(t, "web-02", receive(two, offer).Machine)
}

// appendInvalidEvent appends an event that cannot be folded, so that its stream is set aside.
func (f *fixture) appendInvalidEvent(stream, typeName string) {
	f.t.Helper()
	var at eventlog.Revision
	f.engine.Read(func(v *projections.View) { at = v.Revision(stream) })
	_, err := f.log.Append(
		context.Background(),
		stream,
		at,
		eventlog.Event{ID: uuid.New(), Type: typeName, Time: f.clock.Now(),
			Data: json.RawMessage(`{"session":7}`)},
	)
	require.NoError(f.t, err)
	require.NoError(f.t, f.engine.CatchUp(context.Background()))
}

// synchronize returns when the server has handled all earlier messages.
func (d *fakeAgent) synchronize() {
	d.t.Helper()
	d.send(client.FromAgent{Claim: &client.Claim{Deployment: "mark"}})
	answer := receive(d, func(m client.ToAgent) *string {
		switch {
		case m.Ended != nil:
			return &m.Ended.Deployment
		case m.Claimed != nil:
			return &m.Claimed.Deployment
		}
		return nil
	})
	require.Equal(d.t, "mark", answer, "earlier messages have no answer")
}

func TestEndThatCannotBeRecordedNowIsNotConfirmed(t *testing.T) {
	f := newFixture(t)
	d, work := f.startPart()
	stream := "part/" + work.Deployment + "/web-01"
	f.appendInvalidEvent(stream, "part.claimed/v1")
	end := client.FromAgent{End: &client.End{Deployment: work.Deployment, State: "succeeded"}}
	d.send(end)
	d.synchronize()
	f.do(domain.ClearStream{Name: stream})
	d.send(end)
	require.NotEmpty(t, receive(d, ended).Event)
	require.Equal(t, "1.0", f.machine("web-01").Installed[0].Release)
}

func TestUnrecordedHealthReportIsRecordedWithALaterHeartbeat(t *testing.T) {
	f := newFixture(t)
	f.shop()
	checked := domain.PolicySettings{HealthCheck: &domain.HealthCheck{Script: "true"}}
	f.do(domain.ApplyPolicy{Name: "default", Settings: checked})
	d := f.dial(hello("web-01", f.join(1)))
	receive(d, welcome)
	f.appendInvalidEvent("machine/web-01", "machine.health-changed/v1")
	d.send(client.FromAgent{Health: &client.Health{Status: "unhealthy"}})
	d.synchronize()
	require.Equal(t, "unknown", f.machine("web-01").Health)
	f.do(domain.ClearStream{Name: "machine/web-01"})
	d.send(client.FromAgent{Heartbeat: &client.Heartbeat{}})
	f.eventually("the report is recorded", func() bool { return f.machine("web-01").Health == "unhealthy" })

	f.do(domain.ApplyPolicy{Name: "default"})
	require.Nil(t, receive(d, settings).HealthCheck)
	d.send(client.FromAgent{Heartbeat: &client.Heartbeat{}})
	d.synchronize()
	f.do(domain.ApplyPolicy{Name: "default", Settings: checked})
	receive(d, settings)
	d.send(client.FromAgent{Heartbeat: &client.Heartbeat{}})
	d.synchronize()
	require.Equal(t, "unknown", f.machine("web-01").Health, "the new check has no result yet")
}

func TestReconnectedAgentKeepsItsClaim(t *testing.T) {
	f := newFixture(t)
	f.shop()
	h := hello("web-01", f.join(1))
	d := f.dial(h)
	receive(d, welcome)
	f.tick()
	work := receive(d, offer)
	d.send(client.FromAgent{Claim: &client.Claim{Deployment: work.Deployment}})
	require.True(t, receive(d, claimed).Counts)
	_ = d.conn.CloseNow()

	h.Join = ""
	back := f.dial(h)
	w := receive(back, welcome)
	require.Equal(t, []client.Unfinished{{Deployment: work.Deployment, Project: "shop", Session: h.Session}}, w.Unfinished)
	back.send(client.FromAgent{Answer: &client.PartAnswer{Deployment: work.Deployment, Running: true}})
	back.send(client.FromAgent{Claim: &client.Claim{Deployment: work.Deployment}})
	require.True(t, receive(back, claimed).Counts, "the same session repeats its claim")
	require.Equal(t, 1, f.events("PartClaimed"))
	require.Equal(t, 1, f.events("MachineCameOnline"), "reconnecting in the same session adds no event")
	require.Equal(t, 1, f.events("TokenUsed"))
}

func TestSecondLiveSessionOfAnIdentityIsRefused(t *testing.T) {
	f := newFixture(t)
	f.shop()
	h := hello("web-01", f.join(1))
	first := f.dial(h)
	receive(first, welcome)
	h.Session = uuid.NewString()
	second := f.dial(h)
	refused := receive(second, refusal)
	require.Contains(t, refused.Reason, "copied")
	require.False(t, refused.Final)
	second.waitUntilClosed()
	first.send(client.FromAgent{Health: &client.Health{Status: "healthy"}})
	f.eventually("the first session continues", func() bool { return f.machine("web-01").Health == "healthy" })

	_ = first.conn.CloseNow() // after its end, a new session of the same disk is not a clone
	third := f.dial(h)
	receive(third, welcome)
}

func TestRestartedAgentReplacesTheSessionOfADeadServer(t *testing.T) {
	f := newFixture(t)
	f.shop()
	require.NoError(t, f.engine.RenewLease(t.Context(), f.log))
	h := hello("web-01", f.join(1))
	first := f.dial(h)
	receive(first, welcome)
	other := newFixtureOn(t, f.log, f.clock)
	require.NoError(t, other.engine.RenewLease(t.Context(), f.log))
	_ = first.conn.CloseNow()
	h.Session = uuid.NewString()
	refused := receive(other.dial(h), refusal)
	require.Contains(t, refused.Reason, "is still open")

	f.clock.advance(engine.CutOffAfter) // the server may not have handed its agents over yet
	require.NoError(t, other.engine.RenewLease(t.Context(), f.log))
	require.Contains(t, receive(other.dial(h), refusal).Reason, "is still open")
	f.clock.advance(policies.LeaseStale - engine.CutOffAfter - time.Second) // the server is not gone yet
	require.NoError(t, other.engine.RenewLease(t.Context(), f.log))
	other.tick()
	require.Equal(t, "online", other.machine("web-01").Presence)
	receive(other.dial(h), welcome)
	require.Equal(t, 1, other.events("MachineCameOnline"), "the machine was never offline")
}

func TestJoinTokenAllowsOnlyItsEnvironmentsAndUses(t *testing.T) {
	f := newFixture(t)
	f.shop()
	f.do(domain.ApplyEnvironment{Name: "staging"})
	one := f.token(domain.TokenSettings{Join: true, Uses: 1, Environments: []string{"staging"}})
	require.Contains(t, receive(f.dial(hello("web-01", one)), refusal).Reason, "environment")
	f.do(domain.ApplyMachine{Name: "web-09", Environment: "production"})
	mismatched := hello("web-09", one)
	mismatched.Environment = "staging"
	require.Contains(t, receive(f.dial(mismatched), refusal).Reason, "environment",
		"the environment in the log applies, not the one that the agent sends")
	staging := hello("web-02", one)
	staging.Environment = "staging"
	receive(f.dial(staging), welcome)
	more := hello("web-03", one)
	more.Environment = "staging"
	require.Contains(t, receive(f.dial(more), refusal).Reason, "reached its use limit")
	require.Contains(t, receive(f.dial(hello("web-04", "")), refusal).Reason, "--join")
	require.Contains(t, receive(f.dial(hello("web-04", "0123456789ab.guess")), refusal).Reason, "unknown join token")
	nowhere := hello("web-05", f.join(1))
	nowhere.Environment = "moon"
	require.Contains(t, receive(f.dial(nowhere), refusal).Reason, "moon")
}

func TestRevokedTokenEndsTheAgentsThatJoinedWithIt(t *testing.T) {
	f := newFixture(t)
	f.shop()
	text := f.join(0)
	h := hello("web-01", text)
	d := f.dial(h)
	receive(d, welcome)
	f.do(domain.RevokeToken{ID: strings.Split(text, ".")[0]})
	_ = d.conn.CloseNow()
	require.True(t, receive(f.dial(h), refusal).Final)
	require.True(t, receive(f.dial(hello("web-02", text)), refusal).Final)
	h.Join = f.join(1)
	again := f.dial(h) // another token admits it again
	receive(again, welcome)
	_ = again.conn.CloseNow()
	text, h.Join = h.Join, ""
	again = f.dial(h)
	receive(again, welcome) // from then on, its own secret is sufficient
	f.do(domain.RevokeToken{ID: strings.Split(text, ".")[0]})
	require.True(t, receive(again, refusal).Final, "a live session ends too")
	again.waitUntilClosed()
}

func TestEarlierInstanceDoesNotAffectTheLiveOne(t *testing.T) {
	f := newFixture(t)
	f.shop()
	join := f.join(0)
	old := f.joinedEarlier("web-01")
	first := f.dial(old)
	receive(first, welcome)
	first.send(client.FromAgent{Goodbye: &client.Goodbye{}})
	f.eventually("the machine is offline", func() bool { return f.machine("web-01").Presence == "offline" })
	f.do(domain.ReimageMachine{Name: "web-01", Until: f.clock.Now().Add(time.Hour)})
	live := f.dial(hello("web-01", join))
	receive(live, welcome)

	old.Join = ""
	require.Contains(t, receive(f.dial(old), refusal).Reason, "another instance")
	plain := &httpAgent{t: t, Client: f.asAgent("agent:" + old.Instance + ":" + old.Secret), name: "web-01"}
	_, err := plain.report("online")
	require.ErrorContains(t, err, "another instance")
	live.send(client.FromAgent{Health: &client.Health{Status: "healthy"}})
	f.eventually("the live agent continues", func() bool { return f.machine("web-01").Health == "healthy" })
}

func TestMachineStaysOfflineAfterAGoodbye(t *testing.T) {
	f := newFixture(t)
	f.shop()
	h := hello("web-01", f.join(0))
	for range 50 {
		h.Session = uuid.NewString()
		d := f.dial(h)
		receive(d, welcome)
		d.send(client.FromAgent{Goodbye: &client.Goodbye{}})
		f.eventually("the machine is offline", func() bool { return f.machine("web-01").Presence == "offline" })
	}
}

func TestAgentWithAWrongSecretIsRefused(t *testing.T) {
	f := newFixture(t)
	f.shop()
	h := hello("web-01", f.join(1))
	receive(f.dial(h), welcome)
	thief := h
	thief.Join, thief.Secret = "", strings.Repeat("00", 32)
	require.NotEmpty(t, receive(f.dial(thief), refusal).Reason)
	for _, bad := range []func(*client.Hello){func(h *client.Hello) { h.Machine = "a/b" },
		func(h *client.Hello) { h.Instance = "x" },
		func(h *client.Hello) { h.Session = "" }} {
		h := hello("web-02", f.join(1))
		bad(&h)
		require.True(t, receive(f.dial(h), refusal).Final)
	}
}

func TestAgentReceivesLogUpdatesAndItsPolicy(t *testing.T) {
	f := newFixture(t)
	f.shop()
	h := hello("web-01", f.join(1))
	h.Roles = []string{"web"}
	d := f.dial(h)
	receive(d, welcome)
	before := receive(d, memoryUpdate)
	f.do(
		domain.ApplyPolicy{Name: "default", Settings: domain.PolicySettings{OfflineAfter: domain.Duration(6 * time.Second),
			HealthCheck: &domain.HealthCheck{Script: "true"}}},
	)
	changed := receive(d, settings)
	require.Equal(t, domain.Duration(2*time.Second), changed.HeartbeatEvery)
	require.Equal(t, "true", changed.HealthCheck.Script)
	f.do(domain.SetMachineEnabled{Name: "web-01"})
	after := receive(d, memoryUpdate)
	require.Equal(t, before.Revision+1, after.Revision)

	h.Environment, h.Roles = "staging", []string{"db"}
	h.Memory = &client.Memory{Machine: "web-01", Log: after.Log, Revision: after.Revision, Event: after.Event}
	require.Len(t, receive(f.dial(h), welcome).Warnings, 2, "its flags differ, its memory does not")
	h.Memory.Revision += 5
	require.Len(t, receive(f.dial(h), welcome).Warnings, 3, "its memory has an event that this log does not have")
}

func TestRefusalOfAnAgentOfAnotherClusterDoesNotNameTheLogOfThisOne(t *testing.T) {
	f := newFixture(t)
	f.shop()
	h := hello("web-01", "0123456789ab.of-elsewhere")
	h.Memory = &client.Memory{Machine: "web-01", Log: uuid.NewString(), Revision: 3, Event: uuid.NewString()}
	reason := receive(f.dial(h), refusal).Reason
	require.Contains(t, reason, "but this server uses another one")
	require.NotContains(t, reason, f.engine.LogID().String(), "the agent has proved nothing")
	require.NoError(t, f.engine.LostEvents(), "an unknown agent cannot stop the server")
}

func TestAgentFromAnotherClusterDoesNotStopTheServer(t *testing.T) {
	f := newFixture(t)
	f.shop()
	h := hello("web-01", f.join(1))
	h.Memory = &client.Memory{
		Machine:  "web-01",
		Log:      uuid.NewString(),
		Made:     uuid.NewString(),
		Revision: 3,
		Event:    uuid.NewString(),
	}
	require.NotEmpty(t, receive(f.dial(h), welcome).Made)
	require.NoError(t, f.engine.LostEvents())
}

func TestMemoryUnderAnotherMachineNameIsIgnored(t *testing.T) {
	f := newFixture(t)
	f.shop()
	h := hello("web-01", f.join(0))
	first := f.dial(h)
	log := receive(first, welcome).Log
	f.do(domain.SetMachineEnabled{Name: "web-01"})
	known := receive(first, memoryUpdate)
	first.send(client.FromAgent{Goodbye: &client.Goodbye{}})
	first.waitUntilClosed()
	f.do(domain.DeleteMachine{Name: "web-01"}) // else its data folder cannot be used for another machine

	h.Machine = "web-02"
	h.Memory = &client.Memory{Machine: "web-01", Log: log, Revision: known.Revision, Event: known.Event}
	receive(f.dial(h), welcome)
	require.NoError(t, f.engine.LostEvents())
}

func TestSilentAgentGoesOfflineAndCanReconnect(t *testing.T) {
	f := newFixture(t)
	f.shop()
	h := hello("web-01", f.join(1))
	d := f.dial(h)
	receive(d, welcome)
	f.clock.advance(20 * time.Second)
	d.send(client.FromAgent{Heartbeat: &client.Heartbeat{}})
	f.eventually("the heartbeat was received", func() bool {
		var connect domain.ID
		f.engine.Read(func(v *projections.View) { connect = v.Machines["web-01"].Connect })
		return f.engine.HoldsSession(connect, time.Second)
	})
	f.clock.advance(20 * time.Second)
	f.tick()
	require.Equal(t, "online", f.machine("web-01").Presence, "40 s after it connected, 20 s after its heartbeat")
	f.clock.advance(20 * time.Second)
	f.tick()
	require.Equal(t, "offline", f.machine("web-01").Presence)
	d.waitUntilClosed()
	receive(f.dial(h), welcome)
	require.Equal(t, "online", f.machine("web-01").Presence)
}

func TestAgentOfADeletedMachineIsRefused(t *testing.T) {
	f := newFixture(t)
	f.shop()
	d := f.dial(hello("web-01", f.join(1)))
	receive(d, welcome)
	f.do(domain.DeleteMachine{Name: "web-01"})
	require.Contains(t, receive(d, refusal).Reason, "deleted")
	d.waitUntilClosed()
}

func TestSessionMovesBetweenServersAndANewSessionIsRedirected(t *testing.T) {
	f := newFixture(t)
	f.shop()
	other := newFixtureOn(t, f.log, f.clock)
	h := hello("web-01", f.join(1))
	_, err := other.as(f.token(domain.TokenSettings{Scope: domain.ReadScope})).
		Get(context.Background(), "/machines", nil, nil)
	require.NoError(t, err, "a token that one server created is immediately valid on the other")
	first := f.dial(h)
	receive(first, welcome)
	newer := h
	newer.Session = uuid.NewString()
	refused := receive(other.dial(newer), refusal)
	require.Equal(t, "http://here", refused.Server)
	require.False(t, refused.Final)
	receive(other.dial(h), welcome)
	require.NoError(t, f.engine.CatchUp(context.Background()))
	first.waitUntilClosed()
	require.Equal(t, 1, f.events("AgentConnected"))
	require.Equal(t, 1, f.events("MachineCameOnline"))
}
