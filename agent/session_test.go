package agent_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/agent"
	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
)

func TestAgentSendsHeartbeats(t *testing.T) {
	server := newServer(t)
	startAgent(t, configuration(t, server))
	c := server.welcome(t)
	for range 3 {
		expect(t, c, aHeartbeat)
	}
}

func TestAgentMovesToTheNextServerIfOneIsGone(t *testing.T) {
	dead, first, second := newServer(t), newServer(t), newServer(t)
	config := configuration(t, dead, first, second)
	dead.Close()
	startAgent(t, config)
	select { // the agent shuffles its servers
	case c := <-first.opened:
		first.opened <- c
	case c := <-second.opened:
		second.opened <- c
		first, second = second, first
	case <-time.After(timeout):
		t.Fatal("no agent connected")
	}
	c := first.welcome(t)
	session := c.hello.Session
	first.CloseClientConnections()
	c.drop()
	first.Close()
	c = second.welcome(t)
	require.Equal(t, session, c.hello.Session, "reconnecting keeps the session")
	expect(t, c, aHeartbeat)
}

func TestRefusedAgentRetriesAndFollowsRedirects(t *testing.T) {
	first, other := newServer(t), newServer(t)
	startAgent(t, configuration(t, first))
	for range 3 {
		c := first.accept(t)
		c.send(t, client.ToAgent{Refused: &client.Refused{Reason: "the name is taken by another instance"}})
	}
	c := first.accept(t)
	c.send(t, client.ToAgent{Refused: &client.Refused{Reason: "another server holds your session", Server: other.URL}})
	c = other.welcome(t)
	expect(t, c, aHeartbeat)
	c.send(t, client.ToAgent{Refused: &client.Refused{Reason: "this server drains"}})
	expect(t, first.welcome(t), aHeartbeat)
}

func TestPermanentRefusalEndsTheAgent(t *testing.T) {
	final := client.ToAgent{Refused: &client.Refused{Reason: "the join token is revoked", Final: true}}
	t.Run("before the welcome", func(t *testing.T) {
		server := newServer(t)
		a := startAgent(t, configuration(t, server))
		server.accept(t).send(t, final)
		var refused *agent.Error
		require.ErrorAs(t, a.wait(t), &refused)
		require.Equal(t, agent.Forbidden, refused.Kind)
		require.ErrorContains(t, refused, "refused this agent: the join token is revoked")
	})
	t.Run("during a step, which finishes", func(t *testing.T) {
		server := newServer(t)
		config := configuration(t, server)
		folder := t.TempDir()
		a := startAgent(t, config)
		c := server.welcome(t)
		c.offerAndConfirmClaim(t, work("d-1",
			"touch "+folder+"/started; while ! [ -e "+folder+"/continue ]; do sleep 0.01; done; touch "+folder+"/finished"))
		waitUntilExists(t, folder+"/started")
		c.send(t, final)
		<-c.over
		require.NoError(t, os.WriteFile(folder+"/continue", nil, 0o600))
		require.ErrorAs(t, a.wait(t), new(*agent.Error))
		require.FileExists(t, folder+"/finished")
		require.Contains(t, read(t, entry(config, "d-1")), "succeeded", "the end is stored")
	})
}

func TestStoppedEphemeralAgentRequestsItsDeletion(t *testing.T) {
	server := newServer(t)
	config := configuration(t, server)
	config.Ephemeral = true
	a := startAgent(t, config)
	c := server.welcome(t)
	expect(t, c, aHeartbeat)
	a.stop()
	require.True(t, expect(t, c, aGoodbye).Delete)
	require.NoError(t, a.wait(t))
}

func TestAgentStopsWhenNoServerIsReachable(t *testing.T) {
	for _, ephemeral := range []bool{false, true} {
		server := newServer(t)
		config := configuration(t, server)
		config.Ephemeral = ephemeral
		a := startAgent(t, config)
		c := server.welcome(t)
		c.offerAndConfirmClaim(t, work("d-1", "true"))
		expect(t, c, anEnd)
		c.drop()
		server.Close()
		a.stop()
		require.NoError(t, a.wait(t))
		require.FileExists(t, entry(config, "d-1"), "the unconfirmed end is stored")
	}
}

