package api_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/api/client/handshake"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/internal/ids"
)

// secretly sends a hello with the secret and the join token, like earlier versions of drover.
func (f *fixture) secretly(h client.Hello) *fakeAgent {
	f.t.Helper()
	d, _ := f.open(nil)
	d.hello = h
	d.send(client.FromAgent{Hello: &h})
	return d
}

// overTLS makes the fixture's server one with TLS.
func (f *fixture) overTLS() {
	f.t.Helper()
	secure := httptest.NewTLSServer(f.api.Handler())
	f.t.Cleanup(secure.Close)
	f.server = secure
}

func TestAgentThatSendsItsSecretIsRefusedWithoutTLSAndCountedWithTLS(t *testing.T) {
	f := newFixture(t)
	f.shop()
	refused := receive(f.secretly(hello("web-01", f.join(1))), refusal)
	require.Contains(t, refused.Reason, "this agent sends its secret, and the connection has neither TLS nor a Unix socket")
	require.False(t, refused.Final, "an upgrade of the agent helps")
	require.Zero(t, f.events("TokenUsed"))

	plain := f.server
	f.overTLS()
	h := hello("web-01", f.join(1))
	receive(f.secretly(h), welcome)
	f.eventually("the session is registered", func() bool { return f.agents.Forms()[client.SecretForm] == 1 })
	f.server = plain
	require.Contains(t, f.metrics(), "drover_agents_secret 1")
	h.Join = ""
	require.Contains(t, receive(f.secretly(h), refusal).Reason, "neither TLS")
}

