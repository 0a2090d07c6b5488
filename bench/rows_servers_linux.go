package main

import (
	"context"
	"fmt"
	"time"

	"github.com/droverhq/drover/bench/fleet"
	"github.com/droverhq/drover/bench/process"
)

// serversRow is the burst of a fleet that is larger than what one process may have open: several servers share a log.
func serversRow(_ context.Context, o options) (*table, error) {
	n, limit := o.size(30_000, 300), int(process.RaiseFiles(manyFiles))
	room := limit - sparedFiles
	servers := max(3, (n+room-1)/room)
	each := n / servers
	n = each * servers
	c, err := o.openCluster(servers, each, setting{tick: clusterTick, roles: half, heartbeat: defaultHeartbeat, offlineAfter: 2 * time.Minute})
	if err != nil {
		return nil, err
	}
	defer c.close()
	t := &table{head: []string{"what", "figure", "of PostgreSQL"}}
	if err := c.arrive(t, n); err != nil {
		return nil, err
	}
	if err := c.deploy(t, n/2); err != nil {
		return nil, err
	}
	t.note("%d real `drover server` processes share one log in PostgreSQL with its usual fsync, each with %d agents that a process of its own holds: %d agents in all, known before, of which half match one trigger. "+
		"All are online before the release is wanted, and the times count from the start of the tick that decides; each server looks into the log once a second by itself, so the agents of the servers that did not "+
		"decide wait for that. Processor time is that of all servers together; that of PostgreSQL for the decisions counts from the wanting of the release. All share the cores.", servers, each, n)
	t.note("A process may open %d files here, which bounds the connections of one server; where that is more than 30 000, the row `sizes` gives all of them to one.", limit)
	return t, nil
}

// sparedFiles is what a process has open beside its connections.
const sparedFiles = 500

// clusterTick is short, for nothing is due before the release is wanted.
const clusterTick = 5 * time.Second

// arrive lets all agents join, leave, and come online again.
func (c *cluster) arrive(t *table, n int) error {
	spent, took, err := c.spend(c.join)
	if err != nil {
		return fmt.Errorf("join: %w", err)
	}
	t.add("joined with a token, a second", fmt.Sprintf("%.0f", float64(n)/took.Seconds()), "–")
	c.enter(t, "… CPU per join, µs", spent, n)
	if err := c.all((*fleet.Share).Goodbye); err != nil {
		return err
	}
	spent, took, err = c.spend(c.join)
	if err != nil {
		return fmt.Errorf("come online: %w", err)
	}
	t.add("all online again, s", fmt.Sprintf("%.1f", took.Seconds()), "–")
	c.enter(t, "… CPU per machine that comes online, µs", spent, n)
	return nil
}

func (c *cluster) enter(t *table, what string, spent cost, n int) {
	t.add(what, fmt.Sprintf("%.0f", µs(spent.servers, n)), fmt.Sprintf("%.0f", µs(spent.postgres, n)))
}

// deploy says what is wanted while all are online, and lets those that are due carry it out.
func (c *cluster) deploy(t *table, due int) error {
	if err := c.all(func(s *fleet.Share) error { return s.Claims(false) }); err != nil {
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
	if err := c.servers[0].want(); err != nil {
		return err
	}
	if err := c.until(fmt.Sprintf("%d orders", due), func(s fleet.State) bool { return s.Orders >= due }); err != nil {
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
	enterOrders(t, offered, ticked)
	c.enter(t, "CPU per decision, with delivery, µs", cost{cpu, byPostgres}, due)
	t.add("servers that decided some of it", fmt.Sprint(deciders), "–")
	return c.carryOut(t, due)
}

// enterOrders adds when orders arrived after the tick began.
func enterOrders(t *table, offered []time.Time, ticked time.Time) {
	var after []time.Duration
	for _, at := range offered {
		after = append(after, at.Sub(ticked))
	}
	t.add("order delivered after the tick began, p50, ms", fmt.Sprintf("%.0f", ms(process.Quantile(after, .5))), "–")
	t.add("… p99, ms", fmt.Sprintf("%.0f", ms(process.Quantile(after, .99))), "–")
}

// record follows the processor time of every server.
func (c *cluster) record() (all []*process.Record) {
	for _, server := range c.servers {
		all = append(all, process.Begin(server.PID()))
	}
	return all
}

// carryOut lets all claim and end their parts, and looks at what was deployed twice.
func (c *cluster) carryOut(t *table, due int) error {
	position, err := c.servers[0].position()
	if err != nil {
		return err
	}
	spent, took, err := c.spend(func() error {
		err := c.all(func(s *fleet.Share) error {
			if err := s.Claims(true); err != nil {
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
	t.add("… all of them took, s", fmt.Sprintf("%.1f", took.Seconds()), "–")
	servers, postgres := c.memory()
	t.add("resident memory of all servers, MB", fmt.Sprintf("%.0f", float64(servers)/1e6), fmt.Sprintf("%.0f", float64(postgres)/1e6))
	t.add("… KB per agent", fmt.Sprintf("%.1f", float64(servers)/1e3/float64(2*due)), "–")
	for _, server := range c.servers { // whoever would deploy again does it by now
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
	t.add("deployed twice, over all agents", fmt.Sprintf("%d, met: %s", last.Again, metOrNot(last.Again == 0)), "–")
	t.add("parts ended in the log, of so many that were due", fmt.Sprintf("%d of %d, met: %s", ended, due, metOrNot(ended == due)), "–")
	t.add("orders that came once more to whoever had not claimed them", fmt.Sprint(last.Offers-last.Orders), "–")
	return nil
}
