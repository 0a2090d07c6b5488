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
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/sqlite"
	"github.com/droverhq/drover/explain"
	"github.com/droverhq/drover/policies"
	"github.com/droverhq/drover/projections"
)

// double is an agent that a test speaks for, message by message.
type double struct {
	t     *testing.T
	hello client.Hello
	conn  *websocket.Conn
	inbox chan client.ToAgent // closed with the connection
}

func hello(machine, join string) client.Hello {
	return client.Hello{Machine: machine, Instance: uuid.NewString(), Secret: strings.Repeat("5e", 32), Session: uuid.NewString(),
		Join: join, Environment: "production", Version: "test"}
}

// dial opens a session and says hello.
func (y *yard) dial(h client.Hello) *double {
	y.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, y.door.URL+client.AgentPath, nil)
	require.NoError(y.t, err)
	conn.SetReadLimit(client.MaxMessageBytes)
	d := &double{t: y.t, hello: h, conn: conn, inbox: make(chan client.ToAgent, 1000)}
	y.t.Cleanup(func() { conn.CloseNow() })
	go d.listen()
	d.say(client.FromAgent{Hello: &h})
	return d
}

func (d *double) listen() {
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

func (d *double) say(m client.FromAgent) {
	d.t.Helper()
	text, err := json.Marshal(m)
	require.NoError(d.t, err)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(d.t, d.conn.Write(ctx, websocket.MessageText, text))
}

// hears waits for the next message that is meant; others are passed over.
func hears[T any](d *double, pick func(client.ToAgent) *T) T {
	d.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case m, open := <-d.inbox:
			require.True(d.t, open, "the connection ended")
			if found := pick(m); found != nil {
				return *found
			}
		case <-timeout:
			require.Fail(d.t, "the message did not come")
		}
	}
}

func welcome(m client.ToAgent) *client.Welcome   { return m.Welcome }
func refusal(m client.ToAgent) *client.Refused   { return m.Refused }
func offer(m client.ToAgent) *client.Work        { return m.Offer }
func claimed(m client.ToAgent) *client.Claimed   { return m.Claimed }
func ended(m client.ToAgent) *client.Ended       { return m.Ended }
func told(m client.ToAgent) *client.Told         { return m.Told }
func settings(m client.ToAgent) *client.Settings { return m.Settings }

// closes waits for the end of the connection.
func (d *double) closes() {
	d.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case _, open := <-d.inbox:
			if !open {
				return
			}
		case <-timeout:
			require.Fail(d.t, "the connection did not end")
		}
	}
}

func (y *yard) join(uses int) string { return y.token(domain.TokenSettings{Join: true, Uses: uses}) }

func (y *yard) events(name string) (count int) {
	for rec, err := range y.log.ReadAll(context.Background(), 0, 0) {
		require.NoError(y.t, err)
		if domain.NameOfType(rec.Type) == name {
			count++
		}
	}
	return count
}

func TestAnAgentJoinsGetsWorkAndReportsItsEnd(t *testing.T) {
	y := newYard(t)
	y.shop()
	d := y.dial(hello("web-01", y.join(1)))
	w := hears(d, welcome)
	require.Equal(t, y.engine.LogID().String(), w.Log)
	require.Equal(t, domain.Duration(10*time.Second), w.Settings.HeartbeatEvery)
	require.Empty(t, w.Unfinished)
	require.Equal(t, "online", y.machine("web-01").Presence)

	y.tick()
	work := hears(d, offer)
	require.Equal(t, "1.0", work.Release)
	require.Equal(t, "trigger", work.Cause)
	require.Equal(t, []domain.Step{{Name: "install", Run: "true"}}, work.Steps)
	d.say(client.FromAgent{Claim: &client.Claim{Deployment: work.Deployment}})
	require.True(t, hears(d, claimed).Counts)
	d.say(client.FromAgent{Output: &client.Output{Deployment: work.Deployment, Sequence: 1, Data: []byte("installed\n")}})
	d.say(client.FromAgent{End: &client.End{Deployment: work.Deployment, State: "succeeded"}})
	first := hears(d, ended)
	require.NotEmpty(t, first.Event)
	y.eventually("the deployment ends", func() bool {
		var one explain.Deployment
		y.get("/deployments/"+work.Deployment, &one)
		return one.State == "succeeded"
	})
	require.Equal(t, "1.0", y.machine("web-01").Installed[0].Release)

	d.say(client.FromAgent{End: &client.End{Deployment: work.Deployment, State: "failed"}})
	require.Equal(t, first, hears(d, ended), "an end that is said twice is recorded once")
	require.Equal(t, 1, y.events("PartEnded"))
}

