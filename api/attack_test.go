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
)

func TestWhoKnowsAnInstanceAndHasAJoinTokenCannotSpeakForItsMachine(t *testing.T) {
	y := newYard(t)
	y.shop()
	victim := hello("web-01", y.join(1))
	d := y.dial(victim)
	hears(d, welcome)
	thief := victim // what `get machines` shows is known, the secret is not
	thief.Join, thief.Secret, thief.Session = y.join(0), strings.Repeat("00", 32), uuid.NewString()
	require.Contains(t, hears(y.dial(thief), refusal).Reason, "another secret")
	body := object{"name": "web-01", "environment": "production", "instance": victim.Instance, "secret": thief.Secret}
	_, err := y.as(thief.Join).Write(context.Background(), "/machines", "", body)
	require.ErrorContains(t, err, "another secret")
	_, err = y.as("agent:"+victim.Instance+":"+thief.Secret).Get(context.Background(), "/machines/web-01/work", nil, nil)
	require.Equal(t, client.Unauthorised, client.KindOf(err))
	require.Equal(t, 1, y.events("TokenUsed"))

	y.do(domain.ApplyMachine{Name: "box-09", Environment: "production"}) // a machine that an admin speaks for has no secret at all
	instance := uuid.NewString()
	_, err = y.admin.Write(context.Background(), "/machines/box-09/reports", "", object{"status": "online", "instance": instance})
	require.NoError(t, err)
	thief.Machine, thief.Instance = "box-09", instance
	require.Contains(t, hears(y.dial(thief), refusal).Reason, "another secret")
}

func TestAnAgentCanNeitherReadNorChangeWhatIsAnotherMachines(t *testing.T) {
	y := newYard(t)
	y.shop()
	join := y.join(0)
	victim, thief := y.dial(hello("web-01", join)), y.dial(hello("web-02", join))
	hears(victim, welcome)
	hears(thief, welcome)
	y.tick()
	work := hears(victim, offer)
	hears(thief, offer)
	y.do(domain.SetMachineEnabled{Name: "web-02"}) // it may start nothing of its own
	victim.say(client.FromAgent{Claim: &client.Claim{Deployment: work.Deployment}})
	require.True(t, hears(victim, claimed).Counts)

	thief.say(client.FromAgent{Output: &client.Output{Deployment: work.Deployment, Sequence: 1, Data: []byte("forged")}})
	thief.say(client.FromAgent{End: &client.End{Deployment: work.Deployment, State: "failed"}})
	thief.say(client.FromAgent{Claim: &client.Claim{Deployment: work.Deployment}})
	require.False(t, hears(thief, claimed).Counts)
	require.Zero(t, y.events("PartEnded"))
	for chunk, err := range y.log.Items(context.Background(), eventlog.Output, work.Deployment+"/web-01", 0, 0) {
		require.NoError(t, err)
		require.Fail(t, "output was forged", "%s", chunk.Data)
	}

	plain := y.as("agent:" + thief.hello.Instance + ":" + thief.hello.Secret)
	for _, path := range []string{"/machines", "/machines/web-01", "/machines/web-02", "/events", "/deployments", "/deployments/" + work.Deployment + "/output",
		"/machines/web-01/work", "/projects/shop", "/tokens", "/candidates", "/servers", "/log/export"} {
		_, err := plain.Get(context.Background(), path, nil, nil)
		require.Equal(t, client.Forbidden, client.KindOf(err), path)
	}
	_, err := plain.Get(context.Background(), "/why", url.Values{"machine": {"web-01"}}, nil)
	require.Equal(t, client.Forbidden, client.KindOf(err))
	for path, body := range map[string]object{
		"/machines/web-01/reports": {"status": "offline"},
		"/machines/web-01/disable": nil,
		"/machines":                {"name": "web-01", "environment": "production"},
		"/deployments/" + work.Deployment + "/machines/web-01/claim":   {"session": victim.hello.Session},
		"/deployments/" + work.Deployment + "/machines/web-01/output":  {"session": victim.hello.Session, "sequence": 1, "data": []byte("x")},
		"/deployments/" + work.Deployment + "/machines/web-01/end":     {"session": victim.hello.Session, "state": "failed"},
		"/deployments/" + work.Deployment + "/machines/web%2D01/claim": {"session": victim.hello.Session},
	} {
		_, err := plain.Write(context.Background(), path, "", body)
		require.Contains(t, []string{client.Forbidden, client.NotFound}, client.KindOf(err), "%s: %v", path, err)
	}
	require.Equal(t, "online", y.machine("web-01").Presence)
	require.Zero(t, y.events("PartEnded"))
}

