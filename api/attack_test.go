package api_test

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/memory"
	"github.com/droverhq/drover/projections"
)

func TestInstanceIDAndJoinTokenDoNotAuthenticateAnAgent(t *testing.T) {
	f := newFixture(t)
	f.shop()
	victim := hello("web-01", f.join(1))
	d := f.dial(victim)
	receive(d, welcome)
	thief := victim // `get machines` shows the instance, but not the secret
	thief.Join, thief.Secret, thief.Session = f.join(0), strings.Repeat("00", 32), uuid.NewString()
	require.Contains(t, receive(f.dial(thief), refusal).Reason, "another secret")
	body := object{"name": "web-01", "environment": "production", "instance": victim.Instance, "secret": thief.Secret}
	_, err := f.asAgent(thief.Join).Write(context.Background(), "/machines", "", body)
	require.ErrorContains(t, err, "another secret")
	_, err = f.asAgent("agent:"+victim.Instance+":"+thief.Secret).Get(context.Background(), "/machines/web-01/work", nil, nil)
	require.Equal(t, client.Unauthorised, client.KindOf(err))
	require.Equal(t, 1, f.events("TokenUsed"))

	// An admin reports for this machine, so it has no secret.
	f.do(domain.ApplyMachine{Name: "box-09", Environment: "production"})
	instance := uuid.NewString()
	_, err = f.admin.Write(context.Background(), "/machines/box-09/reports", "",
		object{"status": "online", "instance": instance})
	require.NoError(t, err)
	thief.Machine, thief.Instance = "box-09", instance
	require.Contains(t, receive(f.dial(thief), refusal).Reason, "another secret")
}

func TestAgentCannotReadOrChangeAnotherMachine(t *testing.T) {
	f := newFixture(t)
	f.shop()
	join := f.join(0)
	victim, thief := f.dial(hello("web-01", join)), f.dial(f.joinedEarlier("web-02"))
	receive(victim, welcome)
	receive(thief, welcome)
	f.tick()
	work := receive(victim, offer)
	receive(thief, offer)
	f.do(domain.SetMachineEnabled{Name: "web-02"}) // so that it cannot start its own part
	victim.send(client.FromAgent{Claim: &client.Claim{Deployment: work.Deployment}})
	require.True(t, receive(victim, claimed).Counts)

	thief.send(client.FromAgent{Output: &client.Output{Deployment: work.Deployment, Sequence: 1, Data: []byte("forged")}})
	thief.send(client.FromAgent{End: &client.End{Deployment: work.Deployment, State: "failed"}})
	thief.send(client.FromAgent{Claim: &client.Claim{Deployment: work.Deployment}})
	require.False(t, receive(thief, claimed).Counts)
	require.Zero(t, f.events("PartEnded"))
	for chunk, err := range f.log.Items(context.Background(), eventlog.Output, work.Deployment+"/web-01", 0, 0) {
		require.NoError(t, err)
		require.Fail(t, "output was forged", "%s", chunk.Data)
	}

	httpClient := f.asAgent("agent:" + thief.hello.Instance + ":" + thief.hello.Secret)
	for _, path := range []string{"/machines", "/machines/web-01", "/machines/web-02", "/events", "/deployments",
		"/deployments/" + work.Deployment + "/output",
		"/machines/web-01/work", "/projects/shop", "/tokens", "/candidates", "/servers", "/log/export"} {
		_, err := httpClient.Get(context.Background(), path, nil, nil)
		require.Equal(t, client.Forbidden, client.KindOf(err), path)
	}
	_, err := httpClient.Get(context.Background(), "/why", url.Values{"machine": {"web-01"}}, nil)
	require.Equal(t, client.Forbidden, client.KindOf(err))
	for path, body := range map[string]object{
		"/machines/web-01/reports": {"status": "offline"},
		"/machines/web-01/disable": nil,
		"/machines":                {"name": "web-01", "environment": "production"},
		"/deployments/" + work.Deployment + "/machines/web-01/claim": {"session": victim.hello.Session},
		"/deployments/" + work.Deployment + "/machines/web-01/output": {"session": victim.hello.Session, "sequence": 1,
			"data": []byte("x")},
		"/deployments/" + work.Deployment + "/machines/web-01/end":     {"session": victim.hello.Session, "state": "failed"},
		"/deployments/" + work.Deployment + "/machines/web%2D01/claim": {"session": victim.hello.Session},
	} {
		_, err := httpClient.Write(context.Background(), path, "", body)
		require.Contains(t, []string{client.Forbidden, client.NotFound}, client.KindOf(err), "%s: %v", path, err)
	}
	require.Equal(t, "online", f.machine("web-01").Presence)
	require.Zero(t, f.events("PartEnded"))
}

