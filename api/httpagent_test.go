package api_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/api"
	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/clocks"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/memory"
	"github.com/droverhq/drover/explain"
	"github.com/droverhq/drover/query"
)

// httpAgent is an agent that uses plain HTTP.
type httpAgent struct {
	t *testing.T
	*client.Client
	name, session string
}

func (f *fixture) joinOverHTTP(name, join string) *httpAgent {
	f.t.Helper()
	instance, secret := uuid.NewString(), strings.Repeat("a1", 32)
	body := object{"name": name, "environment": "production", "instance": instance, "secret": secret}
	for range 2 { // joining again changes nothing
		_, err := f.asAgent(join).Write(context.Background(), "/machines", "", body)
		require.NoError(f.t, err)
	}
	return &httpAgent{t: f.t, Client: f.asAgent("agent:" + instance + ":" + secret), name: name}
}

// joinAndOffer brings the machine of an agent that uses plain HTTP online, and returns the part that it is offered.
func (f *fixture) joinAndOffer(name string) (*httpAgent, *client.Work) {
	f.t.Helper()
	p := f.joinOverHTTP(name, f.join(1))
	r, err := p.report("online")
	require.NoError(f.t, err)
	p.session = r.Session
	f.tick()
	return p, p.work()
}

func (p *httpAgent) report(status string) (r api.Reported, err error) {
	body := object{"status": status}
	if p.session != "" {
		body["session"] = p.session
	}
	err = p.Post(context.Background(), "/machines/"+p.name+"/reports", "", body, &r)
	return r, err
}

func (p *httpAgent) work() *client.Work {
	p.t.Helper()
	var answer api.WorkAnswer
	_, err := p.Get(context.Background(), "/machines/"+p.name+"/work", nil, &answer)
	require.NoError(p.t, err)
	return answer.Work
}

func (p *httpAgent) part(deployment, verb string, body object, into any) error {
	return p.Post(context.Background(), "/deployments/"+deployment+"/machines/"+p.name+"/"+verb, "", body, into)
}

func TestAgentRunsAPartOverPlainHTTP(t *testing.T) {
	f := newFixture(t)
	f.shop()
	p := f.joinOverHTTP("box-01", f.join(1))
	require.Equal(t, 1, f.events("TokenUsed"))
	r, err := p.report("online")
	require.NoError(t, err)
	p.session = r.Session
	require.Equal(t, domain.Duration(10e9), r.HeartbeatEvery)
	again, err := p.report("online")
	require.NoError(t, err)
	require.Equal(t, r.Session, again.Session)
	_, err = p.report("healthy")
	require.NoError(t, err)
	require.Equal(t, "healthy", f.machine("box-01").Health)

	require.Nil(t, p.work())
	f.tick()
	work := p.work()
	require.Equal(t, "1.0", work.Release)
	for range 2 { // without a key, a repeated claim also counts, because the first answer may have been lost
		answer := f.sendFrom("127.0.0.1:1", "POST", "/api/v1/deployments/"+work.Deployment+"/machines/box-01/claim", p.Token,
			`{"session":"`+p.session+`"}`)
		require.Contains(t, answer.Body.String(), `"counts":true`)
	}
	require.Equal(t, 1, f.events("PartClaimed"))
	for range 2 {
		require.NoError(t,
			p.part(work.Deployment, "output", object{"session": p.session, "sequence": 1, "data": []byte("hello")}, nil))
	}
	var first, second client.Ended
	end := object{
		"session":  p.session,
		"state":    "failed",
		"reason":   "step-failed",
		"step":     "install",
		"exitCode": 2,
		"detail":   strings.Repeat("é", 600),
	}
	require.NoError(t, p.part(work.Deployment, "end", end, &first))
	require.NoError(t, p.part(work.Deployment, "end", end, &second))
	require.Equal(t, first, second)
	require.Equal(t, 1, f.events("PartEnded"))
	var chunks query.Pieces
	f.get("/deployments/"+work.Deployment+"/output", &chunks)
	require.Len(t, chunks.Items, 1)
	require.Equal(t, "hello", string(chunks.Items[0].Data))

	_, err = p.report("offline")
	require.NoError(t, err)
	require.Equal(t, "offline", f.machine("box-01").Presence)
	_, err = p.Get(context.Background(), "/machines/box-01/work", nil, nil)
	require.Equal(t, client.Conflict, client.KindOf(err), "an offline agent must report online first")
}