func TestMachinesThatJoinAtOnceWithOneTokenAreAllLetInAtTheirFirstTry(t *testing.T) {
	log, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "drover.db"), sqlite.Config{})
	require.NoError(t, err)
	t.Cleanup(func() { log.Close() })
	y := newYardOn(t, log, &handClock{})
	y.shop()
	token := y.join(0)
	var all []*double
	for n := range 64 {
		all = append(all, y.dial(hello(fmt.Sprintf("web-%02d", n), token)))
	}
	for _, d := range all {
		hears(d, func(m client.ToAgent) *client.Welcome {
			require.Nil(t, m.Refused)
			return m.Welcome
		})
	}
	require.Equal(t, 64, y.events("TokenUsed"))
}

func TestAClaimThatDoesNotCountIsAnsweredWithItsReason(t *testing.T) {
	y := newYard(t)
	y.shop()
	d := y.dial(hello("web-01", y.join(1)))
	hears(d, welcome)
	y.tick()
	work := hears(d, offer)
	y.do(domain.SetMachineEnabled{Name: "web-01"})
	d.say(client.FromAgent{Claim: &client.Claim{Deployment: work.Deployment}})
	answer := hears(d, claimed)
	require.False(t, answer.Counts)
	require.NotEmpty(t, answer.Reason)
	require.Zero(t, y.events("PartClaimed"))
	for _, nonsense := range []string{uuid.NewString(), "monday"} {
		d.say(client.FromAgent{Claim: &client.Claim{Deployment: nonsense}})
		require.False(t, hears(d, claimed).Counts)
		d.say(client.FromAgent{End: &client.End{Deployment: nonsense, State: "succeeded"}})
		require.Empty(t, hears(d, ended).Event, "the agent may forget what the log can never take")
	}
}

func TestAResultIsNotForgottenWhileItsStreamIsSetAside(t *testing.T) {
	y := newYard(t)
	y.shop()
	d := y.dial(hello("web-01", y.join(1)))
	hears(d, welcome)
	y.tick()
	work := hears(d, offer)
	d.say(client.FromAgent{Claim: &client.Claim{Deployment: work.Deployment}})
	require.True(t, hears(d, claimed).Counts)
	id, err := domain.ParseID(work.Deployment)
	require.NoError(t, err)
	stream := domain.PartStream(id, "web-01")
	_, err = y.log.Append(context.Background(), stream, 0, eventlog.Event{ID: uuid.New(), Type: "part.ended/v1", Time: y.clock.Now(), Data: []byte(`{"state":7}`)})
	require.NoError(t, err)

	d.say(client.FromAgent{End: &client.End{Deployment: work.Deployment, State: "succeeded"}})
	d.say(client.FromAgent{Claim: &client.Claim{Deployment: work.Deployment}})
	require.NotNil(t, hears(d, func(m client.ToAgent) *client.ToAgent {
		require.Nil(t, m.Ended, "the agent would forget its result")
		if m.Claimed != nil {
			return &m
		}
		return nil
	}))
	y.post("/log/clear", object{"stream": stream})
	d.say(client.FromAgent{End: &client.End{Deployment: work.Deployment, State: "succeeded"}})
	require.NotEmpty(t, hears(d, ended).Event)
	require.Equal(t, "1.0", y.machine("web-01").Installed[0].Release)
}

