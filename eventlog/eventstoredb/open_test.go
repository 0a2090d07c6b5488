package eventstoredb_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/eventstoredb"
	"github.com/droverhq/drover/eventlog/eventstoredb/eventstoredbtest"
)

// secret is a password that must not appear in errors and logs.
const secret = "s3cr3t-word"

// certified returns a server certificate for this host and the file of its certificate authority.
func certified(t testing.TB) (config *tls.Config, authority string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	authority = filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}), 0o600))
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{raw}, PrivateKey: key}},
		NextProtos: []string{"h2"}}, authority
}

// guarded starts a cluster with TLS and two users.
func guarded(t testing.TB) (cluster *eventstoredbtest.Cluster, authority string) {
	t.Helper()
	certificate, authority := certified(t)
	return start(t, eventstoredbtest.Config{TLS: certificate, Users: map[string]eventstoredbtest.User{
		"admin":  {Password: secret, ReadsAll: true, Writes: true},
		"writer": {Password: secret, Writes: true},
	}}), authority
}

func TestLogOpensWithTLSAndPassword(t *testing.T) {
	cluster, authority := guarded(t)
	for _, discover := range []bool{false, true} {
		address := cluster.URL(url.UserPassword("admin", secret), "tlsCaFile="+authority)
		if discover {
			address = "kurrentdb+discover" + address[len("esdb"):]
		}
		log, err := eventstoredb.Open(within(t, 10*time.Second), address, eventstoredb.Config{})
		require.NoError(t, err)
		put(t, log, uuid.NewString(), eventlog.NoStream, event("a"))
		require.NotEmpty(t, readAll(t, log))
		require.NoError(t, log.Close())
	}
}

// TestOpenErrorsAreExplained checks the messages that a user reads. None may contain the password.
func TestOpenErrorsAreExplained(t *testing.T) {
	locked, authority := guarded(t)
	plain := start(t, eventstoredbtest.Config{})
	down := start(t, eventstoredbtest.Config{})
	down.Stop()
	who := func(name, password string) *url.Userinfo { return url.UserPassword(name, password) }
	for name, try := range map[string]struct {
		url, message string
		kind         error
	}{
		"wrong password": {locked.URL(who("admin", secret+"x"), "tlsCaFile="+authority),
			"wrong user or password", eventlog.ErrUnavailable},
		"no permission to read $all": {locked.URL(who("writer", secret), "tlsCaFile="+authority),
			"access denied; the user needs permission to read $all ($admins or the $acl of $all)",
			eventlog.ErrUnavailable},
		"no user": {locked.URL(nil, "tlsCaFile="+authority), "access denied", eventlog.ErrUnavailable},
		"host down": {down.URL(who("admin", secret)),
			"connection refused; check that the server is running", eventlog.ErrUnavailable},
		"unknown host": {"esdb://admin:" + secret + "@nowhere.invalid:2113", "unknown host name",
			eventlog.ErrUnavailable},
		"TLS to a server without TLS": {strings.ReplaceAll(plain.URL(who("admin", secret)), "tls=false", "tls=true"),
			"the server does not use TLS; configure a certificate or set tls=false", eventlog.ErrUnavailable},
		"no TLS to a server with TLS": {locked.URL(who("admin", secret), "tls=false"),
			"remove tls=false if it requires TLS", eventlog.ErrUnavailable},
		"unknown authority": {locked.URL(who("admin", secret)),
			"signed by an unknown authority; set tlsCaFile=FILE", eventlog.ErrUnavailable},
		"missing file": {plain.URL(who("admin", secret), "tlsCaFile=/no/such/file"), "/no/such/file", nil},
		"another scheme": {"mysql://admin:" + secret + "@db/x",
			"is not a valid connection string: use esdb://HOST:2113", nil},
		"no host":           {"esdb://", "has no host", nil},
		"unknown parameter": {plain.URL(who("admin", secret), "tsl=false"), `has the unknown parameter "tsl"`, nil},
		"bad parameter":     {plain.URL(who("admin", secret), "gossipTimeout=soon"), "gossipTimeout", nil},
		"bad log name": {plain.URL(who("admin", secret), "log=a.b"),
			`invalid log name "a.b": use at most 64 characters of a-z, 0-9, - and _`, nil},
		"slash in password": {"esdb://admin:" + secret + "/more@db:2113",
			"percent-encode special characters in the password (%XX)", nil},
		"hash in password": {"esdb://admin:" + secret + "#more@db:2113", "", nil},
		"percent in password": {"esdb://admin:" + secret + "%zz@db:2113",
			"percent-encode special characters in the password (%XX)", nil},
		"bad port": {"esdb://admin:" + secret + "@db:port", "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			core, logged := observer.New(zap.DebugLevel)
			_, err := eventstoredb.Open(within(t, 10*time.Second), try.url,
				eventstoredb.Config{Logger: zap.New(core), RetryTimeout: time.Second})
			require.Error(t, err)
			if try.kind != nil {
				require.ErrorIs(t, err, try.kind)
			}
			require.ErrorContains(t, err, try.message)
			require.NotContains(t, err.Error(), secret)
			require.Less(t, len(err.Error()), 600, "the message is too long: %v", err)
			for _, entry := range logged.All() {
				require.NotContains(t, entry.Message, secret)
				for _, value := range entry.ContextMap() {
					require.NotContains(t, value, secret)
				}
			}
			t.Log(err)
		})
	}
}