func TestOnlyOneOfTwentyConcurrentAgentsUsesASingleUseToken(t *testing.T) {
	f := newFixture(t)
	f.shop()
	other := newFixtureOn(t, f.log, f.clock)
	join := f.join(1)
	var admitted atomic.Int32
	var all sync.WaitGroup
	for i := range 20 {
		server := []*fixture{f, other}[i%2]
		all.Go(func() {
			if i%4 < 2 {
				body := object{
					"name":        fmt.Sprintf("box-%02d", i),
					"environment": "production",
					"instance":    uuid.NewString(),
					"secret":      strings.Repeat("a1", 32),
				}
				if _, err := server.as(join).Write(context.Background(), "/machines", "", body); err == nil {
					admitted.Add(1)
				}
				return
			}
			d := server.dial(hello(fmt.Sprintf("box-%02d", i), join))
			answer := receive(d, func(m client.ToAgent) *client.ToAgent {
				if m.Welcome != nil || m.Refused != nil {
					return &m
				}
				return nil
			})
			if answer.Welcome != nil {
				admitted.Add(1)
			}
		})
	}
	all.Wait()
	require.Equal(t, int32(1), admitted.Load())
	require.Equal(t, 1, f.events("TokenUsed"))
	require.Equal(t, 1, f.events("MachineAdded"))
}

func TestExpiredOrMismatchedJoinTokenIsRefused(t *testing.T) {
	f := newFixture(t)
	f.shop()
	until := f.clock.Now().Add(time.Hour)
	short := f.token(domain.TokenSettings{Join: true, Until: &until})
	web := f.token(domain.TokenSettings{Join: true, Roles: []string{"web"}})
	mismatched := hello("db-01", web)
	mismatched.Roles = []string{"web", "db"}
	require.Contains(t, receive(f.dial(mismatched), refusal).Reason, "role")
	f.do(domain.ApplyMachine{Name: "db-02", Environment: "production", Roles: []string{"db"}})
	mismatched.Machine, mismatched.Roles = "db-02", []string{"web"}
	require.Contains(t, receive(f.dial(mismatched), refusal).Reason, "role", "the roles in the log apply")
	in := f.dial(hello("web-01", short))
	receive(in, welcome)
	f.clock.advance(time.Hour)
	require.Contains(t, receive(f.dial(hello("web-02", short)), refusal).Reason, "expired")
	_ = in.conn.CloseNow()
	receive(f.dial(in.hello), welcome) // a joined agent uses its own secret
}

// follow opens a live stream. It returns a channel that is closed at the first message, and one with the final error.
func (f *fixture) follow(token, path string) (begun chan struct{}, ended chan error) {
	begun, ended = make(chan struct{}), make(chan error, 1)
	var once sync.Once
	go func() {
		ended <- f.as(token).Follow(context.Background(), path, url.Values{"after": {"0"}}, "", func(client.Message) error {
			once.Do(func() { close(begun) })
			return nil
		})
	}()
	return begun, ended
}