func TestWorkIsOfferedToItsMachineAlone(t *testing.T) {
	y := newYard(t)
	y.shop()
	join := y.join(0)
	one, two := y.dial(hello("web-01", join)), y.dial(hello("web-02", join))
	hears(one, welcome)
	hears(two, welcome)
	y.tick()
	require.Equal(t, "web-01", hears(one, offer).Machine)
	require.Equal(t, "web-02", hears(two, offer).Machine)
}

// spoil writes an event that cannot be folded, so that its stream is set aside.
func (y *yard) spoil(stream, typeName string) {
	y.t.Helper()
	var at eventlog.Revision
	y.engine.Read(func(v *projections.View) { at = v.Revision(stream) })
	_, err := y.log.Append(context.Background(), stream, at, eventlog.Event{ID: uuid.New(), Type: typeName, Time: y.clock.Now(),
		Data: json.RawMessage(`{"session":7}`)})
	require.NoError(y.t, err)
	require.NoError(y.t, y.engine.CatchUp(context.Background()))
}

// isHeard returns when the server has taken all that was said before.
func (d *double) isHeard() {
	d.t.Helper()
	d.say(client.FromAgent{Claim: &client.Claim{Deployment: "mark"}})
	answer := hears(d, func(m client.ToAgent) *string {
		switch {
		case m.Ended != nil:
			return &m.Ended.Deployment
		case m.Claimed != nil:
			return &m.Claimed.Deployment
		}
		return nil
	})
	require.Equal(d.t, "mark", answer, "what was said before has no answer")
}

func TestAnEndThatTheLogCannotTakeNowIsNotAnsweredSoTheAgentSaysItAgain(t *testing.T) {
	y := newYard(t)
	y.shop()
	d := y.dial(hello("web-01", y.join(1)))
	hears(d, welcome)
	y.tick()
	work := hears(d, offer)
	d.say(client.FromAgent{Claim: &client.Claim{Deployment: work.Deployment}})
	require.True(t, hears(d, claimed).Counts)
	stream := "part/" + work.Deployment + "/web-01"
	y.spoil(stream, "part.claimed/v1")
	end := client.FromAgent{End: &client.End{Deployment: work.Deployment, State: "succeeded"}}
	d.say(end)
	d.isHeard()
	y.do(domain.ClearStream{Name: stream})
	d.say(end)
	require.NotEmpty(t, hears(d, ended).Event)
	require.Equal(t, "1.0", y.machine("web-01").Installed[0].Release)
}

func TestAHealthReportThatTheLogHasNotIsTakenWithALaterHeartbeat(t *testing.T) {
	y := newYard(t)
	y.shop()
	checked := domain.PolicySettings{HealthCheck: &domain.HealthCheck{Script: "true"}}
	y.do(domain.ApplyPolicy{Name: "default", Settings: checked})
	d := y.dial(hello("web-01", y.join(1)))
	hears(d, welcome)
	y.spoil("machine/web-01", "machine.health-changed/v1")
	d.say(client.FromAgent{Health: &client.Health{Status: "unhealthy"}})
	d.isHeard()
	require.Equal(t, "unknown", y.machine("web-01").Health)
	y.do(domain.ClearStream{Name: "machine/web-01"})
	d.say(client.FromAgent{Heartbeat: &client.Heartbeat{}})
	y.eventually("the report is taken", func() bool { return y.machine("web-01").Health == "unhealthy" })

	y.do(domain.ApplyPolicy{Name: "default"})
	require.Nil(t, hears(d, settings).HealthCheck)
	d.say(client.FromAgent{Heartbeat: &client.Heartbeat{}})
	d.isHeard()
	y.do(domain.ApplyPolicy{Name: "default", Settings: checked})
	hears(d, settings)
	d.say(client.FromAgent{Heartbeat: &client.Heartbeat{}})
	d.isHeard()
	require.Equal(t, "unknown", y.machine("web-01").Health, "the new check has found nothing yet")
}

