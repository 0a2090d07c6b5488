package server

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/droverhq/drover/access"
	"github.com/droverhq/drover/agents"
	"github.com/droverhq/drover/api"
	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/doctor"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/internal/accesslog"
	"github.com/droverhq/drover/internal/ids"
	"github.com/droverhq/drover/internal/ownership"
	"github.com/droverhq/drover/internal/transport"
	"github.com/droverhq/drover/internal/witness"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/query"
)

// The defaults of Config.
const (
	DefaultListen = "127.0.0.1:7070"
	DefaultTick   = 15 * time.Second
)

const (
	// appendsAtOnce is how many streams a tick appends to at the same time. The log commits waiting appends together.
	appendsAtOnce = 16
	// jitter makes it unlikely that servers that collided in one stream collide there again.
	jitter = 5 * time.Millisecond
)

// stopWithin bounds how long a stopping server waits for running requests.
const stopWithin = 15 * time.Second

// noticeFor is how long a stopping server still accepts new connections if other servers run. During this time, load
// balancers learn from /readyz that they must not use it.
const noticeFor = 3 * time.Second

// Config configures a server. Data or Log is required.
type Config struct {
	// Listen is HOST:PORT; the default is DefaultListen. Port 0 chooses a free port.
	Listen string
	// Address is the URL under which agents on other machines reach this server. By default it is built from the host of
	// Listen, or from the machine's name if the server listens on all addresses.
	Address string
	// Log is the URL of the log; the default is the file drover.db in Data.
	Log string
	// Data is the folder of the server's files. It is created if it does not exist.
	Data string
	// Tick is the interval between two ticks, in whole seconds; the default is DefaultTick.
	Tick time.Duration
	// TLSCert and TLSKey are PEM files; without them the server does not use TLS. Changed files are reloaded and used for
	// new connections.
	TLSCert, TLSKey string
	// TLSClientCA is a PEM file with the authorities of client certificates. If it is set, agents that connect over TCP
	// must present a certificate.
	TLSClientCA string
	// Insecure permits a server without TLS to listen beyond loopback, and a database beyond loopback without verified
	// TLS.
	Insecure bool
	// Hosts are host names, in addition to those of this machine, of Address and of the certificate, that requests may
	// name.
	Hosts []string
	// TrustedProxies are addresses or networks (CIDR) of proxies that terminate TLS. Only from them the header
	// X-Forwarded-Proto is read.
	TrustedProxies []string
	// Version is the version of this program.
	Version string
	// Logger may be nil.
	Logger *zap.Logger
	// Ready, if set, is called with the server's address once it serves.
	Ready func(address string)
}

func (c Config) withDefaults() Config {
	if c.Listen == "" {
		c.Listen = DefaultListen
	}
	if c.Tick == 0 {
		c.Tick = DefaultTick
	}
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
	return c
}

// run is one server between its start and its stop.
type run struct {
	config   Config
	logger   *zap.Logger
	clock    engine.Clock
	endpoint *endpoint
	proxies  []netip.Prefix
	socket   socket
	log      *diskGuard
	exposed  string                                   // why traffic to the log is not protected; empty: it is
	backup   func(context.Context) (*api.Copy, error) // nil if the log is not a file
	engine   *engine.Engine
	witness  *witness.File // nil without a data folder
	running  runningFile
	agents   *agents.Hub
	api      *api.API
	watchdog *watchdog
	kicks    chan struct{}
	recent   recentMessages
	listed   []string // the addresses of other servers that the client context has; used by the lease loop only

	access    *access.Access
	accessLog *accesslog.Log
}

// Run runs a server until ctx ends. Then it stops accepting requests, lets the running ones finish, and returns nil. An
// error explains in one sentence why the server failed to start or stopped.
func Run(ctx context.Context, c Config) (err error) {
	c = c.withDefaults()
	if err := checkTick(c.Tick); err != nil {
		return err
	}
	r := &run{config: c, logger: c.Logger, clock: wallClock(), kicks: make(chan struct{}, 1)}
	if r.proxies, err = transport.ParseNetworks("--trusted-proxy", c.TrustedProxies); err != nil {
		return err
	}
	if r.endpoint, err = listen(c); err != nil {
		return err
	}
	defer r.endpoint.close()
	r.checkCertificate()
	if err := makeData(c.Data); err != nil {
		return err
	}
	if r.socket, err = listenSocket(c.Data); err != nil {
		r.logger.Warn("this server listens on no Unix socket", zap.Error(err))
	}
	defer r.socket.close()
	switch err := r.openWithRetry(ctx); {
	case ctx.Err() != nil && r.log == nil:
		return nil // stopped before the log was open
	case err != nil:
		return err
	}
	defer func() { err = errors.Join(err, r.log.Close()) }()
	return r.serve(ctx)
}

