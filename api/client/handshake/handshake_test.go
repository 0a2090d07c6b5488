package handshake_test

import (
	"crypto/tls"
	"net"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/api/client/handshake"
	"github.com/droverhq/drover/serverkey"
)

const secret = "5ec7e75ec7e75ec7e75ec7e75ec7e75ec7e75ec7e75ec7e75ec7e75ec7e75ec7"

var (
	name     = handshake.AgentName("0b6b4cbe-7d36-4d0c-a3f7-1a6b4f3d9c11")
	verifier = handshake.VerifierOf(name, secret)
	// local is a connection without TLS on the loopback address of a server.
	local = handshake.Connection{Address: "127.0.0.1:7070"}
)

// exchange runs a handshake up to the client-final.
func exchange(t *testing.T, secret string, agent, server handshake.Connection) (*handshake.Attempt, *handshake.Challenge, string) {
	t.Helper()
	a := handshake.NewCredential(name, secret).Start(agent)
	c, answer := handshake.Receive(a.First(), server)
	require.NotNil(t, c, answer)
	final, err := a.Answer(answer)
	require.NoError(t, err)
	return a, c, final
}

// answer returns the error that an agent gets when it starts a handshake.
func answer(agent, server handshake.Connection) error {
	a := handshake.NewCredential(name, secret).Start(agent)
	_, first := handshake.Receive(a.First(), server)
	_, err := a.Answer(first)
	return err
}

// encrypted returns both ends of a TLS connection.
func encrypted(t *testing.T, version uint16) (agent, server handshake.Connection) {
	t.Helper()
	test := httptest.NewUnstartedServer(nil)
	test.StartTLS()
	defer test.Close()
	left, right := net.Pipe()
	one := tls.Client(left, &tls.Config{InsecureSkipVerify: true, MaxVersion: version, MinVersion: version})
	other := tls.Server(right, &tls.Config{Certificates: test.TLS.Certificates, MinVersion: tls.VersionTLS12})
	defer one.NetConn().Close()
	done := make(chan error, 1)
	go func() { done <- other.Handshake() }()
	require.NoError(t, one.Handshake())
	require.NoError(t, <-done)
	here, there := one.ConnectionState(), other.ConnectionState()
	return handshake.Connection{TLS: &here}, handshake.Connection{TLS: &there, Address: "10.0.0.7:7070"}
}

func TestAgentAndServerProveThatTheyKnowTheSecret(t *testing.T) {
	agent13, server13 := encrypted(t, tls.VersionTLS13)
	agent12, server12 := encrypted(t, tls.VersionTLS12)
	for what, ends := range map[string][2]handshake.Connection{
		"loopback": {local, local}, "IPv4 in IPv6": {local, {Address: "[::ffff:127.0.0.1]:7070"}},
		"Unix socket": {{}, {}}, "another machine": {{}, {Address: "10.0.0.7:7070"}},
		"TLS 1.3": {agent13, server13}, "TLS 1.2": {agent12, server12},
	} {
		t.Run(what, func(t *testing.T) {
			a, c, final := exchange(t, secret, ends[0], ends[1])
			require.Equal(t, name, c.Name)
			require.False(t, c.Proxied)
			proof, err := c.Check(verifier, final)
			require.NoError(t, err)
			require.NoError(t, a.Verify(proof))
			for _, message := range []string{a.First(), final, proof, c.Known("")} {
				require.NotContains(t, message, secret)
			}
		})
	}
}

func TestWrongSecretProvesNothing(t *testing.T) {
	a, c, final := exchange(t, "another secret", local, local)
	_, err := c.Check(verifier, final)
	require.ErrorIs(t, err, handshake.ErrWrongProof)
	for _, proof := range []string{"", "v=", "e=other-error", "v=" + strings.Repeat("A", 43) + "="} {
		require.Error(t, a.Verify(proof))
	}
}

func TestForgedProofOfTheServerIsRefused(t *testing.T) {
	_, c, final := exchange(t, secret, local, local)
	ofAnother, err := c.Check(verifier, final)
	require.NoError(t, err)
	for what, proof := range map[string]string{"none": "", "an error": "e=invalid-proof", "of another connection": ofAnother,
		"not base64": "v=%", "empty": "v="} {
		t.Run(what, func(t *testing.T) {
			a, _, _ := exchange(t, secret, local, local)
			require.Error(t, a.Verify(proof))
		})
	}
}

// A thief who has read the log knows the verifier and the hash.
func TestReaderOfTheLogCanPoseAsTheServerButNotAsTheAgent(t *testing.T) {
	a, c, final := exchange(t, secret, local, local)
	proof, err := c.Check(verifier, final)
	require.NoError(t, err)
	require.NoError(t, a.Verify(proof), "as the server")
	for _, known := range []string{verifier, verifier[strings.LastIndex(verifier, "$")+1:], strings.Split(verifier, ":")[2]} {
		_, c, final := exchange(t, known, local, local)
		_, err := c.Check(verifier, final)
		require.ErrorIs(t, err, handshake.ErrWrongProof, "as the agent")
	}
}