func TestAnAgentThatComesBackTakesUpItsClaim(t *testing.T) {
	y := newYard(t)
	y.shop()
	h := hello("web-01", y.join(1))
	d := y.dial(h)
	hears(d, welcome)
	y.tick()
	work := hears(d, offer)
	d.say(client.FromAgent{Claim: &client.Claim{Deployment: work.Deployment}})
	require.True(t, hears(d, claimed).Counts)
	_ = d.conn.CloseNow()

	h.Join = ""
	back := y.dial(h)
	w := hears(back, welcome)
	require.Equal(t, []client.Unfinished{{Deployment: work.Deployment, Project: "shop", Session: h.Session}}, w.Unfinished)
	back.say(client.FromAgent{Answer: &client.PartAnswer{Deployment: work.Deployment, Running: true}})
	back.say(client.FromAgent{Claim: &client.Claim{Deployment: work.Deployment}})
	require.True(t, hears(back, claimed).Counts, "the same claim by the same session")
	require.Equal(t, 1, y.events("PartClaimed"))
	require.Equal(t, 1, y.events("MachineCameOnline"), "coming back in the same session is no event of the machine")
	require.Equal(t, 1, y.events("TokenUsed"))
}

func TestTheNewerOfTwoLiveSessionsOfOneIdentityIsRefused(t *testing.T) {
	y := newYard(t)
	y.shop()
	h := hello("web-01", y.join(1))
	first := y.dial(h)
	hears(first, welcome)
	h.Session = uuid.NewString()
	second := y.dial(h)
	refused := hears(second, refusal)
	require.Contains(t, refused.Reason, "copied")
	require.False(t, refused.Final)
	second.closes()
	first.say(client.FromAgent{Health: &client.Health{Status: "healthy"}})
	y.eventually("the first session goes on", func() bool { return y.machine("web-01").Health == "healthy" })

	_ = first.conn.CloseNow() // it dies; a new session of the same disk is no clone any more
	third := y.dial(h)
	hears(third, welcome)
}

func TestAnAgentThatWasRestartedNeedsNotWaitForASessionWhoseServerIsGone(t *testing.T) {
	y := newYard(t)
	y.shop()
	require.NoError(t, y.engine.RenewLease(t.Context(), y.log))
	h := hello("web-01", y.join(1))
	first := y.dial(h)
	hears(first, welcome)
	other := newYardOn(t, y.log, y.clock)
	require.NoError(t, other.engine.RenewLease(t.Context(), y.log))
	_ = first.conn.CloseNow()
	h.Session = uuid.NewString()
	refused := hears(other.dial(h), refusal)
	require.Contains(t, refused.Reason, "has not ended")

	y.clock.move(policies.LeaseStale + time.Second) // less than offlineAfter
	require.NoError(t, other.engine.RenewLease(t.Context(), y.log))
	other.tick()
	require.Equal(t, "online", other.machine("web-01").Presence)
	hears(other.dial(h), welcome)
	require.Equal(t, 1, other.events("MachineCameOnline"))
}

func TestAnotherInstanceGetsANameOnlyWhenTheFirstIsOffline(t *testing.T) {
	y := newYard(t)
	y.shop()
	join := y.join(0)
	first := y.dial(hello("web-01", join))
	hears(first, welcome)
	refused := hears(y.dial(hello("web-01", join)), refusal)
	require.Contains(t, refused.Reason, "another instance")
	require.False(t, refused.Final)
	require.Equal(t, 1, y.events("TokenUsed"), "a refused agent uses nothing up")
	first.say(client.FromAgent{Goodbye: &client.Goodbye{}})
	y.eventually("it is offline", func() bool { return y.machine("web-01").Presence == "offline" })
	hears(y.dial(hello("web-01", join)), welcome)
}