func TestServerWarningsAreLogged(t *testing.T) {
	server := newServer(t)
	a := startAgent(t, configuration(t, server))
	c := server.accept(t)
	c.send(t, client.ToAgent{
		Welcome: &client.Welcome{Log: "log-1", Settings: shortSettings(nil), Warnings: []string{"--role web differs from the log"}},
	})
	expect(t, c, aHeartbeat)
	require.Equal(t, "--role web differs from the log",
		a.log.FilterMessage("warning from the server").All()[0].ContextMap()["warning"])
}

func TestAgentTrustsOnlyItsCAFile(t *testing.T) {
	server := startServer(t, (*httptest.Server).StartTLS)
	config := configuration(t, server)
	rejecting := startAgent(t, config)
	require.Eventually(t, func() bool {
		return rejecting.log.FilterMessage("could not connect; retrying").Len() > 0
	}, timeout, 5*time.Millisecond)
	require.Empty(t, server.allReceived())
	rejecting.stop()
	require.NoError(t, rejecting.wait(t))

	config.CA = inFolder(t, "ca.pem")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	require.NoError(t, os.WriteFile(config.CA, certificate, 0o600))
	startAgent(t, config)
	expect(t, server.welcome(t), aHeartbeat)
}

func TestInvalidConfigurationIsReportedImmediately(t *testing.T) {
	good := agent.Config{Servers: []string{"http://127.0.0.1:1"}, Name: "web-01", Data: t.TempDir()}
	empty := inFolder(t, "empty.pem")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	for name, c := range map[string]struct {
		change  func(*agent.Config)
		message string
	}{
		"no server": {func(c *agent.Config) { c.Servers = nil },
			"no server to connect to; specify one with --server URL"},
		"not a URL": {func(c *agent.Config) { c.Servers = []string{"drover:7070"} },
			`invalid server URL "drover:7070": use a URL like https://drover.example.com:7070`},
		"not HTTP": {func(c *agent.Config) { c.Servers = []string{"ftp://drover"} },
			`invalid server URL "ftp://drover": unsupported scheme ftp, use http or https`},
		"a password": {func(c *agent.Config) { c.Servers = []string{"http://me:secret@drover"} },
			`invalid server URL "http://me:xxxxx@drover": use only scheme, host, port and path`},
		"no name":        {func(c *agent.Config) { c.Name = "" }, "the machine has no name; specify one with --name NAME"},
		"no data folder": {func(c *agent.Config) { c.Data = "" }, "no data folder; specify one with --data FOLDER"},
		"data is a file": {func(c *agent.Config) { c.Data = empty },
			"create the data folder: mkdir " + empty + ": not a directory"},
		"no CA file": {func(c *agent.Config) { c.CA = "/no/such.pem" },
			"read the CA file: open /no/such.pem: no such file or directory"},
		"join token with a line break": {func(c *agent.Config) { c.Join = joinText + "\r" },
			"the join token contains an invalid character, such as a line break (set --join or DROVER_JOIN to exactly what " +
				"`drover token create --join` printed)"},
		"a list of names to pass": {func(c *agent.Config) { c.PassEnv = []string{"AWS_*"} },
			`invalid --pass-env "AWS_*": use the name of one environment variable, such as AWS_PROFILE`},
		"a variable of drover to pass": {func(c *agent.Config) { c.PassEnv = []string{"DROVER_JOIN"} },
			"invalid --pass-env DROVER_JOIN: names that begin with DROVER_ are reserved for drover"},
		"empty CA file": {func(c *agent.Config) { c.CA = empty }, empty + " contains no certificate in PEM format"},
	} {
		t.Run(name, func(t *testing.T) {
			config := good
			c.change(&config)
			err := agent.Run(t.Context(), config)
			var runError *agent.Error
			require.ErrorAs(t, err, &runError)
			require.Equal(t, agent.Invalid, runError.Kind)
			require.EqualError(t, err, c.message)
		})
	}
}

func TestSecondAgentInADataFolderIsAConflict(t *testing.T) {
	server := newServer(t)
	config := configuration(t, server)
	startAgent(t, config)
	server.welcome(t)
	err := agent.Run(t.Context(), config)
	var runError *agent.Error
	require.ErrorAs(t, err, &runError)
	require.Equal(t, agent.Conflict, runError.Kind)
	require.ErrorContains(t, err, "give each agent its own data folder")
}

