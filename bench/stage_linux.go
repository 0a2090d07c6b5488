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

// shop is what all rows deploy: one project for machines with the role web, and one trigger.
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

// patience is how long anything may take; nothing does unless it never comes.
const patience = 5 * time.Minute

// stage is a server and its fleet.
type stage struct {
	*process.Server
	*fleet.Fleet
	machines int
}

// setting says what a stage is like.
type setting struct {
	machines int
	tick     time.Duration
	tls      bool
	// roles are given to the machines in turn; web is what is deployed to.
	roles []string
	// offlineAfter is the policy's; 0: 30s. heartbeat is how often each agent says that it lives; 0: never.
	offlineAfter, heartbeat time.Duration
	// wanted says that the release is wanted before the first machine joins.
	wanted bool
}

// half of the machines match the trigger.
var half = []string{"db", "web"}

// defaultHeartbeat is what the default policy asks for.
const defaultHeartbeat = 10 * time.Second

// open starts a server with a shop in it, and makes its fleet, which is not connected yet.
func (o options) open(s setting) (*stage, error) {
	folder, err := os.MkdirTemp(o.folder, "server-")
	if err != nil {
		return nil, err
	}
	server, err := process.Start(process.Config{Binary: o.binary, Folder: folder, Tick: s.tick, TLS: s.tls})
	if err != nil {
		return nil, err
	}
	st := &stage{Server: server, machines: s.machines}
	if err := st.furnish(s); err != nil {
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

// furnish puts the shop into a server's log.
func (s *stage) furnish(with setting) error {
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
	return s.want()
}

// want says that the release is wanted.
func (s *stage) want() error {
	_, err := s.Command("pin", "shop", "1.0", "--in", "production")
	return err
}

// joinToken is a token that any number of agents may join with.
func (s *stage) joinToken() (string, error) {
	return s.Command("token", "create", "--join", "--uses", "0", "--for", "24h")
}

// close ends everything.
func (s *stage) close() { _ = s.closed(nil) }

func (s *stage) closed(err error) error {
	if s.Fleet != nil {
		s.Fleet.Stop()
	}
	s.Server.Kill()
	_ = os.RemoveAll(s.Folder)
	return err
}

// atOnce is how many agents connect at the same moment where it is not the connecting that is looked at.
const atOnce = 256

// join connects the whole fleet.
func (s *stage) join(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return s.Fleet.Connect(ctx, 0, s.machines, atOnce)
}

// metric reads one metric; those with labels are added up.
func (s *stage) metric(name string) (float64, error) {
	all, err := s.Metrics()
	sum := 0.0
	for key, value := range all {
		if key == name || strings.HasPrefix(key, name+"{") {
			sum += value
		}
	}
	return sum, err
}

// afterTick returns right after a tick has ended.
func (s *stage) afterTick() error {
	before, err := s.metric("drover_tick_duration_seconds_count")
	if err != nil {
		return err
	}
	return fleet.Until(patience, func() bool {
		now, err := s.metric("drover_tick_duration_seconds_count")
		return err == nil && now > before
	})
}

// tickOf is when the tick began that gave an order at a moment. The server says so only when that tick has ended.
func (s *stage) tickOf(order time.Time) (begun time.Time, err error) {
	err = fleet.Until(s.Tick+10*time.Second, func() bool {
		seconds, failure := s.metric("drover_tick_begun_timestamp_seconds")
		begun = time.UnixMicro(int64(seconds * 1e6))
		return failure == nil && order.Sub(begun) < s.Tick
	})
	if err == nil && begun.After(order) {
		err = fmt.Errorf("the next tick began %s after the order", begun.Sub(order))
	}
	return begun, err
}

// position is the end of the log.
func (s *stage) position() (string, error) {
	var list explain.List[explain.Event]
	_, err := s.Client().Get(context.Background(), "/events", url.Values{"limit": {"1"}}, &list)
	return list.Position, err
}

// written counts the events after a position by type, and their bytes of data.
func (s *stage) written(after string) (byType map[string]int, bytes int, err error) {
	byType = map[string]int{}
	for {
		var list explain.List[explain.Event]
		if _, err := s.Client().Get(context.Background(), "/events", url.Values{"after": {after}, "limit": {"5000"}}, &list); err != nil {
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

// settled waits until every part that was offered has ended, and nothing more is offered.
func (s *stage) settled(parts int) error {
	err := fleet.Until(patience, func() bool { return s.Ended() >= parts })
	if err != nil {
		return fmt.Errorf("%d of %d parts have ended: %w; %s", s.Ended(), parts, err, s.Faults())
	}
	return nil
}