func (f *fixture) metrics() string {
	f.t.Helper()
	answer, err := http.Get(f.server.URL + "/metrics")
	require.NoError(f.t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(f.t, err)
	return string(text)
}

// proving is an agent whose test decides what it sends in each step.
type proving struct {
	*fakeAgent
	own    *handshake.Attempt
	answer http.Header
	proof  string
}

func (f *fixture) prove(h client.Hello) *proving {
	f.t.Helper()
	on := handshake.Connection{Address: f.server.Listener.Addr().String()}
	p := &proving{own: handshake.NewCredential(handshake.AgentName(h.Instance), h.Secret).Start(on)}
	header := http.Header{}
	header.Set(handshake.Header, p.own.First())
	p.fakeAgent, p.answer = f.open(header)
	var err error
	p.proof, err = p.own.Answer(p.answer.Get(handshake.Header))
	require.NoError(f.t, err)
	return p
}

func TestAgentKnownByItsHashRegistersAVerifierInTheSameConnection(t *testing.T) {
	f := newFixture(t)
	f.shop()
	plain := f.server
	f.overTLS()
	h := hello("web-01", f.join(1))
	d := f.secretly(h)
	receive(d, welcome)
	d.conn.CloseNow()
	f.server = plain

	hash := client.HashSecret(h.Secret)
	thief := h // has read the log
	thief.Secret = hash
	p := f.prove(thief)
	verifier := handshake.VerifierOf(handshake.AgentName(h.Instance), hash)
	p.send(client.FromAgent{Hello: &client.Hello{Machine: h.Machine, Instance: h.Instance, Session: h.Session,
		Proof: p.proof, Secret: hash, Verifier: verifier}})
	require.Contains(t, receive(p.fakeAgent, refusal).Reason, "has not joined with this instance")
	require.Zero(t, f.events("VerifierRegistered"))

	p = f.prove(h)
	require.True(t, p.own.KnowsHash(hash, p.answer.Get(handshake.KnownHeader)), "the server proves itself first")
	again := client.Hello{Machine: h.Machine, Instance: h.Instance, Session: h.Session, Proof: p.proof, Secret: h.Secret,
		Verifier: handshake.VerifierOf(handshake.AgentName(h.Instance), h.Secret)}
	p.send(client.FromAgent{Hello: &again})
	accepted := receive(p.fakeAgent, welcome)
	require.NoError(t, p.own.Verify(accepted.Proof))
	require.True(t, accepted.Registered)
	require.Equal(t, 1, f.events("VerifierRegistered"))
	p.conn.CloseNow()

	p = f.prove(h)
	require.False(t, p.own.KnowsHash(hash, p.answer.Get(handshake.KnownHeader)), "the hash is not used any more")
	p.send(client.FromAgent{Hello: &client.Hello{Machine: h.Machine, Instance: h.Instance, Session: h.Session, Proof: p.proof}})
	accepted = receive(p.fakeAgent, welcome)
	require.NoError(t, p.own.Verify(accepted.Proof))
	require.True(t, accepted.Registered)
	require.Equal(t, 1, f.events("VerifierRegistered"))
}

func TestJoinTokenOfAnEarlierVersionIsSentAfterTheServerHasProvedItself(t *testing.T) {
	f := newFixture(t)
	f.shop()
	token := ids.NewToken()
	f.do(domain.CreateToken{ID: token.ID, Settings: domain.TokenSettings{Join: true, Uses: 1}, Hash: token.Hash()})
	h := hello("web-01", "")
	on := handshake.Connection{Address: f.server.Listener.Addr().String()}
	own := handshake.NewCredential(handshake.AgentName(h.Instance), h.Secret)
	agent, joining := own.Start(on), handshake.NewCredential(handshake.JoinName(token.ID), token.Secret).Start(on)
	header := http.Header{}
	header.Set(handshake.Header, agent.First())
	header.Set(handshake.JoinHeader, joining.First())
	d, answer := f.open(header)
	var err error
	h.Secret, h.Join, h.Verifier = "", token.Text(), own.Verifier()
	h.Proof, err = agent.Answer(answer.Get(handshake.Header))
	require.NoError(t, err)
	h.JoinProof, err = joining.Answer(answer.Get(handshake.JoinHeader))
	require.NoError(t, err)
	require.True(t, joining.KnowsHash(token.Hash(), answer.Get(handshake.JoinKnownHeader)))
	d.send(client.FromAgent{Hello: &h})
	accepted := receive(d, welcome)
	require.NoError(t, joining.Verify(accepted.JoinProof))
	require.NoError(t, agent.Verify(accepted.Proof))
	require.True(t, accepted.Registered)
}

func TestProofsOfOneConnectionAreRefusedOnAnother(t *testing.T) {
	f := newFixture(t)
	f.shop()
	h := hello("web-01", f.join(1))
	d := f.dial(h)
	receive(d, welcome)
	p := f.prove(h)
	said := client.Hello{Machine: h.Machine, Instance: h.Instance, Session: h.Session, Proof: p.proof}
	p.send(client.FromAgent{Hello: &said})
	receive(p.fakeAgent, welcome)
	p.conn.CloseNow()

	again := f.prove(h)
	again.send(client.FromAgent{Hello: &said}) // recorded
	refused := receive(again.fakeAgent, refusal)
	require.Contains(t, refused.Reason, "has not joined with this instance")
	require.Empty(t, refused.Proof)
}

// A reader of the log knows verifiers, hashes and ids.
func TestReaderOfTheLogCannotActAsAnAgentOrJoin(t *testing.T) {
	f := newFixture(t)
	f.shop()
	h, unused := hello("web-01", f.join(1)), f.join(5)
	receive(f.dial(h), welcome)
	var stolen []string
	for rec, err := range f.log.ReadAll(t.Context(), 0, 0) {
		require.NoError(t, err)
		fact, err := domain.Decode(rec.Type, rec.Data)
		require.NoError(t, err)
		switch e := fact.(type) {
		case domain.TokenCreated:
			stolen = append(stolen, e.Hash, e.Verifier)
		case domain.TokenUsed:
			stolen = append(stolen, e.Verifier, e.Secret)
		}
	}
	id, _, _ := strings.Cut(unused, ".")
	for _, text := range stolen {
		as := h
		as.Secret, as.Join = text, ""
		require.Contains(t, receive(f.dial(as), refusal).Reason, "has not joined", "as the agent")
		as.Instance, as.Machine, as.Join, as.Secret = uuid.NewString(), "web-02", id+"."+text, h.Secret
		require.Contains(t, receive(f.dial(as), refusal).Reason, "unknown join token", "as a new agent")
	}
}

func TestRefusalsAreProvenToAgentsThatTheServerKnows(t *testing.T) {
	f := newFixture(t)
	f.shop()
	join := f.join(1)
	h := hello("web-01", join)
	receive(f.dial(h), welcome)
	id, _, _ := strings.Cut(join, ".")
	f.do(domain.RevokeToken{ID: id})
	p := f.prove(h)
	p.send(client.FromAgent{Hello: &client.Hello{Machine: h.Machine, Instance: h.Instance, Session: h.Session, Proof: p.proof}})
	refused := receive(p.fakeAgent, refusal)
	require.True(t, refused.Final)
	require.NoError(t, p.own.Verify(refused.Proof))
}

func TestUnknownAgentsAreAnsweredLikeKnownOnes(t *testing.T) {
	f := newFixture(t)
	f.shop()
	h := hello("web-01", f.join(1))
	receive(f.dial(h), welcome)
	shape := func(h client.Hello) []int {
		p := f.prove(h)
		return []int{len(p.answer.Get(handshake.Header)), len(p.answer.Get(handshake.KnownHeader)), len(p.answer)}
	}
	require.Equal(t, shape(h), shape(hello("web-02", "")))
}

func TestInvalidHandshakesAreRefused(t *testing.T) {
	f := newFixture(t)
	f.shop()
	for _, first := range []string{"n", "p=unknown,,n=a,r=b", strings.Repeat("n", 4000), "n,a=127.0.0.1:1,n=agent:x,r=abc"} {
		header := http.Header{}
		header.Set(handshake.Header, first)
		_, answer := f.open(header)
		require.Regexp(t, "^e=", answer.Get(handshake.Header))
		require.Empty(t, answer.Get(handshake.KnownHeader))
	}
	h := hello("web-01", f.join(1))
	p := f.prove(h)
	p.send(client.FromAgent{Hello: &client.Hello{Machine: h.Machine, Instance: uuid.NewString(), Session: h.Session, Proof: p.proof}})
	require.Contains(t, receive(p.fakeAgent, refusal).Reason, "the handshake is for another instance")
	p = f.prove(h)
	p.send(client.FromAgent{Hello: &client.Hello{Machine: h.Machine, Instance: h.Instance, Session: h.Session, Proof: p.proof,
		Verifier: "SCRAM-SHA-256$1:AAAA$AAAA:AAAA"}})
	require.Contains(t, receive(p.fakeAgent, refusal).Reason, "invalid verifier")
}