func TestOnlyOneOfTwoHTTPAgentsWithOneIdentityRunsThePart(t *testing.T) {
	f := newFixture(t)
	f.shop()
	p := f.joinOverHTTP("box-01", f.join(1))
	r, err := p.report("online")
	require.NoError(t, err)
	copied, err := p.report("online")
	require.NoError(t, err)
	require.Equal(t, r.Session, copied.Session, "the session does not distinguish the two")
	f.tick()
	work := p.work()
	claim := func(key string) (c client.Claimed) {
		path := client.Path("deployments", work.Deployment, "machines", "box-01", "claim")
		require.NoError(t, p.Post(t.Context(), path, key, object{"session": r.Session}, &c))
		return c
	}
	first, second := uuid.NewString(), uuid.NewString()
	require.True(t, claim(first).Counts)
	for range 2 {
		other := claim(second)
		require.False(t, other.Counts)
		require.Equal(t, "already-claimed", other.Reason)
	}
	require.True(t, claim(first).Counts, "the first answer may have been lost")
	require.Equal(t, 1, f.events("PartClaimed"))
}

func TestAgentSecretIsValidOnlyForItsOwnMachine(t *testing.T) {
	f := newFixture(t)
	f.shop()
	join := f.join(0)
	mine, other := f.joinOverHTTP("box-01", join), f.joinOverHTTP("box-02", join)
	_, err := other.report("online")
	require.NoError(t, err)
	mine.name = "box-02"
	_, err = mine.report("online")
	require.Equal(t, client.Forbidden, client.KindOf(err))
	_, err = mine.Get(context.Background(), "/machines", nil, nil)
	require.Equal(t, client.Forbidden, client.KindOf(err))
	_, err = f.as(f.token(domain.TokenSettings{Scope: domain.ReadScope})).
		Get(context.Background(), "/machines/box-02/work", nil, nil)
	require.Equal(t, client.Forbidden, client.KindOf(err))
	_, err = mine.Write(context.Background(), "/machines", "", object{"name": "box-03", "environment": "production"})
	require.Equal(t, client.Forbidden, client.KindOf(err))
}

func TestInvalidReportsAreRefused(t *testing.T) {
	f := newFixture(t)
	f.shop()
	p := f.joinOverHTTP("box-01", f.join(1))
	_, err := p.report("healthy")
	require.Equal(t, client.Conflict, client.KindOf(err), "the machine is not online yet")
	_, err = p.report("asleep")
	require.Equal(t, client.Invalid, client.KindOf(err))
	r, err := p.report("online")
	require.NoError(t, err)
	p.session = uuid.NewString()
	_, err = p.report("online")
	require.Equal(t, client.Conflict, client.KindOf(err), "another session while the first one is live")
	_, err = p.report("offline")
	require.Equal(t, client.Conflict, client.KindOf(err))
	p.session = r.Session
	for _, deployment := range []string{"x", uuid.NewString()} {
		var claimed client.Claimed
		err := p.part(deployment, "claim", object{"session": p.session}, &claimed)
		require.False(t, claimed.Counts)
		if deployment == "x" {
			require.Equal(t, client.NotFound, client.KindOf(err))
		}
		require.NotEmpty(t,
			client.KindOf(p.part(deployment, "output", object{"session": p.session, "sequence": 1, "data": []byte("x")}, nil)))
		require.Equal(t, client.NotFound,
			client.KindOf(p.part(deployment, "end", object{"session": p.session, "state": "succeeded"}, nil)))
	}
	for _, body := range []object{{"name": "box-02", "environment": "production"}, {"name": "box-02",
		"environment": "production", "instance": "x", "secret": strings.Repeat("a", 64)},
		{"name": "box-02", "environment": "production", "instance": uuid.NewString(), "secret": "short"}, {"name": "box-02",
			"environment": "moon", "instance": uuid.NewString(), "secret": strings.Repeat("a", 64)}} {
		_, err := f.asAgent(f.join(1)).Write(context.Background(), "/machines", "", body)
		require.Contains(t, []string{client.Invalid, client.NotFound}, client.KindOf(err), body)
	}
}