func TestLogRetainsItsID(t *testing.T) {
	cluster := start(t, eventstoredbtest.Config{})
	mine := uuid.New()
	first := with(t, cluster, eventstoredb.Config{ID: mine})
	id, err := first.ID(context.Background())
	require.NoError(t, err)
	require.Equal(t, mine, id)
	again := with(t, cluster, eventstoredb.Config{})
	id, err = again.ID(context.Background())
	require.NoError(t, err)
	require.Equal(t, mine, id)
	_, err = eventstoredb.Open(within(t, 10*time.Second), cluster.URL(nil), eventstoredb.Config{ID: uuid.New()})
	require.ErrorIs(t, err, eventlog.ErrForeign)
	require.ErrorContains(t, err, mine.String())
}

func TestExistingDoesNotCreateLog(t *testing.T) {
	cluster := start(t, eventstoredbtest.Config{})
	before := cluster.Records()
	_, err := eventstoredb.Open(within(t, 10*time.Second), cluster.URL(nil, "log=slip"),
		eventstoredb.Config{Existing: true})
	require.ErrorIs(t, err, eventlog.ErrForeign)
	require.ErrorContains(t, err, "open log slip: ")
	require.ErrorContains(t, err, "has no log with this name")
	require.Equal(t, before, cluster.Records())
	with(t, cluster, eventstoredb.Config{})
	with(t, cluster, eventstoredb.Config{Existing: true})
}

func TestConcurrentCreatorsGetSameID(t *testing.T) {
	cluster := start(t, eventstoredbtest.Config{})
	ids := make([]uuid.UUID, 8)
	var opening sync.WaitGroup
	for i := range ids {
		opening.Go(func() {
			log, err := eventstoredb.Open(within(t, 10*time.Second), cluster.URL(nil), eventstoredb.Config{})
			if err != nil {
				t.Errorf("open: %v", err)
				return
			}
			defer log.Close()
			ids[i], _ = log.ID(context.Background())
		})
	}
	opening.Wait()
	for _, id := range ids {
		require.Equal(t, ids[0], id)
		require.NotEqual(t, uuid.Nil, id)
	}
	read, err := bareClient(t, cluster.URL(nil)).ReadStream(within(t, 10*time.Second), "drover-log.default",
		esdb.ReadStreamOptions{}, 10)
	require.NoError(t, err)
	_, err = read.Recv()
	require.NoError(t, err)
	_, err = read.Recv()
	require.ErrorIs(t, err, io.EOF, "a second id was written")
}