func TestRevokedTokenEndsItsLiveStreamsOnEachServer(t *testing.T) {
	f := newFixture(t)
	f.shop()
	other := newFixtureOn(t, f.log, f.clock)
	text := f.token(domain.TokenSettings{Scope: domain.ReadScope})
	here, hereEnded := f.follow(text, "/events/stream")
	there, thereEnded := other.follow(text, "/events/stream")
	<-here
	<-there
	_, err := f.admin.Delete(context.Background(), "/tokens/"+strings.Split(text, ".")[0], "")
	require.NoError(t, err)
	require.NoError(t, other.engine.CatchUp(context.Background()))
	for _, ended := range []chan error{hereEnded, thereEnded} {
		select {
		case err := <-ended:
			require.Equal(t, client.Unauthorised, client.KindOf(err))
		case <-time.After(timeout):
			require.Fail(t, "the stream is still open")
		}
	}
}

func TestExpiredTokenEndsItsLiveStreams(t *testing.T) {
	f := newFixture(t)
	f.shop()
	until := f.clock.Now().Add(time.Hour)
	text := f.token(domain.TokenSettings{Scope: domain.ReadScope, Until: &until})
	begun, ended := f.follow(text, "/events/stream")
	<-begun
	f.clock.advance(time.Hour)
	select {
	case err := <-ended:
		require.Equal(t, client.Unauthorised, client.KindOf(err))
	case <-time.After(timeout):
		require.Fail(t, "the stream is still open")
	}
}

func TestRevokedTokenEndsItsOutputStreams(t *testing.T) {
	f := newFixture(t)
	d, work := f.startPart()
	d.send(client.FromAgent{Output: &client.Output{Deployment: work.Deployment, Sequence: 1,
		Data: []byte("installing\n")}})
	text := f.token(domain.TokenSettings{Scope: domain.ReadScope})
	begun, ended := f.follow(text, "/deployments/"+work.Deployment+"/output/stream")
	<-begun
	f.do(domain.RevokeToken{ID: strings.Split(text, ".")[0]})
	select {
	case err := <-ended:
		require.Equal(t, client.Unauthorised, client.KindOf(err))
	case <-time.After(timeout):
		require.Fail(t, "the stream is still open")
	}
}

func TestRevokedJoinTokenEndsOnlyItsAgentsOnEachServer(t *testing.T) {
	f := newFixture(t)
	f.shop()
	other := newFixtureOn(t, f.log, f.clock)
	revoked, valid := f.join(0), f.join(0)
	there, stays := other.dial(hello("web-01", revoked)), other.dial(hello("web-02", valid))
	receive(there, welcome)
	receive(stays, welcome)
	both := hello("web-03", revoked) // older servers let an instance join under two names
	first := other.dial(both)
	receive(first, welcome)
	second := both
	second.Machine, second.Join = "web-04", valid
	other.joinUnderAnotherName(second)
	renamed := other.dial(second)
	receive(renamed, welcome)

	f.do(domain.RevokeToken{ID: strings.Split(revoked, ".")[0]})
	require.NoError(t, other.engine.CatchUp(context.Background()))
	require.True(t, receive(there, refusal).Final)
	require.True(t, receive(first, refusal).Final, "the token of web-04 does not admit it as web-03")
	_, err := other.asAgent("agent:"+there.hello.Instance+":"+there.hello.Secret).
		Get(context.Background(), "/machines/web-01/work", nil, nil)
	require.Equal(t, client.Unauthorised, client.KindOf(err), "over plain HTTP too")
	for _, d := range []*fakeAgent{stays, renamed} {
		d.send(client.FromAgent{Health: &client.Health{Status: "warning"}})
		f.eventually("the other agents continue", func() bool { return other.machine(d.hello.Machine).Health == "warning" })
	}
}

