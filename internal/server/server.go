package server

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/droverhq/drover/access"
	"github.com/droverhq/drover/agents"
	"github.com/droverhq/drover/api"
	"github.com/droverhq/drover/doctor"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/internal/ids"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/query"
)

// What a server does unless it is told otherwise.
const (
	DefaultListen = "127.0.0.1:7070"
	DefaultTick   = 15 * time.Second
)

const (
	// appendsAtOnce is how many streams a tick appends to at the same time; the log commits what waits together.
	appendsAtOnce = 16
	// jitter keeps servers that met in one stream from meeting there again.
	jitter = 5 * time.Millisecond
)

// stopWithin bounds how long a server that is told to stop waits for what runs.
const stopWithin = 15 * time.Second

// noticeFor is how long a server that is told to stop still answers new connections, if others run: whoever
// spreads requests over the servers learns from /readyz that it must leave this one out.
const noticeFor = 3 * time.Second

// Config says how a server runs. Data is required, or Log.
type Config struct {
	// Listen is HOST:PORT; empty: DefaultListen. Port 0 takes a free one.
	Listen string
	// Address is the URL by which agents elsewhere reach this server; empty: by the host it listens on, or the machine's name.
	Address string
	// Log is the log's URL; empty: the file drover.db in Data.
	Log string
	// Data is the folder of the server's files; made if it is not there.
	Data string
	// Tick is the time between two passes of the projector, in whole seconds; 0: DefaultTick.
	Tick time.Duration
	// TLSCert and TLSKey are PEM files; empty: no TLS. When they change, new connections get what stands there then.
	TLSCert, TLSKey string
	// Insecure lets a server without TLS listen beyond loopback.
	Insecure bool
	// Version is that of this program.
	Version string
	// Logger gets what happens; nil: nobody does.
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
	log      *room
	copies   func(context.Context) (*api.Copy, error) // nil: the log is no file
	engine   *engine.Engine
	agents   *agents.Hub
	api      *api.API
	watchdog *watchdog
	kicks    chan struct{}
	said     said
}

// Run is a server from its start until ctx ends; then it takes nothing in any more, lets what runs
// end, and returns nil. An error is one sentence on why it could not start or go on.
func Run(ctx context.Context, c Config) (err error) {
	c = c.withDefaults()
	if err := checkTick(c.Tick); err != nil {
		return err
	}
	r := &run{config: c, logger: c.Logger, clock: wallClock(), kicks: make(chan struct{}, 1)}
	if r.endpoint, err = listen(c); err != nil {
		return err
	}
	defer r.endpoint.close()
	if err := makeData(c.Data); err != nil {
		return err
	}
	switch err := r.openPatiently(ctx); {
	case ctx.Err() != nil && r.log == nil:
		return nil // told to stop before it began
	case err != nil:
		return err
	}
	defer func() { err = errors.Join(err, r.log.Close()) }()
	return r.serve(ctx)
}

// A log elsewhere that does not answer is tried again, after firstTry and then ever later up to lastTry.
const (
	firstTry = 200 * time.Millisecond
	lastTry  = 15 * time.Second
)

// openPatiently opens and folds the log. One that is kept elsewhere may come up after this server; a file that cannot
// be opened is for a person to look at.
func (r *run) openPatiently(ctx context.Context) error {
	_, isFile := LogFile(addressOf(r.config.Log, r.config.Data))
	for wait := firstTry; ; wait = min(2*wait, lastTry) {
		err := r.openLog(ctx)
		if err == nil || isFile || !errors.Is(err, eventlog.ErrUnavailable) || ctx.Err() != nil {
			return err
		}
		if r.said.again(err.Error()) {
			r.logger.Warn("the log does not answer yet; it is tried again until it does", zap.Error(err))
		}
		select {
		case <-time.After(wait/2 + rand.N(wait/2)):
		case <-ctx.Done():
			return err
		}
	}
}

func (r *run) openLog(ctx context.Context) error {
	opened, err := OpenLog(ctx, LogConfig{Address: r.config.Log, Data: r.config.Data, Logger: r.logger})
	if err != nil {
		return err
	}
	r.log, r.copies = &room{Backend: seamLog(opened)}, r.backups(opened)
	if file, ok := LogFile(addressOf(r.config.Log, r.config.Data)); ok {
		r.log.folder = filepath.Dir(file)
	}
	if err := r.open(ctx); err != nil {
		r.log = nil
		return errors.Join(err, opened.Close())
	}
	return nil
}

// makeData makes the data folder, for its owner alone. The log says itself whether it can be written in.
func makeData(folder string) error {
	if folder == "" {
		return nil
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		var at *os.PathError
		if errors.As(err, &at) {
			err = at.Err
		}
		return fmt.Errorf("make data folder %s: %w; name another with --data", filepath.Clean(folder), err)
	}
	return nil
}