func TestAJoinTokenIsGoodForWhatItSaysAndNoMore(t *testing.T) {
	y := newYard(t)
	y.shop()
	y.do(domain.ApplyEnvironment{Name: "staging"})
	one := y.token(domain.TokenSettings{Join: true, Uses: 1, Environments: []string{"staging"}})
	require.Contains(t, hears(y.dial(hello("web-01", one)), refusal).Reason, "environment")
	y.do(domain.ApplyMachine{Name: "web-09", Environment: "production"})
	sly := hello("web-09", one)
	sly.Environment = "staging"
	require.Contains(t, hears(y.dial(sly), refusal).Reason, "environment", "the machine in the log counts, not what the agent says")
	staging := hello("web-02", one)
	staging.Environment = "staging"
	hears(y.dial(staging), welcome)
	more := hello("web-03", one)
	more.Environment = "staging"
	require.Contains(t, hears(y.dial(more), refusal).Reason, "reached its use limit")
	require.Contains(t, hears(y.dial(hello("web-04", "")), refusal).Reason, "--join")
	require.Contains(t, hears(y.dial(hello("web-04", "0123456789ab.guess")), refusal).Reason, "not known")
	nowhere := hello("web-05", y.join(1))
	nowhere.Environment = "moon"
	require.Contains(t, hears(y.dial(nowhere), refusal).Reason, "moon")
}

func TestARevokedTokenEndsTheAgentsThatJoinedWithIt(t *testing.T) {
	y := newYard(t)
	y.shop()
	text := y.join(0)
	h := hello("web-01", text)
	d := y.dial(h)
	hears(d, welcome)
	y.do(domain.RevokeToken{ID: strings.Split(text, ".")[0]})
	_ = d.conn.CloseNow()
	require.True(t, hears(y.dial(h), refusal).Final)
	require.True(t, hears(y.dial(hello("web-02", text)), refusal).Final)
	h.Join = y.join(1)
	again := y.dial(h) // another token lets it in again
	hears(again, welcome)
	_ = again.conn.CloseNow()
	text, h.Join = h.Join, ""
	again = y.dial(h)
	hears(again, welcome) // from then on its own secret does
	y.do(domain.RevokeToken{ID: strings.Split(text, ".")[0]})
	require.True(t, hears(again, refusal).Final, "a live session ends too")
	again.closes()
}

func TestAnotherInstanceThatHasJoinedBeforeDoesNotDisturbTheLiveOne(t *testing.T) {
	y := newYard(t)
	y.shop()
	join := y.join(0)
	old := hello("web-01", join)
	first := y.dial(old)
	hears(first, welcome)
	first.say(client.FromAgent{Goodbye: &client.Goodbye{}})
	y.eventually("it is offline", func() bool { return y.machine("web-01").Presence == "offline" })
	live := y.dial(hello("web-01", join))
	hears(live, welcome)

	old.Join = ""
	require.Contains(t, hears(y.dial(old), refusal).Reason, "another instance")
	plain := &plainAgent{t: t, Client: y.as("agent:" + old.Instance + ":" + old.Secret), name: "web-01"}
	_, err := plain.report("online")
	require.ErrorContains(t, err, "another instance")
	live.say(client.FromAgent{Health: &client.Health{Status: "healthy"}})
	y.eventually("the live one goes on", func() bool { return y.machine("web-01").Health == "healthy" })
}

func TestAnAgentThatSaidGoodbyeDoesNotSeemToComeBack(t *testing.T) {
	y := newYard(t)
	y.shop()
	h := hello("web-01", y.join(0))
	for range 50 {
		h.Session = uuid.NewString()
		d := y.dial(h)
		hears(d, welcome)
		d.say(client.FromAgent{Goodbye: &client.Goodbye{}})
		y.eventually("it is offline", func() bool { return y.machine("web-01").Presence == "offline" })
	}
}