func TestNewerLogFormatIsRefused(t *testing.T) {
	cluster := start(t, eventstoredbtest.Config{})
	write(t, cluster, "drover-log.default", `{"format":2,"id":"`+uuid.NewString()+`"}`)
	_, err := eventstoredb.Open(within(t, 10*time.Second), cluster.URL(nil), eventstoredb.Config{})
	require.ErrorIs(t, err, eventlog.ErrForeign)
	require.ErrorContains(t, err, "the log has format 2, but this drover supports formats up to 1; use a newer drover")
}

// write appends an event, as another application would.
func write(t testing.TB, cluster *eventstoredbtest.Cluster, stream, data string) {
	t.Helper()
	_, err := bareClient(t, cluster.URL(nil)).AppendToStream(within(t, 10*time.Second), stream,
		esdb.AppendToStreamOptions{},
		esdb.EventData{EventID: uuid.New(), EventType: "x", ContentType: esdb.ContentTypeJson, Data: []byte(data)})
	require.NoError(t, err)
}

func TestForeignEventInLogIsReportedAsDamaged(t *testing.T) {
	cluster := start(t, eventstoredbtest.Config{})
	log := with(t, cluster, eventstoredb.Config{})
	put(t, log, "a", eventlog.NoStream, event("a"))
	write(t, cluster, "drover.default.a", `{}`)
	n, err := readStream(within(t, 10*time.Second), log, "a")
	require.Equal(t, 1, n)
	require.ErrorIs(t, err, eventlog.ErrDamaged)
	require.ErrorContains(t, err, "stream a, revision 1, position")
	_, err = eventlog.Verify(within(t, 10*time.Second), log, nil)
	require.ErrorIs(t, err, eventlog.ErrDamaged)
}

func TestEventsOfOtherApplicationsAreIgnored(t *testing.T) {
	cluster := start(t, eventstoredbtest.Config{})
	log := with(t, cluster, eventstoredb.Config{})
	write(t, cluster, "orders-1", `{}`)
	write(t, cluster, "drover.defaultish.a", `{}`)
	put(t, log, "a", eventlog.NoStream, event("a"))
	write(t, cluster, "orders-2", `{}`)
	all := readAll(t, log)
	require.Len(t, all, 1)
	head, err := log.Head(within(t, 10*time.Second))
	require.NoError(t, err)
	require.Equal(t, all[0].Position, head)
}

func TestHeadIsFoundBeforeManyForeignEvents(t *testing.T) {
	cluster := start(t, eventstoredbtest.Config{})
	log := with(t, cluster, eventstoredb.Config{})
	appended := put(t, log, "a", eventlog.NoStream, event("a"))
	cluster.Fill("orders", 5000)
	for _, log := range []eventlog.Log{log, with(t, cluster, eventstoredb.Config{})} {
		for range 2 {
			head, err := log.Head(within(t, 10*time.Second))
			require.NoError(t, err)
			require.Equal(t, appended.Position, head)
		}
	}
	fresh, err := eventstoredb.Open(within(t, 10*time.Second), cluster.URL(nil, "log=empty"), eventstoredb.Config{})
	require.NoError(t, err)
	defer fresh.Close()
	head, err := fresh.Head(within(t, 10*time.Second))
	require.NoError(t, err)
	require.Zero(t, head)
}

func TestFirstReadBeginsWhereLogWasCreated(t *testing.T) {
	cluster := start(t, eventstoredbtest.Config{})
	cluster.Fill("orders", 5000)
	older := cluster.Records()
	log := with(t, cluster, eventstoredb.Config{})
	readAll(t, log)
	require.Greater(t, cluster.Skipped(), older, "an empty log")
	put(t, log, "a", eventlog.NoStream, events(3, "a")...)
	cluster.Fill("orders", 100)
	put(t, log, "a", 2, event("last"))
	again := with(t, cluster, eventstoredb.Config{})
	for name, log := range map[string]eventlog.Log{"same server": log, "new server": again} {
		require.Len(t, readAll(t, log), 4, name)
		require.Greater(t, cluster.Skipped(), older, name)
	}
	cluster.Fill("orders", 5000) // further from the end than Head reads backwards
	_, err := with(t, cluster, eventstoredb.Config{}).Head(within(t, 10*time.Second))
	require.NoError(t, err)
	require.Greater(t, cluster.Skipped(), older, "head")
}