func TestReplayedProofIsRefused(t *testing.T) {
	a, c, final := exchange(t, secret, local, local)
	_, err := c.Check(verifier, final)
	require.NoError(t, err)
	again, _ := handshake.Receive(a.First(), local)
	_, err = again.Check(verifier, final)
	require.ErrorIs(t, err, handshake.ErrWrongProof)
}

func TestNamesAreAnsweredInTheSameWayWhetherOrNotTheyAreKnown(t *testing.T) {
	factors := func(clientFirst string) string {
		_, first := handshake.Receive(clientFirst, local)
		_, rest, found := strings.Cut(first, ",")
		require.True(t, found, first)
		return rest
	}
	first := handshake.NewCredential(name, secret).Start(local).First()
	require.Equal(t, factors(first), factors(first), "on each server")
	require.Contains(t, verifier, strings.TrimPrefix(strings.Split(factors(first), ",")[0], "s="))
	c, _ := handshake.Receive(first, local)
	require.Len(t, c.Known(""), len(c.Known("a hash")))
}

func TestServerThatKnowsOnlyTheHashProvesThat(t *testing.T) {
	a, c, _ := exchange(t, secret, local, local)
	require.True(t, a.KnowsHash("the hash", c.Known("the hash")))
	for _, proof := range []string{"", c.Known(""), c.Known("another hash")} {
		require.False(t, a.KnowsHash("the hash", proof))
	}
	_, other, _ := exchange(t, secret, local, local)
	require.False(t, a.KnowsHash("the hash", other.Known("the hash")), "of another connection")
	require.False(t, handshake.NewCredential(name, secret).Start(local).KnowsHash("the hash", c.Known("the hash")))
}

// A program between the ends has one TLS connection to each of them.
func TestProofsOfOneTLSConnectionAreWorthlessOnAnother(t *testing.T) {
	agent, _ := encrypted(t, tls.VersionTLS13)
	_, server := encrypted(t, tls.VersionTLS13)
	a, c, final := exchange(t, secret, agent, server)
	_, err := c.Check(verifier, final)
	require.ErrorIs(t, err, handshake.ErrWrongProof)
	require.False(t, a.KnowsHash("the hash", c.Known("the hash")))
}

func TestProxyThatEndsTLSIsRecognizedAndCannotBeFeigned(t *testing.T) {
	agent, server := encrypted(t, tls.VersionTLS13)
	require.ErrorIs(t, answer(agent, local), handshake.ErrProxied)
	agent.Proxied = true
	require.ErrorIs(t, answer(agent, server), handshake.ErrNotProxied, "the server has TLS")
	a, c, final := exchange(t, secret, agent, local)
	require.True(t, c.Proxied)
	proof, err := c.Check(verifier, final)
	require.NoError(t, err)
	require.NoError(t, a.Verify(proof))
}

func TestRelayWithoutTLSIsNoticed(t *testing.T) {
	_, server := encrypted(t, tls.VersionTLS13)
	for what, behind := range map[string]handshake.Connection{
		"another port": {Address: "127.0.0.1:7071"}, "another machine": {Address: "10.0.0.7:7070"}, "Unix socket": {},
		"TLS": server,
	} {
		require.ErrorIs(t, answer(local, behind), handshake.ErrRelayed, what)
	}
	require.ErrorIs(t, answer(handshake.Connection{}, server), handshake.ErrRelayed)

	a := handshake.NewCredential(name, secret).Start(local) // the program removes the address that the agent dialled
	c, first := handshake.Receive(strings.Replace(a.First(), "a="+local.Address, "", 1), handshake.Connection{Address: "127.0.0.1:7071"})
	final, err := a.Answer(first)
	require.NoError(t, err)
	_, err = c.Check(verifier, final)
	require.ErrorIs(t, err, handshake.ErrWrongProof)
}

func TestConnectionThatWasHeldIsNoticed(t *testing.T) {
	agent := handshake.Connection{Address: local.Address, Client: "127.0.0.1:40000"}
	_, _, final := exchange(t, secret, agent, handshake.Connection{Address: local.Address, Client: "[::ffff:127.0.0.1]:40000"})
	require.NotEmpty(t, final)
	held := handshake.Connection{Address: local.Address, Client: "127.0.0.1:40001"}
	require.ErrorIs(t, answer(agent, held), handshake.ErrRelayed)
	require.ErrorIs(t, answer(agent, local), handshake.ErrRelayed)
	require.NoError(t, answer(local, held), "the agent permits that something passes the connection on")

	a := handshake.NewCredential(name, secret).Start(agent) // the program changes the end of the connection
	c, first := handshake.Receive(strings.Replace(a.First(), agent.Client, held.Client, 1), held)
	require.NotNil(t, c)
	_, err := a.Answer(first)
	require.Error(t, err)
}