func TestAnAgentWithAForeignSecretIsRefused(t *testing.T) {
	y := newYard(t)
	y.shop()
	h := hello("web-01", y.join(1))
	hears(y.dial(h), welcome)
	thief := h
	thief.Join, thief.Secret = "", strings.Repeat("00", 32)
	require.NotEmpty(t, hears(y.dial(thief), refusal).Reason)
	for _, bad := range []func(*client.Hello){func(h *client.Hello) { h.Machine = "a/b" }, func(h *client.Hello) { h.Instance = "x" },
		func(h *client.Hello) { h.Session = "" }, func(h *client.Hello) { h.Secret = "short" }} {
		h := hello("web-02", y.join(1))
		bad(&h)
		require.True(t, hears(y.dial(h), refusal).Final)
	}
}

func TestAnAgentIsToldWhatItNeedsToRememberAndItsPolicy(t *testing.T) {
	y := newYard(t)
	y.shop()
	h := hello("web-01", y.join(1))
	h.Roles = []string{"web"}
	d := y.dial(h)
	hears(d, welcome)
	before := hears(d, told)
	y.do(domain.ApplyPolicy{Name: "default", Settings: domain.PolicySettings{OfflineAfter: domain.Duration(6 * time.Second),
		HealthCheck: &domain.HealthCheck{Script: "true"}}})
	changed := hears(d, settings)
	require.Equal(t, domain.Duration(2*time.Second), changed.HeartbeatEvery)
	require.Equal(t, "true", changed.HealthCheck.Script)
	y.do(domain.SetMachineEnabled{Name: "web-01"})
	after := hears(d, told)
	require.Equal(t, before.Revision+1, after.Revision)

	h.Environment, h.Roles = "staging", []string{"db"}
	h.Memory = &client.Memory{Machine: "web-01", Log: after.Log, Revision: after.Revision, Event: after.Event}
	require.Len(t, hears(y.dial(h), welcome).Warnings, 2, "its flags differ, its memory does not")
	h.Memory.Revision += 5
	require.Len(t, hears(y.dial(h), welcome).Warnings, 3, "it remembers what this log does not have")
}

func TestAnAgentOfAnotherClusterIsToldSo(t *testing.T) {
	y := newYard(t)
	y.shop()
	h := hello("web-01", "0123456789ab.of-elsewhere")
	h.Memory = &client.Memory{Machine: "web-01", Log: uuid.NewString(), Revision: 3, Event: uuid.NewString()}
	require.Contains(t, hears(y.dial(h), refusal).Reason, "servers of two clusters?")
	require.NoError(t, y.engine.LostEvents(), "a stranger stops nobody")
}

func TestAnAgentThatCameOverFromAnotherClusterStopsNobody(t *testing.T) {
	y := newYard(t)
	y.shop()
	h := hello("web-01", y.join(1))
	h.Memory = &client.Memory{Machine: "web-01", Log: uuid.NewString(), Made: uuid.NewString(), Revision: 3, Event: uuid.NewString()}
	require.NotEmpty(t, hears(y.dial(h), welcome).Made)
	require.NoError(t, y.engine.LostEvents())
}

func TestAnAgentThatGoesByAnotherNameSinceIsNoWitnessAgainstTheLog(t *testing.T) {
	y := newYard(t)
	y.shop()
	h := hello("web-01", y.join(0))
	first := y.dial(h)
	log := hears(first, welcome).Log
	y.do(domain.SetMachineEnabled{Name: "web-01"})
	known := hears(first, told)
	first.say(client.FromAgent{Goodbye: &client.Goodbye{}})
	first.closes()

	h.Machine = "web-02"
	h.Memory = &client.Memory{Machine: "web-01", Log: log, Revision: known.Revision, Event: known.Event}
	hears(y.dial(h), welcome)
	require.NoError(t, y.engine.LostEvents())
}