func TestOfTwentyAgentsThatRaceForTheOneUseOfATokenOneGetsIn(t *testing.T) {
	y := newYard(t)
	y.shop()
	other := newYardOn(t, y.log, y.clock)
	join := y.join(1)
	var in atomic.Int32
	var all sync.WaitGroup
	for i := range 20 {
		door := []*yard{y, other}[i%2]
		all.Go(func() {
			if i%4 < 2 {
				body := object{"name": fmt.Sprintf("box-%02d", i), "environment": "production", "instance": uuid.NewString(), "secret": strings.Repeat("a1", 32)}
				if _, err := door.as(join).Write(context.Background(), "/machines", "", body); err == nil {
					in.Add(1)
				}
				return
			}
			d := door.dial(hello(fmt.Sprintf("box-%02d", i), join))
			answer := hears(d, func(m client.ToAgent) *client.ToAgent {
				if m.Welcome != nil || m.Refused != nil {
					return &m
				}
				return nil
			})
			if answer.Welcome != nil {
				in.Add(1)
			}
		})
	}
	all.Wait()
	require.Equal(t, int32(1), in.Load())
	require.Equal(t, 1, y.events("TokenUsed"))
	require.Equal(t, 1, y.events("MachineAdded"))
}

func TestAJoinTokenThatHasExpiredOrIsForAnotherRoleLetsNobodyIn(t *testing.T) {
	y := newYard(t)
	y.shop()
	until := y.clock.Now().Add(time.Hour)
	short := y.token(domain.TokenSettings{Join: true, Until: &until})
	web := y.token(domain.TokenSettings{Join: true, Roles: []string{"web"}})
	sly := hello("db-01", web)
	sly.Roles = []string{"web", "db"}
	require.Contains(t, hears(y.dial(sly), refusal).Reason, "role")
	y.do(domain.ApplyMachine{Name: "db-02", Environment: "production", Roles: []string{"db"}})
	sly.Machine, sly.Roles = "db-02", []string{"web"}
	require.Contains(t, hears(y.dial(sly), refusal).Reason, "role", "the machine in the log counts")
	in := y.dial(hello("web-01", short))
	hears(in, welcome)
	y.clock.move(time.Hour)
	require.Contains(t, hears(y.dial(hello("web-02", short)), refusal).Reason, "expired")
	_ = in.conn.CloseNow()
	hears(y.dial(in.hello), welcome) // who has joined has a secret of its own
}

// following opens a live stream and says when it has begun, and with what error it ended.
func (y *yard) following(token, path string) (begun chan struct{}, ended chan error) {
	begun, ended = make(chan struct{}), make(chan error, 1)
	var once sync.Once
	go func() {
		ended <- y.as(token).Follow(context.Background(), path, url.Values{"after": {"0"}}, "", func(client.Message) error {
			once.Do(func() { close(begun) })
			return nil
		})
	}()
	return begun, ended
}