func TestConnectionFromTheSamePortOfAnotherMachineIsNoticed(t *testing.T) {
	const end = "127.0.0.1:40000"
	nonce := handshake.Connection{Client: end}.Nonce()
	require.True(t, handshake.ComesFrom(nonce, end))
	require.False(t, handshake.ComesFrom(nonce, "127.0.0.1:40001"))
	random, machine, ok := strings.Cut(nonce, "/")
	require.True(t, ok)
	if machine == "" {
		t.Skip("this system does not tell which machine it is")
	}
	require.False(t, handshake.ComesFrom(random+"/0123456789abcdef", end))
	require.True(t, handshake.ComesFrom(random, end), "an earlier version does not name its machine")
}

func TestAgentAcceptsNoOtherSaltOrIterationCount(t *testing.T) {
	for _, change := range []func(string) string{
		func(first string) string { return strings.Replace(first, "i=4096", "i=1", 1) },
		func(first string) string { return strings.Replace(first, "i=4096", "i=2000000000", 1) },
		func(first string) string { return strings.Replace(first, ",s=", ",s=AAAA", 1) },
		func(first string) string { return strings.Replace(first, "r=", "r=A", 1) },
		func(string) string { return "" },
		func(string) string { return "e=anything" },
		func(string) string { return strings.Repeat("r", 1<<20) },
	} {
		a := handshake.NewCredential(name, secret).Start(local)
		_, first := handshake.Receive(a.First(), local)
		_, err := a.Answer(change(first))
		require.Error(t, err)
	}
}

func TestOnlyCompleteVerifiersOfTheNameAreAccepted(t *testing.T) {
	require.NoError(t, handshake.CheckVerifier(name, verifier))
	require.True(t, handshake.Matches(verifier, name, secret))
	require.False(t, handshake.Matches(verifier, name, "another"))
	require.False(t, handshake.Matches("", name, secret))
	for _, text := range []string{"", "SCRAM-SHA-256$4096:c2FsdA==$YQ==:Yg==", verifier[:len(verifier)-1], verifier + "A",
		strings.Replace(verifier, "4096", "1", 1), handshake.VerifierOf(handshake.JoinName("0123456789ab"), secret)} {
		require.Error(t, handshake.CheckVerifier(name, text), text)
	}
}

func TestServerKeySignsTheHandshake(t *testing.T) {
	key, err := serverkey.New()
	require.NoError(t, err)
	a, c, _ := exchange(t, secret, local, local)
	require.Equal(t, key.Public(), a.ServerKey(c.Sign(key)))
	require.Empty(t, c.Sign(serverkey.Key{}))
	other, err := serverkey.New()
	require.NoError(t, err)
	_, another, _ := exchange(t, secret, local, local)
	_, signature, _ := strings.Cut(c.Sign(other), " ")
	for what, header := range map[string]string{"none": "", "of another connection": another.Sign(key),
		"by another key": key.String() + " " + signature, "not base64": key.String() + " %", "only a key": key.String()} {
		require.True(t, a.ServerKey(header).IsZero(), what)
	}
	agent, _ := encrypted(t, tls.VersionTLS13)
	_, server := encrypted(t, tls.VersionTLS13)
	a, c, _ = exchange(t, secret, agent, server)
	require.True(t, a.ServerKey(c.Sign(key)).IsZero(), "of another TLS connection")
}

func FuzzHandshakeMessageCannotBreakEitherEnd(f *testing.F) {
	a := handshake.NewCredential(name, secret)
	f.Add(a.Start(local).First(), "c=biws,r=x,p=AAAA", "v=AAAA")
	f.Add("p=tls-exporter,,n=a,r=b", "", "e=other-error")
	f.Add("y,a=127.0.0.1:7070,n==2C,r=", "c=,r=,p=", "r=a,s=b,i=4096")
	f.Fuzz(func(t *testing.T, first, final, answer string) {
		if c, reply := handshake.Receive(first, local); c != nil {
			_, err := c.Check(verifier, final)
			require.Error(t, err, "nobody without the secret is accepted")
			require.Less(t, len(reply), 4096)
		}
		attempt := a.Start(local)
		if _, err := attempt.Answer(answer); err == nil {
			require.Error(t, attempt.Verify(final))
		}
		require.Error(t, attempt.Verify(answer))
	})
}

func BenchmarkHandshake(b *testing.B) {
	credential := handshake.NewCredential(name, secret)
	for b.Loop() {
		a := credential.Start(local)
		c, first := handshake.Receive(a.First(), local)
		final, err := a.Answer(first)
		require.NoError(b, err)
		proof, err := c.Check(verifier, final)
		require.NoError(b, err)
		require.NoError(b, a.Verify(proof))
	}
}

func BenchmarkVerifier(b *testing.B) {
	for b.Loop() {
		handshake.VerifierOf(name, secret)
	}
}