// open folds the log, says in it that this server runs, and prepares the door.
func (r *run) open(ctx context.Context) (err error) {
	if err := eventlog.CheckNotImporting(ctx, r.log); err != nil {
		return err
	}
	begun := r.clock.Elapsed()
	kept, program := r.snapshots()
	r.engine, err = engine.Open(ctx, engine.Config{
		Log: r.log, Clock: r.clock, Server: ids.New(), Version: r.config.Version, Address: r.endpoint.afar,
		Logger: r.logger.Named("engine"), Parallel: appendsAtOnce, Jitter: jitter, Snapshots: kept, Program: program, OnAccepted: r.kick,
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
	if err := eventlog.CheckNotImporting(ctx, r.log); err != nil { // begun at the same moment
		return err
	}
	if err := r.engine.RenewLease(ctx, r.log); err != nil { // before the first decision: another server may doubt this log
		return fmt.Errorf("look at the leases of the other servers: %w", err)
	}
	r.logger.Info("log is folded", zap.Stringer("log", r.engine.LogID()), zap.Stringer("position", r.engine.Position()),
		zap.Stringer("snapshot", r.engine.ResumedFrom()), zap.Duration("took", r.clock.Elapsed()-begun))
	r.watchdog = &watchdog{elapsed: r.clock.Elapsed, last: r.clock.Elapsed(), paused: r.engine.Paused, late: func(by time.Duration) {
		r.engine.RestartTimeouts()
		r.logger.Warn("this server was stopped for a while; it counts all silence anew", zap.Duration("late", by))
	}}
	r.doors()
	r.leaveContext(ctx)
	return nil
}

// doors prepares what agents and people talk to.
func (r *run) doors() {
	logger, callers := r.logger.Named("api"), access.New(r.engine, r.clock)
	people := access.NewPeople(r.log, r.clock)
	queries := query.New(query.Config{Engine: r.engine, Log: r.log, Clock: r.clock, Access: callers, People: people, Ready: r.log.Ready, Version: r.config.Version,
		Place: func() doctor.Place { return PlaceOf(r.config.Log, r.config.Data) }, Versions: func() map[string]int { return r.agents.Versions() }})
	r.agents = agents.New(agents.Config{Engine: r.engine, Log: r.log, Clock: r.clock, Access: callers, Logger: logger, OutputArrived: queries.OutputArrived})
	r.api = api.New(api.Config{Engine: r.engine, Clock: r.clock, Access: callers, Queries: queries, Agents: r.agents, People: people, Logger: logger,
		Version: r.config.Version, Backup: r.copies})
}

// serve is the time in which the server works.
func (r *run) serve(ctx context.Context) error {
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	wait := r.loops(life)
	door := &http.Server{Handler: r.api.Handler(), TLSConfig: r.endpoint.tls, ReadHeaderTimeout: headersWithin,
		IdleTimeout: idleWithin, MaxHeaderBytes: maxHeaderBytes, ErrorLog: zap.NewStdLog(r.logger.Named("http"))}
	seamDoor(door)
	failed := make(chan error, 1)
	go func() { failed <- r.accept(door) }()
	r.logger.Info("serving", zap.String("address", r.endpoint.address))
	if r.config.Ready != nil {
		r.config.Ready(r.endpoint.address)
	}
	var err error
	select {
	case err = <-failed:
		err = fmt.Errorf("serve %s: %w", r.endpoint.address, err)
	case <-ctx.Done():
		r.logger.Info("stopping")
		r.quitContext()
	}
	r.stop(door)
	end()
	wait()
	r.complain(context.Background(), "lease was not dropped", r.dropLease())
	r.complain(context.Background(), "no snapshot was stored", r.engine.Snapshot()) // nobody waits for that
	return err
}

func (r *run) accept(door *http.Server) error {
	if r.endpoint.tls != nil {
		return door.ServeTLS(r.bounded(), "", "")
	}
	return door.Serve(r.bounded())
}

// stop gives agents and streams away, takes nothing in any more, and lets what was taken in end.
func (r *run) stop(door *http.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
	defer cancel()
	notice := time.After(0)
	if r.accompanied() {
		notice = time.After(noticeFor)
	}
	r.drain(ctx)
	<-notice
	r.endpoint.close()
	if err := door.Shutdown(ctx); err != nil && !errors.Is(err, net.ErrClosed) { // the listener was closed above
		r.logger.Warn("some requests were cut off", zap.Error(err))
		_ = door.Close()
	}
}

// drain ends live streams and agents' connections, and takes no more of them.
func (r *run) drain(ctx context.Context) {
	var both sync.WaitGroup
	both.Go(func() { r.api.Drain(ctx) })
	both.Go(func() { r.agents.Drain(ctx) })
	both.Wait()
}

// accompanied says whether another server of this log runs.
func (r *run) accompanied() (others bool) {
	r.engine.Read(func(v *projections.View) {
		for id := range v.Servers {
			others = others || id != r.engine.Server() && r.engine.Alive(id)
		}
	})
	return others
}

// dropLease tells the others at once that this server has gone. One that doubts its log leaves its lease, so that whoever
// starts next hears of that.
func (r *run) dropLease() error {
	if r.engine.LostEvents() != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	return r.log.Drop(ctx, eventlog.Leases, r.engine.Server().String())
}
