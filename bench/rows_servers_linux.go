package main

import (
	"context"
	"fmt"
	"time"

	"github.com/droverhq/drover/bench/fleet"
	"github.com/droverhq/drover/bench/process"
)

// serversRow measures a burst of a fleet that is too large for the open files of one process: several servers share
// a log.
func serversRow(_ context.Context, o options) (*table, error) {
	n, limit := o.size(30_000, 300), int(process.RaiseFileLimit(manyFiles))
	perServer := limit - sparedFiles
	servers := max(3, (n+perServer-1)/perServer)
	each := n / servers
	n = each * servers
	c, err := o.openCluster(servers, each, setup{tick: clusterTick, roles: half, heartbeat: defaultHeartbeat,
		offlineAfter: 2 * time.Minute})
	if err != nil {
		return nil, err
	}
	defer c.close()
	t := &table{head: []string{"what", "figure", "PostgreSQL"}}
	if err := c.arrive(t, n); err != nil {
		return nil, err
	}
	if err := c.deploy(t, n/2); err != nil {
		return nil, err
	}
	t.note("%d real `drover server` processes share one log in PostgreSQL with its default fsync. Each has %d agents "+
		"in a separate process: %d agents in all, registered before, of which half match one trigger. All are "+
		"online before the release is wanted. Times count from the start of the tick that decides. Each server "+
		"reads the log once per second by itself, so the agents of the servers that did not decide wait for that. "+
		"Processor time is the sum over all servers; that of PostgreSQL for the decisions counts from the pin of "+
		"the release. All processes share the cores.", servers, each, n)
	t.note("A process may open %d files here, which limits the connections of one server. With a limit of more than "+
		"30 000, the row `sizes` measures all of them on one server.", limit)
	return t, nil
}

// sparedFiles is the number of files that a process has open besides its connections.
const sparedFiles = 500

// clusterTick is short, because nothing is due before the release is wanted.
const clusterTick = 5 * time.Second

// arrive makes all agents join, disconnect, and come online again.
func (c *cluster) arrive(t *table, n int) error {
	spent, took, err := c.spend(c.join)
	if err != nil {
		return fmt.Errorf("join: %w", err)
	}
	t.add("joins with a token per second", fmt.Sprintf("%.0f", float64(n)/took.Seconds()), "–")
	c.enter(t, "… CPU per join, µs", spent, n)
	if err := c.all((*fleet.Share).Goodbye); err != nil {
		return err
	}
	spent, took, err = c.spend(c.join)
	if err != nil {
		return fmt.Errorf("come online: %w", err)
	}
	t.add("time until all are online again, s", fmt.Sprintf("%.1f", took.Seconds()), "–")
	c.enter(t, "… CPU per machine that comes online, µs", spent, n)
	return nil
}

func (c *cluster) enter(t *table, what string, spent cost, n int) {
	t.add(what, fmt.Sprintf("%.0f", µs(spent.servers, n)), fmt.Sprintf("%.0f", µs(spent.postgres, n)))
}

// deploy pins the release while all machines are online, and waits until the due machines have installed it.
func (c *cluster) deploy(t *table, due int) error {
	if err := c.all(func(s *fleet.Share) error { return s.SetAutoClaim(false) }); err != nil {
		return err
	}
	if err := c.servers[0].afterTick(); err != nil {
		return err
	}
	before, err := c.decisions()
	if err != nil {
		return err
	}
	records := c.record()
	begun, used := time.Now(), c.used()
	if err := c.servers[0].pinRelease(); err != nil {
		return err
	}
	if err := c.until(fmt.Sprintf("%d offers", due),
		func(s fleet.State) bool { return s.FirstOffers >= due }); err != nil {
		return err
	}
	byPostgres := c.used().postgres - used.postgres
	for _, r := range records {
		r.End()
	}
	offered, err := c.offered(begun)
	if err != nil {
		return err
	}
	ticked, deciders, err := c.tickOf(offered[0], before)
	if err != nil {
		return err
	}
	var cpu time.Duration
	for _, r := range records {
		cpu += r.Between(ticked, offered[len(offered)-1])
	}
	enterOffers(t, offered, ticked)
	c.enter(t, "CPU per decision, including delivery, µs", cost{cpu, byPostgres}, due)
	t.add("servers that made decisions", fmt.Sprint(deciders), "–")
	return c.carryOut(t, due)
}

// enterOffers adds the times from the start of the tick to the arrival of the offers.
func enterOffers(t *table, offered []time.Time, ticked time.Time) {
	var after []time.Duration
	for _, at := range offered {
		after = append(after, at.Sub(ticked))
	}
	t.add("offer delivered after the tick began, p50, ms", fmt.Sprintf("%.0f", ms(process.Quantile(after, .5))), "–")
	t.add("… p99, ms", fmt.Sprintf("%.0f", ms(process.Quantile(after, .99))), "–")
}

// record starts a record of the processor time of every server.
func (c *cluster) record() (all []*process.CPURecord) {
	for _, server := range c.servers {
		all = append(all, process.RecordCPU(server.PID()))
	}
	return all
}

// carryOut makes all agents claim and end their parts, and counts the parts that were deployed twice.
func (c *cluster) carryOut(t *table, due int) error {
	position, err := c.servers[0].position()
	if err != nil {
		return err
	}
	spent, took, err := c.spend(func() error {
		err := c.all(func(s *fleet.Share) error {
			if err := s.SetAutoClaim(true); err != nil {
				return err
			}
			return s.ClaimAll()
		})
		if err != nil {
			return err
		}
		return c.until(fmt.Sprintf("%d ends", due), func(s fleet.State) bool { return s.Ended >= due })
	})
	if err != nil {
		return err
	}
	c.enter(t, "CPU per part claimed and ended, µs", spent, due)
	t.add("… total time, s", fmt.Sprintf("%.1f", took.Seconds()), "–")
	servers, postgres := c.memory()
	t.add("resident memory of all servers, MB", fmt.Sprintf("%.0f", float64(servers)/1e6),
		fmt.Sprintf("%.0f", float64(postgres)/1e6))
	t.add("… KB per agent", fmt.Sprintf("%.1f", float64(servers)/1e3/float64(2*due)), "–")
	for _, server := range c.servers { // a server that would deploy again does so within a tick
		if err := server.afterTick(); err != nil {
			return err
		}
	}
	last, err := c.state()
	if err != nil {
		return err
	}
	byType, _, err := c.servers[0].written(position)
	if err != nil {
		return err
	}
	ended := byType["PartEnded"]
	t.add("agents connected at the end", fmt.Sprint(last.Connected), "–")
	t.add("deployed twice, all agents", fmt.Sprintf("%d, met: %s", last.Redeployed, metOrNot(last.Redeployed == 0)), "–")
	t.add("parts ended in the log, of those due", fmt.Sprintf("%d of %d, met: %s", ended, due, metOrNot(ended == due)),
		"–")
	t.add("offers repeated to agents that had not claimed yet", fmt.Sprint(last.Offers-last.FirstOffers), "–")
	return nil
}