func TestStoredOutputOfAPartIsBounded(t *testing.T) {
	f := newFixture(t)
	f.shop()
	p, work := f.joinAndOffer("box-01")
	require.NoError(t, p.part(work.Deployment, "claim", object{"session": p.session}, nil))
	chunk := make([]byte, eventlog.MaxChunkBytes)
	put := func(sequence int) error {
		return p.part(work.Deployment, "output", object{"session": p.session, "sequence": sequence, "data": chunk}, nil)
	}
	const most = 16<<20/eventlog.MaxChunkBytes + 1
	for i := range most {
		require.NoError(t, put(100_000-i), "sequences can be high because chunks can be small")
	}
	require.Equal(t, client.Invalid, client.KindOf(put(1)))
	require.NoError(t, put(100_000), "a repeated chunk is stored once")

	other := newFixtureOn(t, f.log, f.clock)
	p.Servers = []string{other.socket}
	require.NoError(t, put(100_000))
	require.Equal(t, client.Invalid, client.KindOf(put(1)), "another server counts the stored output")
}

func TestAgentOfADeletedMachineRejoinsWithItsSecret(t *testing.T) {
	f := newFixture(t)
	f.shop()
	p := f.joinOverHTTP("box-01", f.token(domain.TokenSettings{Join: true, Uses: 1, Environments: []string{"production"}}))
	f.do(domain.ApplyEnvironment{Name: "staging"})
	f.do(domain.DeleteMachine{Name: "box-01"})
	_, err := p.report("online")
	require.Equal(t, client.NotFound, client.KindOf(err))
	_, err = p.Write(context.Background(), "/machines", "", object{"name": "box-01", "environment": "staging"})
	require.Equal(t, client.Forbidden, client.KindOf(err), "the limits of its token still apply")
	for range 2 {
		_, err = p.Write(context.Background(), "/machines", "", object{"name": "box-01", "environment": "production"})
		require.NoError(t, err)
	}
	_, err = p.report("online")
	require.NoError(t, err)
	require.Equal(t, 1, f.events("TokenUsed"))
}

// racingLog is a log that calls by just before it appends an event.
type racingLog struct {
	eventlog.Backend
	at string // type of the event
	by func()
}

func (o *racingLog) Append(ctx context.Context, stream string, expected eventlog.Revision,
	events ...eventlog.Event) (eventlog.Appended, error) {
	if by := o.by; by != nil && events[0].Type == o.at {
		o.by = nil
		by()
	}
	return o.Backend.Append(ctx, stream, expected, events...)
}

func TestClaimAfterAConflictingEventIsVoidWithAReason(t *testing.T) {
	log := &racingLog{Backend: memory.New(), at: "part.claimed/v1"}
	f := newFixtureOn(t, log, &manualClock{})
	f.shop()
	p, work := f.joinAndOffer("box-01")
	other := newFixtureOn(t, log.Backend, f.clock)
	log.by = func() { other.do(domain.SetProjectEnabled{Name: "shop"}) }
	var claimed client.Claimed
	require.NoError(t, p.part(work.Deployment, "claim", object{"session": p.session}, &claimed))
	require.False(t, claimed.Counts)
	require.NotEmpty(t, claimed.Reason)
	require.Nil(t, log.by)
}

func TestServerComparesItsClockWithThoseOfPlainHTTPAgents(t *testing.T) {
	f := newFixture(t)
	f.shop()
	for i, name := range []string{"box-01", "box-02", "box-03"} {
		p := f.joinOverHTTP(name, f.join(1))
		for _, invalid := range []string{"now", "2026-13-01T00:00:00Z"} {
			require.Error(t, p.Post(t.Context(), "/machines/"+name+"/reports", "",
				object{"status": "online", "clock": invalid}, &api.Reported{}))
		}
		body := object{"status": "online", "clock": f.clock.Now().Add(time.Hour)}
		require.NoError(t, p.Post(t.Context(), "/machines/"+name+"/reports", "", body, &api.Reported{}))
		_, err := f.engine.Tick(t.Context())
		require.NoError(t, err)
		require.Equal(t, i < 2, f.engine.Clocks().Confirmed)
	}
	require.Equal(t, clocks.AgentsDisagree, f.engine.Clocks().Reason)
	require.Equal(t, -time.Hour, f.engine.Clocks().Ahead)
}