func TestAgentWithADamagedJournalDoesNotStart(t *testing.T) {
	server := newServer(t)
	config := configuration(t, server)
	require.NoError(t, os.MkdirAll(filepath.Dir(entry(config, "d-1")), 0o700))
	require.NoError(t, os.WriteFile(entry(config, "d-1"), []byte("torn"), 0o600))
	err := agent.Run(t.Context(), config)
	require.ErrorContains(t, err, entry(config, "d-1")+" is damaged")
}

func TestHealthIsReportedWhenItChangesAndAfterEachWelcome(t *testing.T) {
	server := newServer(t)
	code := inFolder(t, "code")
	set := func(exit string) {
		require.NoError(t, os.WriteFile(code+".new", []byte(exit), 0o600))
		require.NoError(t, os.Rename(code+".new", code))
	}
	set("0")
	check := &domain.HealthCheck{
		Every: domain.Duration(20 * time.Millisecond), Timeout: domain.Duration(10 * time.Second),
		Script: "code=$(cat " + code + "); echo first line; echo of $DROVER_MACHINE: $code; exit $code",
	}
	welcome := client.ToAgent{Welcome: &client.Welcome{Log: "log-1", Settings: shortSettings(check)}}
	startAgent(t, configuration(t, server))
	c := server.accept(t)
	c.send(t, welcome)
	require.Equal(t, client.Health{Status: "healthy", Detail: "of web-01: 0"}, *expect(t, c, aHealth))
	set("1")
	require.Equal(t, client.Health{Status: "warning", Detail: "of web-01: 1"}, *expect(t, c, aHealth))
	set("2")
	require.Equal(t, domain.Unhealthy, expect(t, c, aHealth).Status, "every change is reported, and nothing else")
	c.drop()

	c = server.accept(t)
	c.send(t, welcome)
	require.Equal(t, client.Health{Status: "unhealthy", Detail: "of web-01: 2"}, *expect(t, c, aHealth))

	slow := &domain.HealthCheck{
		Every: domain.Duration(time.Hour), Timeout: domain.Duration(50 * time.Millisecond), Script: "sleep 60; sleep 60",
	}
	settings := shortSettings(slow)
	settings.HeartbeatEvery = domain.Duration(time.Hour)
	c.send(t, client.ToAgent{Settings: &settings})
	late := client.Health{Status: "unhealthy", Detail: "the check exceeded its timeout of 50ms"}
	expect(t, c, func(m client.FromAgent) *client.Health { // a result of the previous check may arrive first
		if m.Health == nil || *m.Health != late {
			return nil
		}
		return m.Health
	})
}

func TestCredentialsOfTheAgentAreMaskedEverywhere(t *testing.T) {
	server := newServer(t)
	config := configuration(t, server)
	script := "cat " + filepath.Join(config.Data, "identity.json") + " | tr -d '\\n '; echo; echo 'join " + joinText + " of ada'"
	require.NoError(t, os.MkdirAll(config.Data, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(config.Data, "secrets.env"), []byte("NAME=ada\n"), 0o600))
	startAgent(t, config)
	c := server.accept(t)
	check := &domain.HealthCheck{Every: domain.Duration(time.Hour), Timeout: domain.Duration(30 * time.Second), Script: script}
	c.send(t, client.ToAgent{Welcome: &client.Welcome{Log: "log-1", Settings: shortSettings(check)}})
	require.Equal(t, "join 0123456789ab.*** of ***", expect(t, c, aHealth).Detail)

	c.offerAndConfirmClaim(t, work("d-1", script+"; exit 3"))
	out, end := outputAndEnd(t, c)
	require.Contains(t, out, `"secret":"***"`)
	require.Contains(t, end.Detail, "join 0123456789ab.*** of ***")
	require.NotContains(t, out, joinSecret)
}

func TestHealthCheckInheritsOnlyTheListedVariables(t *testing.T) {
	t.Setenv("AWS_SECRET_ACCESS_KEY", "leak")
	t.Setenv("AWS_PROFILE", "passed")
	server := newServer(t)
	config := configuration(t, server)
	config.PassEnv = []string{"AWS_PROFILE"}
	startAgent(t, config)
	c := server.accept(t)
	check := &domain.HealthCheck{
		Every: domain.Duration(time.Hour), Timeout: domain.Duration(30 * time.Second),
		Script: `echo "profile=$AWS_PROFILE key=$AWS_SECRET_ACCESS_KEY"`,
	}
	c.send(t, client.ToAgent{Welcome: &client.Welcome{Log: "log-1", Settings: shortSettings(check)}})
	require.Equal(t, client.Health{Status: "healthy", Detail: "profile=passed key="}, *expect(t, c, aHealth))
}