func TestAnAgentThatKnowsMoreThanTheLogStopsTheServerUntilThatIsAccepted(t *testing.T) {
	y := newYard(t)
	y.shop()
	h := hello("web-01", y.join(1))
	first := y.dial(h)
	log := hears(first, welcome).Log
	h.Memory = &client.Memory{Machine: "web-01", Log: log, Revision: 99, Event: uuid.NewString(), Successes: map[string]string{"shop": uuid.NewString()}}
	knowing := y.dial(h)
	require.Contains(t, hears(knowing, welcome).Warnings[0], "has lost events")

	deploy := map[string]any{"project": "shop", "release": "1.0", "environment": "production"}
	require.Contains(t, y.refused("/deployments", deploy).Detail, "has lost events")
	ready, err := http.NewRequest(http.MethodGet, y.door.URL+"/readyz", nil)
	require.NoError(t, err)
	require.Equal(t, 200, y.raw(ready).StatusCode, "agents and people still need a server to talk to")

	require.Contains(t, y.why("/why?machine=web-01&project=shop").Sentence, "decides nothing now: this log has lost events")
	y.post("/log/accept-restore", nil)
	knowing.closes() // all agents say again what they remember
	again := hears(y.dial(h), welcome)
	require.NotEqual(t, log, again.Log)
	require.Equal(t, []explain.Wanted{{Project: "shop", Held: true}}, y.machine("web-01").Wanted)
}

func TestASilentAgentGoesOfflineAndOneThatWasOnlySlowComesBack(t *testing.T) {
	y := newYard(t)
	y.shop()
	h := hello("web-01", y.join(1))
	d := y.dial(h)
	hears(d, welcome)
	y.clock.move(20 * time.Second)
	d.say(client.FromAgent{Heartbeat: &client.Heartbeat{}})
	y.eventually("the heartbeat was heard", func() bool {
		var connect domain.ID
		y.engine.Read(func(v *projections.View) { connect = v.Machines["web-01"].Connect })
		return y.engine.HoldsSession(connect, time.Second)
	})
	y.clock.move(20 * time.Second)
	y.tick()
	require.Equal(t, "online", y.machine("web-01").Presence, "40 s after it came, 20 s after its heartbeat")
	y.clock.move(20 * time.Second)
	y.tick()
	require.Equal(t, "offline", y.machine("web-01").Presence)
	d.closes()
	hears(y.dial(h), welcome)
	require.Equal(t, "online", y.machine("web-01").Presence)
}

func TestAnEphemeralAgentDeletesItsMachineWhenItLeaves(t *testing.T) {
	y := newYard(t)
	y.shop()
	d := y.dial(hello("web-01", y.join(1)))
	hears(d, welcome)
	d.say(client.FromAgent{Goodbye: &client.Goodbye{Delete: true}})
	y.eventually("the machine is gone", func() bool { return y.machine("web-01").Name == "" })
	d.closes()
}

func TestADeletedMachinesAgentIsSentAway(t *testing.T) {
	y := newYard(t)
	y.shop()
	d := y.dial(hello("web-01", y.join(1)))
	hears(d, welcome)
	y.do(domain.DeleteMachine{Name: "web-01"})
	require.Contains(t, hears(d, refusal).Reason, "deleted")
	d.closes()
}

func TestASessionMovesBetweenServersAndANewOneIsSentToTheServerOfTheOld(t *testing.T) {
	y := newYard(t)
	y.shop()
	other := newYardOn(t, y.log, y.clock)
	h := hello("web-01", y.join(1))
	_, err := other.as(y.token(domain.TokenSettings{Scope: domain.ReadScope})).Get(context.Background(), "/machines", nil, nil)
	require.NoError(t, err, "a token that one server made is good at the other at once")
	first := y.dial(h)
	hears(first, welcome)
	newer := h
	newer.Session = uuid.NewString()
	refused := hears(other.dial(newer), refusal)
	require.Equal(t, "http://here", refused.Server)
	require.False(t, refused.Final)
	hears(other.dial(h), welcome)
	require.NoError(t, y.engine.CatchUp(context.Background()))
	first.closes()
	require.Equal(t, 1, y.events("AgentConnected"))
	require.Equal(t, 1, y.events("MachineCameOnline"))
}