// TestFirstReadFindsEventsBeforeRewrittenIdentity deletes the identity stream and writes it again.
func TestFirstReadFindsEventsBeforeRewrittenIdentity(t *testing.T) {
	cluster := start(t, eventstoredbtest.Config{})
	log := with(t, cluster, eventstoredb.Config{})
	put(t, log, "a", eventlog.NoStream, event("a"))
	id, err := log.ID(t.Context())
	require.NoError(t, err)
	write(t, cluster, "$$drover-log.default", `{"$tb":1}`)
	write(t, cluster, "drover-log.default", `{"format":1,"id":"`+id.String()+`"}`)
	for _, log := range []eventlog.Log{log, with(t, cluster, eventstoredb.Config{ID: id})} {
		require.Len(t, readAll(t, log), 1)
	}
}

// TestFirstReadFollowsRestoredClusterWithOtherPositions replaces the cluster by one in which the log begins earlier.
func TestFirstReadFollowsRestoredClusterWithOtherPositions(t *testing.T) {
	cluster := start(t, eventstoredbtest.Config{})
	empty := cluster.Records()
	cluster.Fill("orders", 50)
	log := with(t, cluster, eventstoredb.Config{})
	put(t, log, "a", eventlog.NoStream, event("a"))
	readAll(t, log)
	cluster.Restore(empty)
	restored := with(t, cluster, eventstoredb.Config{})
	put(t, restored, "a", eventlog.NoStream, events(2, "restored")...)
	cluster.Fill("orders", 200) // $all now ends after the former place of the log
	require.Len(t, readAll(t, log), 2)
}

func TestHeadReadsOnlyNewEvents(t *testing.T) {
	cluster := start(t, eventstoredbtest.Config{})
	log := with(t, cluster, eventstoredb.Config{})
	put(t, log, "a", eventlog.NoStream, event("a"))
	cluster.Fill("orders", 1000)
	readAll(t, log)
	before := cluster.Sent()
	_, err := log.Head(within(t, 10*time.Second))
	require.NoError(t, err)
	// The server sends more events than the client reads before it notices that the client closed the read.
	require.Less(t, cluster.Sent()-before, 900)
}

func TestHeadFollowsRestoredBackup(t *testing.T) {
	cluster := start(t, eventstoredbtest.Config{})
	log := with(t, cluster, eventstoredb.Config{})
	first := put(t, log, "a", eventlog.NoStream, event("a"))
	cluster.Fill("orders", 3)
	backup := cluster.Records()
	put(t, log, "a", 0, events(20, "later")...)
	_, err := log.Head(within(t, 10*time.Second))
	require.NoError(t, err)
	cluster.Restore(backup)
	head, err := log.Head(within(t, 10*time.Second))
	require.NoError(t, err)
	require.Equal(t, first.Position, head)
	cluster.Fill("orders", 200) // now $all ends after the former end of the log
	head, err = log.Head(within(t, 10*time.Second))
	require.NoError(t, err)
	require.Equal(t, first.Position, head)
	require.Len(t, readAll(t, log), 1)
}

func TestEventsOfOneAppendHaveDistinctPositions(t *testing.T) {
	cluster := start(t, eventstoredbtest.Config{})
	log := with(t, cluster, eventstoredb.Config{})
	put(t, log, "a", eventlog.NoStream, events(5, "a")...)
	all := readAll(t, log)
	for i := range all {
		n := 0
		for recorded, err := range log.ReadAll(within(t, 10*time.Second), all[i].Position, 0) {
			require.NoError(t, err)
			require.Greater(t, recorded.Position, all[i].Position)
			n++
		}
		require.Equal(t, len(all)-1-i, n)
	}
}