func TestARevokedTokenEndsItsLiveStreamsOnEachServer(t *testing.T) {
	y := newYard(t)
	y.shop()
	other := newYardOn(t, y.log, y.clock)
	text := y.token(domain.TokenSettings{Scope: domain.ReadScope})
	here, hereEnded := y.following(text, "/events/stream")
	there, thereEnded := other.following(text, "/events/stream")
	<-here
	<-there
	_, err := y.admin.Delete(context.Background(), "/tokens/"+strings.Split(text, ".")[0], "")
	require.NoError(t, err)
	require.NoError(t, other.engine.CatchUp(context.Background()))
	for _, ended := range []chan error{hereEnded, thereEnded} {
		select {
		case err := <-ended:
			require.Equal(t, client.Unauthorised, client.KindOf(err))
		case <-time.After(patience):
			require.Fail(t, "the stream goes on")
		}
	}
}

func TestATokenThatExpiresEndsItsLiveStreams(t *testing.T) {
	y := newYard(t)
	y.shop()
	until := y.clock.Now().Add(time.Hour)
	text := y.token(domain.TokenSettings{Scope: domain.ReadScope, Until: &until})
	begun, ended := y.following(text, "/events/stream")
	<-begun
	y.clock.move(time.Hour)
	select {
	case err := <-ended:
		require.Equal(t, client.Unauthorised, client.KindOf(err))
	case <-time.After(patience):
		require.Fail(t, "the stream goes on")
	}
}

func TestARevokedTokenEndsTheOutputThatItsBearerFollows(t *testing.T) {
	y := newYard(t)
	y.shop()
	d := y.dial(hello("web-01", y.join(1)))
	hears(d, welcome)
	y.tick()
	work := hears(d, offer)
	d.say(client.FromAgent{Claim: &client.Claim{Deployment: work.Deployment}})
	require.True(t, hears(d, claimed).Counts)
	d.say(client.FromAgent{Output: &client.Output{Deployment: work.Deployment, Sequence: 1, Data: []byte("installing\n")}})
	text := y.token(domain.TokenSettings{Scope: domain.ReadScope})
	begun, ended := y.following(text, "/deployments/"+work.Deployment+"/output/stream")
	<-begun
	y.do(domain.RevokeToken{ID: strings.Split(text, ".")[0]})
	select {
	case err := <-ended:
		require.Equal(t, client.Unauthorised, client.KindOf(err))
	case <-time.After(patience):
		require.Fail(t, "the stream goes on")
	}
}

func TestARevokedJoinTokenEndsLiveAgentsOnEachServerAndNoOthers(t *testing.T) {
	y := newYard(t)
	y.shop()
	other := newYardOn(t, y.log, y.clock)
	lost, kept := y.join(0), y.join(0)
	there, stays := other.dial(hello("web-01", lost)), other.dial(hello("web-02", kept))
	hears(there, welcome)
	hears(stays, welcome)
	both := hello("web-03", lost) // an instance that has joined under two names by two tokens
	first := other.dial(both)
	hears(first, welcome)
	second := both
	second.Machine, second.Join = "web-04", kept
	renamed := other.dial(second)
	hears(renamed, welcome)

	y.do(domain.RevokeToken{ID: strings.Split(lost, ".")[0]})
	require.NoError(t, other.engine.CatchUp(context.Background()))
	require.True(t, hears(there, refusal).Final)
	require.True(t, hears(first, refusal).Final, "what let it in as web-04 does not keep it as web-03")
	_, err := other.as("agent:"+there.hello.Instance+":"+there.hello.Secret).Get(context.Background(), "/machines/web-01/work", nil, nil)
	require.Equal(t, client.Unauthorised, client.KindOf(err), "by plain HTTP too")
	for _, d := range []*double{stays, renamed} {
		d.say(client.FromAgent{Health: &client.Health{Status: "warning"}})
		y.eventually("the others go on", func() bool { return other.machine(d.hello.Machine).Health == "warning" })
	}
}

// counted counts how often the log is read on.
type counted struct {
	eventlog.Backend
	reads atomic.Int64
}

func (c *counted) ReadAll(ctx context.Context, after eventlog.Position, limit int) iter.Seq2[eventlog.Recorded, error] {
	c.reads.Add(1)
	return c.Backend.ReadAll(ctx, after, limit)
}