func TestJoinTokenLimitsTheMachinesThatExistAndADeletedOneLeavesItsPlace(t *testing.T) {
	f := newFixture(t)
	f.shop()
	join := f.token(domain.TokenSettings{Join: true, MaxMachines: 2, Environments: []string{"production"}})
	first := f.joinOverHTTP("box-01", join)
	f.joinOverHTTP("box-02", join)
	third := func() error {
		_, err := f.asAgent(join).Write(context.Background(), "/machines", "", object{"name": "box-03",
			"environment": "production", "instance": "4b0a6f0e-6e4c-4f0c-9a55-3f0d1f0f9c01", "secret": strings.Repeat("c3", 32)})
		return err
	}
	err := third()
	require.Equal(t, client.Forbidden, client.KindOf(err))
	require.ErrorContains(t, err, "machine box-03 cannot join: join token")
	require.ErrorContains(t, err, "has reached its machine limit of 2")

	f.do(domain.DeleteMachine{Name: "box-01", Reason: domain.CleanUpReason})
	require.NoError(t, third())

	returns := func() error {
		_, err := first.Write(context.Background(), "/machines", "", object{"name": "box-01", "environment": "production"})
		return err
	}
	require.ErrorContains(t, returns(), "machine box-01 cannot join", "another machine has its place")
	f.do(domain.DeleteMachine{Name: "box-02", Reason: domain.CleanUpReason})
	require.NoError(t, returns())
	var list explain.List[explain.Token]
	f.get("/tokens", &list)
	shown := list.Items[slices.IndexFunc(list.Items, func(t explain.Token) bool { return t.MaxMachines > 0 })]
	require.Equal(t, []int{2, 2}, []int{shown.Machines, shown.MaxMachines})

	require.Contains(t, receive(f.dial(hello("box-04", join)), refusal).Reason, "has reached its machine limit of 2")
	require.Contains(t, f.sendFrom("127.0.0.1:1", http.MethodGet, "/metrics", "", "").Body.String(),
		`drover_limited_total{limit="machines"} 3`, "a join and a return over plain HTTP, and an agent")
}

func TestMachinesThatReturnAtOnceDoNotExceedTheLimitOfTheirToken(t *testing.T) {
	log := &racingLog{Backend: memory.New(), at: "machine.added/v1"}
	f := newFixtureOn(t, log, &manualClock{})
	f.shop()
	join := f.token(domain.TokenSettings{Join: true, MaxMachines: 1, Environments: []string{"production"}})
	returns := func(ctx context.Context, p *httpAgent) error {
		_, err := p.Write(ctx, "/machines", "", object{"name": p.name, "environment": "production"})
		return err
	}
	var agents []*httpAgent
	for _, name := range []string{"box-01", "box-02"} {
		agents = append(agents, f.joinOverHTTP(name, join))
		f.do(domain.DeleteMachine{Name: name, Reason: domain.CleanUpReason})
	}
	log.by = func() { // the return of the first machine has been decided, and is not in the log yet
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		require.Error(t, returns(ctx, agents[1]))
	}
	require.NoError(t, returns(context.Background(), agents[0]))
	require.Nil(t, log.by)
	require.Error(t, returns(context.Background(), agents[1]))
}

func TestPlainHTTPAgentThatReconnectsAllTheTimeIsRefusedForAWhile(t *testing.T) {
	f := newFixture(t)
	f.shop()
	p := f.joinOverHTTP("box-01", f.join(1))
	for range 60 {
		_, err := p.report("online")
		require.NoError(t, err)
		_, err = p.report("online") // the open session
		require.NoError(t, err)
		_, err = p.report("offline")
		require.NoError(t, err)
	}
	events := f.events("MachineCameOnline")
	_, err := p.report("online")
	require.Equal(t, client.Unavailable, client.KindOf(err))
	require.ErrorContains(t, err, "machine box-01 connects too often")
	require.Equal(t, events, f.events("MachineCameOnline"))
	f.clock.advance(5 * time.Second)
	_, err = p.report("online")
	require.NoError(t, err)
}