// A remote log that does not answer is retried after firstTry, with delays that grow to lastTry.
const (
	firstTry = 200 * time.Millisecond
	lastTry  = 15 * time.Second
)

// openWithRetry opens and folds the log. It retries a remote log, which can become available after this server starts.
// It does not retry a file, because a person has to fix that.
func (r *run) openWithRetry(ctx context.Context) error {
	_, isFile := LogFile(addressOf(r.config.Log, r.config.Data))
	for wait := firstTry; ; wait = min(2*wait, lastTry) {
		err := r.openLog(ctx)
		if err == nil || isFile || !errors.Is(err, eventlog.ErrUnavailable) || ctx.Err() != nil {
			return err
		}
		if r.recent.first(err.Error()) {
			r.logger.Warn("the log does not answer yet; retrying", zap.Error(err))
		}
		select {
		case <-time.After(wait/2 + rand.N(wait/2)):
		case <-ctx.Done():
			return err
		}
	}
}

func (r *run) openLog(ctx context.Context) error {
	opened, err := OpenLog(ctx, LogConfig{Address: r.config.Log, Data: r.config.Data, Insecure: r.config.Insecure,
		Logger: r.logger})
	if err != nil {
		return err
	}
	if exposed, ok := opened.(interface{ Exposed() string }); ok {
		r.exposed = exposed.Exposed()
	}
	if r.exposed != "" {
		r.logger.Warn("others can read or change the traffic to the database", zap.String("reason", r.exposed))
	}
	r.log, r.backup = &diskGuard{Backend: hookLog(opened)}, r.backups(opened)
	r.log.checker, _ = opened.(eventlog.Checker)
	if file, ok := LogFile(addressOf(r.config.Log, r.config.Data)); ok {
		r.log.folder = filepath.Dir(file)
	}
	if err := r.open(ctx); err != nil {
		r.log = nil
		r.closeWitness()
		return errors.Join(err, opened.Close())
	}
	return nil
}

// makeData creates the data folder, accessible only to its owner. Opening the log shows whether it is writable.
func makeData(folder string) error {
	if folder == "" {
		return nil
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		var at *os.PathError
		if errors.As(err, &at) {
			err = at.Err
		}
		return fmt.Errorf("create data folder %s: %w; choose another with --data", filepath.Clean(folder), err)
	}
	return ownership.Check(folder, "drover.db", "drover.db-wal", "drover.db-shm", snapshotName, runningFolder, accesslog.Name)
}

// open folds the log, records the start of this server in it, and sets up the API.
func (r *run) open(ctx context.Context) (err error) {
	if err := eventlog.CheckNotImporting(ctx, r.log); err != nil {
		return err
	}
	begun := r.clock.Elapsed()
	if err := r.openWitness(ctx); err != nil {
		return err
	}
	snapshots, program := r.snapshots()
	r.engine, err = engine.Open(ctx, engine.Config{
		Log: r.log, Clock: r.clock, Server: ids.New(), Version: r.config.Version, Address: r.endpoint.advertised,
		Logger: r.logger.Named("engine"), Parallel: appendsAtOnce, Jitter: jitter, Snapshots: snapshots,
		Witness: r.heads(), Program: program, OnAccepted: r.kick,
		OnTouched: func(machines map[string]struct{}) {
			if r.agents != nil { // no agent is connected while the log is folded
				r.agents.Touched(machines)
			}
		},
	})
	if err != nil {
		return err
	}
	if err := r.engine.Start(ctx); err != nil {
		return err
	}
	if err := r.engine.EnsureServerKey(ctx); err != nil {
		return err
	}
	if err := eventlog.CheckNotImporting(ctx, r.log); err != nil { // an import may have started meanwhile
		return err
	}
	// before the first decision, because another server may have detected a restore
	if err := r.engine.RenewLease(ctx, r.log); err != nil {
		return fmt.Errorf("read the leases of the other servers: %w", err)
	}
	r.dropKilled(ctx)
	r.logger.Info("log folded", zap.Stringer("log", r.engine.LogID()), zap.Stringer("position", r.engine.Position()),
		zap.Stringer("snapshot", r.engine.ResumedFrom()), zap.Duration("took", r.clock.Elapsed()-begun))
	r.watchdog = &watchdog{elapsed: r.clock.Elapsed, last: r.clock.Elapsed(), paused: r.engine.Paused,
		late: func(by time.Duration) {
			r.engine.RestartTimeouts()
			r.logger.Warn("this server was suspended; restarting all timeouts", zap.Duration("late", by))
		}}
	r.setUpAPI()
	r.writeContext(ctx)
	return nil
}

