package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/droverhq/drover/bench/fleet"
	"github.com/droverhq/drover/bench/process"
	"github.com/droverhq/drover/explain"
)

// shop is the configuration that all rows deploy: one project for machines with the role web, and one trigger.
const shop = `
apiVersion: drover.dev/v1
kind: Environment
metadata: {name: production}
spec: {}
---
apiVersion: drover.dev/v1
kind: MachinePolicy
metadata: {name: default}
spec: {offlineAfter: %s}
---
apiVersion: drover.dev/v1
kind: Project
metadata: {name: shop}
spec: {roles: [web], steps: [{name: install, run: "true"}]}
---
apiVersion: drover.dev/v1
kind: Trigger
metadata: {name: joins}
spec: {project: shop, events: [MachineAvailable], environments: [production]}
`

// timeout limits every wait. It is far longer than any wait takes.
const timeout = 5 * time.Minute

// fixture is a server and its fleet.
type fixture struct {
	*process.Server
	*fleet.Fleet
	machines int
}

// setup describes a fixture.
type setup struct {
	machines int
	tick     time.Duration
	tls      bool
	// roles are assigned to the machines in turn. The project deploys to the role web.
	roles []string
	// offlineAfter is the value in the policy; 0 means 30s. heartbeat is the interval of each agent's heartbeats; 0
	// means none.
	offlineAfter, heartbeat time.Duration
	// wanted pins the release before the first machine joins.
	wanted bool
}

// half is the list of roles with which half of the machines match the trigger.
var half = []string{"db", "web"}

// defaultHeartbeat is the interval that the default policy implies.
const defaultHeartbeat = 10 * time.Second

// open starts a server, applies the configuration and creates the fleet, which is not connected yet.
func (o options) open(s setup) (*fixture, error) {
	folder, err := os.MkdirTemp(o.folder, "server-")
	if err != nil {
		return nil, err
	}
	server, err := process.Start(process.Config{Binary: o.binary, Folder: folder, Tick: s.tick, TLS: s.tls})
	if err != nil {
		return nil, err
	}
	st := &fixture{Server: server, machines: s.machines}
	if err := st.prepare(s); err != nil {
		return nil, st.closed(err)
	}
	token, err := st.joinToken()
	if err != nil {
		return nil, st.closed(err)
	}
	st.Fleet = fleet.New(fleet.Config{Machines: s.machines, Address: server.Address, TLS: server.Secure, Join: token,
		Environment: "production", Roles: s.roles, Heartbeat: s.heartbeat})
	return st, nil
}

// prepare applies the configuration to a server.
func (s *fixture) prepare(with setup) error {
	offlineAfter := with.offlineAfter
	if offlineAfter == 0 {
		offlineAfter = 30 * time.Second
	}
	if _, err := s.CommandWith(fmt.Sprintf(shop, offlineAfter), "apply", "-f", "-"); err != nil {
		return err
	}
	if _, err := s.Command("release", "create", "shop", "1.0"); err != nil || !with.wanted {
		return err
	}
	return s.pinRelease()
}

// pinRelease pins the release.
func (s *fixture) pinRelease() error {
	_, err := s.Command("pin", "shop", "1.0", "--in", "production")
	return err
}

// joinToken creates a join token for any number of agents.
func (s *fixture) joinToken() (string, error) {
	return s.Command("token", "create", "--join", "--uses", "0", "--max-machines", "0", "--for", "24h")
}

// close stops the fleet and the server and removes its files.
func (s *fixture) close() { _ = s.closed(nil) }

func (s *fixture) closed(err error) error {
	if s.Fleet != nil {
		s.Fleet.Stop()
	}
	s.Server.Kill()
	_ = os.RemoveAll(s.Folder)
	return err
}

// atOnce is how many agents connect at the same time in rows that do not measure connecting.
const atOnce = 256

// join connects the whole fleet.
func (s *fixture) join(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return s.Fleet.Connect(ctx, 0, s.machines, atOnce)
}

// metric returns the value of a metric, summed over its labels.
func (s *fixture) metric(name string) (float64, error) {
	all, err := s.Metrics()
	sum := 0.0
	for key, value := range all {
		if key == name || strings.HasPrefix(key, name+"{") {
			sum += value
		}
	}
	return sum, err
}

// afterTick waits for the end of a tick.
func (s *fixture) afterTick() error {
	before, err := s.metric("drover_tick_duration_seconds_count")
	if err != nil {
		return err
	}
	return fleet.Until(timeout, func() bool {
		now, err := s.metric("drover_tick_duration_seconds_count")
		return err == nil && now > before
	})
}

// tickOf returns the start time of the tick that led to an offer. The server reports it when the tick has ended.
func (s *fixture) tickOf(offer time.Time) (begun time.Time, err error) {
	err = fleet.Until(s.Tick+10*time.Second, func() bool {
		seconds, failure := s.metric("drover_tick_begun_timestamp_seconds")
		begun = time.UnixMicro(int64(seconds * 1e6))
		return failure == nil && offer.Sub(begun) < s.Tick
	})
	if err == nil && begun.After(offer) {
		err = fmt.Errorf("the next tick began %s after the offer", begun.Sub(offer))
	}
	return begun, err
}

// position returns the position of the last event of the log.
func (s *fixture) position() (string, error) {
	var list explain.List[explain.Event]
	_, err := s.Client().Get(context.Background(), "/events", url.Values{"limit": {"1"}}, &list)
	return list.Position, err
}

// written returns the number of events after a position by type, and the bytes of their data.
func (s *fixture) written(after string) (byType map[string]int, bytes int, err error) {
	byType = map[string]int{}
	for {
		var list explain.List[explain.Event]
		if _, err := s.Client().Get(context.Background(), "/events", url.Values{"after": {after}, "limit": {"5000"}},
			&list); err != nil {
			return nil, 0, err
		}
		for _, e := range list.Items {
			byType[e.Type]++
			bytes += len(e.Data)
		}
		if after = list.Next; after == "" {
			return byType, bytes, nil
		}
	}
}

// awaitEnds waits until the given number of parts have ended.
func (s *fixture) awaitEnds(parts int) error {
	err := fleet.Until(timeout, func() bool { return s.Ended() >= parts })
	if err != nil {
		return fmt.Errorf("%d of %d parts have ended: %w; %s", s.Ended(), parts, err, s.Errors())
	}
	return nil
}
