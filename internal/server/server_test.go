package server_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/access"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/internal/config"
	"github.com/droverhq/drover/internal/server"
)

// running is a server that runs in the test process.
type running struct {
	address string
	end     chan error
	stop    context.CancelFunc
}

// start starts a server, on a free port by default.
func start(t *testing.T, c server.Config) running {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	r := running{end: make(chan error, 1), stop: stop}
	if c.Listen == "" {
		c.Listen = "127.0.0.1:0"
	}
	ready := make(chan string, 1)
	c.Ready = func(address string) { ready <- address }
	go func() { r.end <- server.Run(ctx, c) }()
	select {
	case r.address = <-ready:
	case err := <-r.end:
		stop()
		require.NoError(t, err)
	}
	t.Cleanup(stop)
	return r
}

func (r running) stopped(t *testing.T) {
	t.Helper()
	r.stop()
	require.NoError(t, <-r.end)
}

func home(t *testing.T) (data string) {
	t.Helper()
	t.Setenv("HOME", t.TempDir())
	t.Setenv("XDG_CONFIG_HOME", "")
	return filepath.Join(t.TempDir(), "data")
}

func contexts(t *testing.T) config.Contexts {
	t.Helper()
	path, err := config.ContextsPath()
	require.NoError(t, err)
	all, err := config.ReadContexts(path)
	require.NoError(t, err)
	return all
}

func TestFirstStartCreatesContextAndLaterStartsKeepItsToken(t *testing.T) {
	data := home(t)
	first := start(t, server.Config{Data: data})
	left := contexts(t)
	require.Len(t, left.List, 1)
	require.Equal(t, []string{first.address}, left.List[0].Servers)
	require.Equal(t, left.List[0].Log, left.Current)
	first.stopped(t)

	second := start(t, server.Config{Data: data})
	defer second.stopped(t)
	after := contexts(t)
	require.Len(t, after.List, 1)
	require.Equal(t, left.List[0].Token, after.List[0].Token)
	require.Contains(t, after.List[0].Servers, second.address)
}

func TestUserWithoutHomeCanRunServer(t *testing.T) {
	data := home(t)
	t.Setenv("HOME", "")
	start(t, server.Config{Data: data}).stopped(t)
}

func TestSecondServerOnTheSameAddressFailsAndWritesNothing(t *testing.T) {
	first := start(t, server.Config{Data: home(t)})
	defer first.stopped(t)
	other := filepath.Join(t.TempDir(), "other")
	err := server.Run(context.Background(), server.Config{Data: other, Listen: strings.TrimPrefix(first.address,
		"http://")})
	require.ErrorContains(t, err, "the address is in use, perhaps by another drover server")
	require.NoDirExists(t, other)
}

func TestStoppedServerDropsItsLease(t *testing.T) {
	data := home(t)
	r := start(t, server.Config{Data: data})
	log, err := server.OpenLog(t.Context(), server.LogConfig{Data: data})
	require.NoError(t, err)
	defer log.Close()
	require.Eventually(t, func() bool { return leases(t, log) == 1 }, 20*time.Second, 20*time.Millisecond)
	r.stopped(t)
	require.Zero(t, leases(t, log))
}

func leases(t *testing.T, log eventlog.Backend) int {
	t.Helper()
	all, err := log.Newest(context.Background(), eventlog.Leases)
	require.NoError(t, err)
	return len(all)
}

func TestTokenIsCreatedInLogWithoutServer(t *testing.T) {
	data := home(t)
	start(t, server.Config{Data: data}).stopped(t)
	log, err := server.OpenLog(t.Context(), server.LogConfig{Data: data})
	require.NoError(t, err)
	defer log.Close()
	made, err := server.CreateTokenInLog(t.Context(), log, access.TokenRequest{Scope: domain.ReadScope}, "test")
	require.NoError(t, err)
	require.Regexp(t, `^[0-9a-f]{12}\.`, made.Text)
	require.Equal(t, "read-"+made.Text[:8], made.Settings.Name)
	_, err = server.CreateTokenInLog(t.Context(), log, access.TokenRequest{Join: true, Environments: []string{"nowhere"}}, "test")
	require.ErrorContains(t, err, "nowhere")
}

func TestContextOfTLSServerHasItsCertificateAndCertifiedHost(t *testing.T) {
	data := home(t)
	cert, key := certificate(t)
	r := start(t, server.Config{Data: data, Listen: "0.0.0.0:0", TLSCert: cert, TLSKey: key})
	defer r.stopped(t)
	require.Regexp(t, `^https://drover\.test:\d+$`, r.address)
	require.Equal(t, cert, contexts(t).List[0].CA)
}

func TestUnreadableCertificateIsNamedInTheError(t *testing.T) {
	err := server.Run(context.Background(), server.Config{Listen: "127.0.0.1:0", Data: t.TempDir(),
		TLSCert: "no.pem", TLSKey: "no.key"})
	require.ErrorContains(t, err, "read certificate no.pem and key no.key")
}

// certificate writes a self-signed certificate that is valid only for drover.test.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "drover"},
		DNSNames: []string{"drover.test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	signed, err := x509.CreateCertificate(rand.Reader, &template, &template, &private.PublicKey, private)
	require.NoError(t, err)
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	folder := t.TempDir()
	cert, key = filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	require.NoError(t, os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed}), 0o600))
	require.NoError(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}), 0o600))
	return cert, key
}

func TestServerStartedHasTheAdvertisedAddress(t *testing.T) {
	name, err := os.Hostname()
	require.NoError(t, err)
	for want, c := range map[string]server.Config{
		`^http://127\.0\.0\.1:\d+$`:                   {},
		"^http://" + regexp.QuoteMeta(name) + `:\d+$`: {Listen: "0.0.0.0:0", Insecure: true},
		`^https://drover\.example:7443$`:              {Address: "https://drover.example:7443/"},
	} {
		c.Data = home(t)
		start(t, c).stopped(t)
		log, err := server.OpenLog(t.Context(), server.LogConfig{Data: c.Data})
		require.NoError(t, err)
		defer log.Close()
		for rec, err := range log.ReadAll(t.Context(), 0, 1) {
			require.NoError(t, err)
			var started struct{ Address string }
			require.NoError(t, json.Unmarshal(rec.Data, &started))
			require.Regexp(t, want, started.Address)
		}
	}
	err = server.Run(context.Background(), server.Config{Data: home(t), Listen: "127.0.0.1:0", Address: "drover.example"})
	require.ErrorContains(t, err, "use https://HOST:PORT")
}

func TestTokenThatTheLogLostIsReplacedAtTheNextStart(t *testing.T) {
	data := home(t)
	start(t, server.Config{Data: data}).stopped(t)
	left := contexts(t)
	path, err := config.ContextsPath()
	require.NoError(t, err)
	require.NoError(t, config.ChangeContexts(path, func(all *config.Contexts) (bool, error) {
		all.List[0].Token = "0123456789ab.lost"
		return true, nil
	}))
	start(t, server.Config{Data: data}).stopped(t)
	after := contexts(t)
	require.Len(t, after.List, 1)
	require.Equal(t, left.Current, after.Current)
	require.NotEqual(t, "0123456789ab.lost", after.List[0].Token)
	start(t, server.Config{Data: data}).stopped(t)
	require.Equal(t, after.List[0].Token, contexts(t).List[0].Token, "a token that the log knows is kept")
}