// setUpAPI builds the API for agents and people.
func (r *run) setUpAPI() {
	logger, callers := r.logger.Named("api"), access.New(r.engine, r.clock)
	r.access, r.accessLog = callers, accesslog.New(r.config.Data, r.logger, r.clock.Now)
	callers.StoreUsesIn(r.log)
	callers.LogTo(r.accessLog)
	people := access.NewPeople(r.log, r.clock)
	queries := query.New(query.Config{Engine: r.engine, Log: r.log, Clock: r.clock, Access: callers, People: people,
		Ready: r.log.Ready, Version: r.config.Version,
		Storage: func() doctor.Storage {
			storage := StorageOf(r.config.Log, r.config.Data)
			storage.Exposed = r.exposed
			return storage
		},
		Versions: func() map[string]int { return r.agents.Versions() },
		Forms:    func() map[string]int { return r.agents.Forms() },
		Limited:  func() []doctor.Limited { return r.agents.LimitedMachines() }})
	r.agents = agents.New(agents.Config{Engine: r.engine, Log: r.log, Clock: r.clock, Access: callers, Logger: logger,
		OutputArrived: queries.OutputArrived})
	r.api = api.New(api.Config{Engine: r.engine, Clock: r.clock, Access: callers, Queries: queries, Agents: r.agents,
		People: people, Logger: logger, Version: r.config.Version, Backup: r.backup, Transport: r.transport()})
}

// transport describes to the API how requests reach this server.
func (r *run) transport() api.Transport {
	return api.Transport{Loopback: r.endpoint.loopback, AcceptsHost: r.endpoint.acceptsHost, Proxies: r.proxies,
		ClientCertificates: r.endpoint.clients != nil, Certificate: r.endpoint.fingerprint,
		Socket: strings.TrimPrefix(r.socket.address, client.SocketPrefix)}
}

// serve serves requests and runs the loops until ctx ends.
func (r *run) serve(ctx context.Context) error {
	running, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	wait := r.loops(running)
	httpServer := &http.Server{Handler: r.api.Handler(), TLSConfig: r.endpoint.tls, ReadHeaderTimeout: headersWithin,
		IdleTimeout: idleWithin, MaxHeaderBytes: maxHeaderBytes, ErrorLog: limitedStdLog(r.logger.Named("http"))}
	hookServer(httpServer)
	failed := make(chan error, 2) // one for each listener
	go func() { failed <- r.accept(httpServer) }()
	if r.socket.listener != nil {
		go func() { failed <- httpServer.Serve(r.boundedSocket()) }()
	}
	r.logger.Info("serving", zap.String("address", r.endpoint.address), zap.String("socket", r.socket.address))
	if r.config.Ready != nil {
		r.config.Ready(r.endpoint.address)
	}
	var err error
	select {
	case err = <-failed:
		err = fmt.Errorf("serve %s: %w", r.endpoint.address, err)
	case <-ctx.Done():
		r.logger.Info("stopping")
		r.leaveContext()
	}
	r.stop(httpServer)
	end()
	wait()
	r.logFault(context.Background(), "could not drop the lease", r.dropLease())
	r.logFault(context.Background(), "could not store the last uses of tokens", r.storeUses(context.Background(), true))
	r.accessLog.Close()
	r.running.close()
	// last, because no client waits for them
	r.logFault(context.Background(), "could not store a snapshot", r.engine.Snapshot())
	r.closeWitness()
	return err
}

func (r *run) accept(s *http.Server) error {
	if r.endpoint.tls != nil {
		return s.ServeTLS(r.bounded(), "", "")
	}
	return s.Serve(r.bounded())
}

// stop drains agents and streams, stops accepting connections, and lets running requests finish.
func (r *run) stop(s *http.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
	defer cancel()
	notice := time.After(0)
	if r.othersRun() {
		notice = time.After(noticeFor)
	}
	r.drain(ctx)
	<-notice
	r.endpoint.close()
	r.socket.close()
	if err := s.Shutdown(ctx); err != nil && !errors.Is(err, net.ErrClosed) { // the listener was closed above
		r.logger.Warn("some requests were interrupted", zap.Error(err))
		_ = s.Close()
	}
}

// drain ends live streams and the connections of agents, and accepts no new ones.
func (r *run) drain(ctx context.Context) {
	var both sync.WaitGroup
	both.Go(func() { r.api.Drain(ctx) })
	both.Go(func() { r.agents.Drain(ctx) })
	both.Wait()
}

// othersRun reports whether another server of this log runs.
func (r *run) othersRun() (others bool) {
	r.engine.Read(func(v *projections.View) {
		for id := range v.Servers {
			others = others || id != r.engine.Server() && r.engine.Alive(id)
		}
	})
	return others
}

// dropLease lets the other servers know at once that this server has stopped. If this server has detected a restored
// log, the lease stays, so that the next server to start learns of it.
func (r *run) dropLease() error {
	if r.engine.LostEvents() != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	return errors.Join(r.engine.DropContacts(ctx, r.log),
		r.log.Drop(ctx, eventlog.Leases, r.engine.Server().String()))
}