func TestManyBadTokensFromOneAddressCostNothingMoreAndLockNobodyOut(t *testing.T) {
	log := &counted{Backend: memory.New()}
	y := newYardOn(t, log, &handClock{})
	bad := func(remote string) int {
		return y.sendFrom(remote, "GET", "/api/v1/machines", "0123456789ab.guess", "").Code
	}
	for range 20 {
		require.Equal(t, http.StatusUnauthorized, bad("192.0.2.1:1"))
	}
	before, events := log.reads.Load(), y.engine.Position()
	require.Equal(t, http.StatusTooManyRequests, bad("192.0.2.1:2"))
	require.Equal(t, before, log.reads.Load(), "the log is not read for it")
	require.Equal(t, events, y.engine.Position(), "a refused token is no event")
	require.Equal(t, http.StatusUnauthorized, bad("192.0.2.2:1"), "another address is another")
	require.Equal(t, 200, y.sendFrom("192.0.2.1:3", "GET", "/api/v1/machines", y.admin.Token, "").Code, "a good token is taken at any time")
	for i := range 21 { // one owner has many IPv6 addresses
		want := http.StatusUnauthorized
		if i == 20 {
			want = http.StatusTooManyRequests
		}
		require.Equal(t, want, bad(fmt.Sprintf("[2001:db8::%x]:1", i)))
	}
}

func TestAnAgentThatIsUnknownIsTurnedAwayWithoutWorkOnceItsAddressFailedTooOften(t *testing.T) {
	y := newYard(t)
	y.shop()
	known := hello("web-01", y.join(1))
	in := y.dial(known)
	hears(in, welcome)
	for range 20 {
		require.Contains(t, hears(y.dial(hello("web-02", "0123456789ab.guess")), refusal).Reason, "not known")
	}
	require.Contains(t, hears(y.dial(hello("web-02", "0123456789ab.guess")), refusal).Reason, "too many")
	_ = in.conn.CloseNow()
	hears(y.dial(known), welcome) // behind one proxy all come from one address
	hears(y.dial(hello("web-03", y.join(1))), welcome)
}

func TestABodyOrALineThatIsTooLongIsRefusedWithASentence(t *testing.T) {
	y := newYard(t)
	y.shop()
	long := `{"scope": "read", "roles": ["` + strings.Repeat("x", 1<<20) + `"]}`
	answer := y.sendFrom("192.0.2.1:1", "POST", "/api/v1/tokens", y.admin.Token, long)
	require.Equal(t, http.StatusRequestEntityTooLarge, answer.Code)
	require.Contains(t, answer.Body.String(), "1048576")
	d := y.dial(hello("web-01", y.join(1)))
	hears(d, welcome)
	_ = d.conn.Write(context.Background(), websocket.MessageText, make([]byte, client.MaxMessageBytes+1)) // it may be cut off meanwhile
	d.closes()
	stranger := y.dial(client.Hello{Version: strings.Repeat("x", 1<<20)}) // who is not known yet may say less
	stranger.closes()
}

func TestAStreamTooManyIsToldSoAndOneThatEndsMakesRoom(t *testing.T) {
	y := newYard(t)
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
		r.Header.Set("Authorization", "Bearer "+y.admin.Token)
		taken.Add(1)
		all.Go(func() { y.api.Handler().ServeHTTP(answered{httptest.NewRecorder(), sync.OnceFunc(taken.Done)}, r) })
	}
	taken.Wait() // who asked before would hold the place of one of them
	ask := func() *httptest.ResponseRecorder {
		return y.sendFrom("192.0.2.1:1", http.MethodGet, "/api/v1/events/stream", y.admin.Token, "")
	}
	require.Equal(t, http.StatusServiceUnavailable, ask().Code)
	require.Contains(t, ask().Body.String(), "512 live streams already")
	endFirst()
	y.eventually("there is room for one", func() bool { return ask().Code == http.StatusOK })
	end()
	all.Wait()
}