// joinUnderAnotherName appends what older servers wrote for an instance that had joined as another machine.
func (f *fixture) joinUnderAnotherName(h client.Hello) {
	f.t.Helper()
	id, err := domain.ParseID(h.Instance)
	require.NoError(f.t, err)
	token, _, _ := strings.Cut(h.Join, ".")
	stream := domain.TokenStream(token)
	revision := eventlog.NoStream
	for rec := range f.log.ReadStream(context.Background(), stream, 0, 0) {
		revision = rec.Revision
	}
	use := domain.TokenUsed{Instance: id, Machine: h.Machine}
	f.engine.Read(func(v *projections.View) { use.Verifier = v.TokensOf(id)[0].Used[id].Verifier })
	typeName, data, err := domain.Encode(use)
	require.NoError(f.t, err)
	_, err = f.log.Append(context.Background(), stream, revision,
		eventlog.Event{ID: uuid.New(), Type: typeName, Time: f.clock.Now(), Data: data})
	require.NoError(f.t, err)
}

// countingLog counts how often the log is read.
type countingLog struct {
	eventlog.Backend
	reads atomic.Int64
}

func (c *countingLog) ReadAll(ctx context.Context, after eventlog.Position,
	limit int) iter.Seq2[eventlog.Recorded, error] {
	c.reads.Add(1)
	return c.Backend.ReadAll(ctx, after, limit)
}

func TestInvalidTokensAreRateLimitedByAddressAndBlockNoOtherCaller(t *testing.T) {
	log := &countingLog{Backend: memory.New()}
	f := newFixtureOn(t, log, &manualClock{})
	tryInvalid := func(remote string) int {
		return f.sendFrom(remote, "GET", "/api/v1/machines", "0123456789ab.guess", "").Code
	}
	for range 20 {
		require.Equal(t, http.StatusUnauthorized, tryInvalid("192.0.2.1:1"))
	}
	before, events := log.reads.Load(), f.engine.Position()
	require.Equal(t, http.StatusTooManyRequests, tryInvalid("192.0.2.1:2"))
	require.Equal(t, before, log.reads.Load(), "the refusal does not read the log")
	require.Equal(t, events, f.engine.Position(), "a refused token adds no event")
	require.Equal(t, http.StatusUnauthorized, tryInvalid("192.0.2.2:1"), "another address is counted separately")
	require.Equal(t, 200, f.sendFrom("192.0.2.1:3", "GET", "/api/v1/machines", f.admin.Token, "").Code,
		"a valid token is always accepted")
	for i := range 21 { // one customer has many IPv6 addresses
		want := http.StatusUnauthorized
		if i == 20 {
			want = http.StatusTooManyRequests
		}
		require.Equal(t, want, tryInvalid(fmt.Sprintf("[2001:db8::%x]:1", i)))
	}
}

func TestUnknownAgentIsRefusedEarlyAfterTooManyFailures(t *testing.T) {
	f := newFixture(t)
	f.shop()
	known := hello("web-01", f.join(1))
	in := f.dial(known)
	receive(in, welcome)
	for range 20 {
		require.Contains(t, receive(f.dial(hello("web-02", "0123456789ab.guess")), refusal).Reason, "unknown join token")
	}
	require.Contains(t, receive(f.dial(hello("web-02", "0123456789ab.guess")), refusal).Reason, "too many")
	_ = in.conn.CloseNow()
	receive(f.dial(known), welcome) // known agents behind the same proxy are still admitted
	receive(f.dial(hello("web-03", f.join(1))), welcome)
}

func TestOversizedBodyOrMessageIsRefused(t *testing.T) {
	f := newFixture(t)
	f.shop()
	long := `{"scope": "read", "roles": ["` + strings.Repeat("x", 1<<20) + `"]}`
	answer := f.sendFrom("192.0.2.1:1", "POST", "/api/v1/tokens", f.admin.Token, long)
	require.Equal(t, http.StatusRequestEntityTooLarge, answer.Code)
	require.Contains(t, answer.Body.String(), "1048576")
	d := f.dial(hello("web-01", f.join(1)))
	receive(d, welcome)
	_ = d.conn.Write(context.Background(), websocket.MessageText,
		make([]byte, client.MaxMessageBytes+1)) // the server may close the connection during the write
	d.waitUntilClosed()
	require.Equal(t, websocket.StatusMessageTooBig, closedAfter(f, make([]byte, 64<<10+2)), "lower before admission")
	require.Equal(t, websocket.StatusPolicyViolation, closedAfter(f, make([]byte, 64<<10)), "refused, because it is no hello")
}