// The result after a part does not wait for the interval. The data folder is relative, as on a command line.
func TestHealthCheckRunsAfterEachPart(t *testing.T) {
	server := newServer(t)
	t.Chdir(t.TempDir())
	config := configuration(t, server)
	config.Data = "data"
	code := inFolder(t, "code")
	require.NoError(t, os.WriteFile(code, []byte("0"), 0o600))
	check := &domain.HealthCheck{Every: domain.Duration(time.Hour), Timeout: domain.Duration(10 * time.Second),
		Script: "exit $(cat " + code + ")"}
	startAgent(t, config)
	c := server.accept(t)
	c.send(t, client.ToAgent{Welcome: &client.Welcome{Log: "log-1", Settings: shortSettings(check)}})
	require.Equal(t, domain.Healthy, expect(t, c, aHealth).Status)
	for n, status := range map[string]domain.Health{"2": domain.Unhealthy, "1": domain.Warning} {
		c.offerAndConfirmClaim(t, work("d-"+n, "echo "+n+" >"+code))
		expect(t, c, anEnd)
		c.confirm(t, "d-"+n)
		require.Equal(t, status, expect(t, c, aHealth).Status)
	}
}

func TestHealthFromBeforeTheEndOfAPartDoesNotCount(t *testing.T) {
	server := newServer(t)
	config := configuration(t, server)
	code, started, block := inFolder(t, "code"), inFolder(t, "started"), inFolder(t, "block")
	write := func(path, text string) { require.NoError(t, os.WriteFile(path, []byte(text), 0o600)) }
	write(code, "0")
	check := &domain.HealthCheck{Every: domain.Duration(20 * time.Millisecond), Timeout: domain.Duration(time.Minute),
		Script: "code=$(cat " + code + "); if [ -e " + block + " ]; then touch " + started + "; fi; " +
			"while [ -e " + block + " ]; do sleep 0.02; done; exit $code"}
	startAgent(t, config)
	c := server.accept(t)
	c.send(t, client.ToAgent{Welcome: &client.Welcome{Log: "log-1", Settings: shortSettings(check)}})
	require.Equal(t, domain.Healthy, expect(t, c, aHealth).Status)
	write(block, "")
	write(code, "2")
	waitUntilExists(t, started) // a run has begun that finds the machine unhealthy, or healthy as before
	write(code, "1")
	c.complete(t, config, work("d-1", "true"))
	require.NoError(t, os.Remove(block))
	require.Equal(t, domain.Warning, expect(t, c, aHealth).Status, "the run began before the end of the part")
}

func TestAgentReloadsItsCAFile(t *testing.T) {
	server := startServer(t, (*httptest.Server).StartTLS)
	right := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(7), NotAfter: time.Now().Add(time.Hour)}
	wrong, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	require.NoError(t, err)
	config := configuration(t, server)
	config.CA = inFolder(t, "ca.pem")
	require.NoError(t, os.WriteFile(config.CA, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: wrong}), 0o600))
	a := startAgent(t, config)
	require.Eventually(t, func() bool { return a.log.FilterMessage("could not connect; retrying").Len() > 0 }, timeout,
		10*time.Millisecond)
	require.NoError(t, os.WriteFile(config.CA, right, 0o600))
	c := server.welcome(t)
	require.NoError(t, os.WriteFile(config.CA, []byte("half"), 0o600))
	c.drop()
	expect(t, server.welcome(t), aHeartbeat)
}

func TestAgentWithoutEnvironmentWarnsAtItsStart(t *testing.T) {
	const warning = "no environment is given; the server accepts this agent only if its machine exists already, so start it " +
		"with --environment"
	server := newServer(t)
	config := configuration(t, server)
	config.Environment = ""
	a := startAgent(t, config)
	server.welcome(t)
	require.Equal(t, 1, a.log.FilterMessage(warning).Len())

	other := newServer(t)
	b := startAgent(t, configuration(t, other))
	other.welcome(t)
	require.Zero(t, b.log.FilterMessage(warning).Len())
}