// closedAfter sends the first message of a connection and returns the code with which the server closes it.
func closedAfter(f *fixture, message []byte) websocket.StatusCode {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, f.server.URL+client.AgentPath, nil)
	require.NoError(f.t, err)
	defer conn.CloseNow()
	_ = conn.Write(ctx, websocket.MessageText, message) // the server may close the connection during the write
	for {
		if _, _, err := conn.Read(ctx); err != nil {
			return websocket.CloseStatus(err)
		}
	}
}

func TestNumberOfStreamsIsLimited(t *testing.T) {
	f := newFixture(t)
	const most = 512
	ctx, end := context.WithCancel(context.Background())
	defer end()
	first, endFirst := context.WithCancel(ctx)
	var all, taken sync.WaitGroup
	for i := range most {
		with := ctx
		if i == 0 {
			with = first
		}
		r := httptest.NewRequestWithContext(with, http.MethodGet, "/api/v1/events/stream", nil)
		r.Header.Set("Authorization", "Bearer "+f.admin.Token)
		taken.Add(1)
		all.Go(func() { f.api.Handler().ServeHTTP(firstWrite{httptest.NewRecorder(), sync.OnceFunc(taken.Done)}, r) })
	}
	taken.Wait() // so that the request below cannot take the slot of a stream
	ask := func() *httptest.ResponseRecorder {
		return f.sendFrom("192.0.2.1:1", http.MethodGet, "/api/v1/events/stream", f.admin.Token, "")
	}
	require.Equal(t, http.StatusServiceUnavailable, ask().Code)
	require.Contains(t, ask().Body.String(), "already has 512 live streams")
	endFirst()
	f.eventually("one more stream is accepted", func() bool { return ask().Code == http.StatusOK })
	end()
	all.Wait()
}

func TestHalfOpenAgentsHoldNoMemoryAfterTheyLeave(t *testing.T) {
	f := newFixture(t)
	f.shop()
	first := uuid.NewString() // its hello never arrives
	half, _ := f.open(http.Header{"X-Half-Open": {first}})
	f.eventually("the connection is counted", func() bool { n, _ := f.agents.Unproven(); return n == 1 })
	d := f.dial(hello("web-01", f.join(1)))
	receive(d, welcome)
	f.eventually("an admitted agent has proved who it is", func() bool { n, b := f.agents.Unproven(); return n == 1 && b == 0 })
	_ = half.conn.CloseNow()
	f.eventually("a connection that ends is not counted", func() bool { n, _ := f.agents.Unproven(); return n == 0 })
	require.Contains(t, f.sendFrom("127.0.0.1:1", http.MethodGet, "/metrics", "", "").Body.String(), "drover_agents_unproven 0")
}

func TestLongMessageBeforeTheWelcomeIsRefusedAndAfterItAccepted(t *testing.T) {
	f := newFixture(t)
	f.shop()
	many := client.Remembered{Projects: map[string]client.RememberedProject{}}
	for i := range 2000 {
		many.Projects[fmt.Sprintf("project-%04d", i)] = client.RememberedProject{Release: "1.0", Deployments: []string{uuid.NewString()}}
	}
	d := f.dial(hello("web-01", f.join(1)))
	receive(d, welcome)
	d.send(client.FromAgent{Remembered: &many})
	f.eventually("a statement larger than a hello is read", func() bool { return f.agents.Messages("remembered") == 1 })
}
