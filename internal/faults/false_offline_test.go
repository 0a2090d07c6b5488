package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
)

// settledAfter is how long an agent must have been running and connected without a fault before drover must not call it
// offline any more: the grace, and as long again to find another server.
const settledAfter = 2*grace + 2*time.Second

// offlineWatch reads the log while a cluster runs. It counts the sessions that a server ended because of silence, and the
// ones among them whose agents were running and could reach the servers. A fault of a server or of the log is no excuse:
// the agent can reach another server.
type offlineWatch struct {
	c       *cluster
	settled time.Duration
	over    chan struct{}
	done    sync.WaitGroup

	read   eventlog.Position
	before time.Time // the log was last read at this time or later

	mu    sync.Mutex
	ended int
	found []string
	at    map[string]time.Time // when each machine of found was called offline
}

// watchOffline starts to read the log at its end.
func watchOffline(c *cluster, settled time.Duration) *offlineWatch {
	c.t.Helper()
	head, err := c.log.Head(context.Background())
	require.NoError(c.t, err)
	w := &offlineWatch{c: c, settled: settled, over: make(chan struct{}), read: head, before: time.Now()}
	w.done.Go(func() {
		for {
			w.poll()
			select {
			case <-w.over:
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	})
	return w
}

func (w *offlineWatch) stop() {
	close(w.over)
	w.done.Wait()
}

// poll reads the events since the last poll. They were written after w.before.
func (w *offlineWatch) poll() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	now := time.Now()
	var events []eventlog.Recorded
	for recorded, err := range w.c.log.ReadAll(ctx, w.read, 0) {
		if err != nil {
			return // the log is unavailable; the next poll reads these events
		}
		events = append(events, recorded)
	}
	for _, e := range events {
		w.read = e.Position
		if name, reason := endedSession(e); reason != "" {
			w.judge(name, reason, e)
		}
	}
	w.before = now
}

// endedSession returns the machine whose session a server ended because it did not hear from the agent, and the reason.
// The reason of any other event is empty.
func endedSession(e eventlog.Recorded) (machine, reason string) {
	fact, err := domain.Decode(e.Type, e.Data)
	if err != nil {
		return "", ""
	}
	if off, is := fact.(domain.MachineWentOffline); is && (off.Reason == "silent" || off.Reason == "server-gone") {
		reason = off.Reason
	}
	return strings.TrimPrefix(e.Stream, "machine/"), reason
}

func (w *offlineWatch) judge(machine, reason string, e eventlog.Recorded) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended++
	for _, a := range w.c.agents {
		if a.name != machine {
			continue
		}
		since, reachable := a.reachableSince()
		if reachable && w.before.Sub(since) >= w.settled {
			if w.at == nil {
				w.at = map[string]time.Time{}
			}
			w.at[machine] = time.Now()
			w.found = append(w.found, fmt.Sprintf("#%s at %s: %s is offline (%s), but its agent has been running and connected "+
				"for %s", e.Position, time.Now().Format(time.TimeOnly), machine, reason,
				w.before.Sub(since).Round(time.Millisecond)))
		}
	}
}

// explainedBefore is how far back explain looks.
const explainedBefore = 30 * time.Second

// explain logs what servers and agents have logged about each machine of found, before it was called offline, and its
// events.
func (w *offlineWatch) explain() {
	logs, _ := filepath.Glob(filepath.Join(w.c.folder, "*.log"))
	for machine, at := range w.at {
		var about []string
		for _, path := range logs {
			name := strings.TrimSuffix(filepath.Base(path), ".log")
			text, _ := os.ReadFile(path)
			for row := range strings.Lines(string(text)) {
				var line struct {
					TS time.Time `json:"ts"`
				}
				concerns := name == machine || strings.Contains(row, machine) || strings.Contains(row, "cut off") ||
					strings.Contains(row, "log is") || strings.Contains(row, "serving")
				if json.Unmarshal([]byte(row), &line) == nil && concerns && line.TS.After(at.Add(-explainedBefore)) &&
					line.TS.Before(at.Add(time.Second)) {
					about = append(about, fmt.Sprintf("%s %s %.400s", line.TS.Format("15:04:05.000"), name, strings.TrimSpace(row)))
				}
			}
		}
		for recorded, err := range w.c.log.ReadStream(context.Background(), "machine/"+machine, 0, 0) {
			if err == nil && recorded.Time.After(at.Add(-explainedBefore)) && recorded.Time.Before(at.Add(time.Second)) {
				about = append(about, fmt.Sprintf("%s the log #%s %s %.300s", recorded.Time.Format("15:04:05.000"),
					recorded.Position, recorded.Type, recorded.Data))
			}
		}
		slices.Sort(about)
		w.c.t.Logf("machine %s before it was called offline:\n%s", machine, strings.Join(about, "\n"))
	}
}

// counts returns the number of ended sessions and the false ones so far.
func (w *offlineWatch) counts() (ended int, found []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ended, w.found
}

// reachableSince returns since when the agent has been running with undisturbed connections to all servers.
func (a *agent) reachableSince() (since time.Time, reachable bool) {
	since, reachable = a.runningSince()
	for _, p := range a.proxies {
		undisturbed, ok := p.undisturbedSince()
		reachable = reachable && ok
		if undisturbed.After(since) {
			since = undisturbed
		}
	}
	return since, reachable
}

// TestFalseOfflineIsCounted ends the session of a running agent in the log. Machines whose agents were killed or
// disconnected are offline too, but rightly.
func TestFalseOfflineIsCounted(t *testing.T) {
	skipIfShort(t)
	c := newCluster(t, clusterConfig{servers: 1, agents: 3})
	c.apply(shop)
	for _, a := range c.agents {
		a.start()
	}
	c.until("all machines are online", c.online)
	w := watchOffline(c, 0)
	defer w.stop()

	c.agents[1].stop(syscall.SIGKILL)
	for _, p := range c.agents[2].proxies {
		p.set(conditions{stalled: true})
	}
	c.until("two machines are offline", func() error { return w.has(2) })
	_, found := w.counts()
	require.Empty(t, found)

	c.until("the session of a running agent is ended", func() error { return c.endSession("m-00") })
	c.until("three machines are offline", func() error { return w.has(3) })
	_, found = w.counts()
	require.Len(t, found, 1)
	require.Contains(t, found[0], "m-00 is offline")
}

// has returns an error if fewer sessions have been ended.
func (w *offlineWatch) has(count int) error {
	if ended, _ := w.counts(); ended < count {
		return fmt.Errorf("%d sessions were ended, want %d", ended, count)
	}
	return nil
}

// endSession writes to the log that the newest session of a machine was silent.
func (c *cluster) endSession(machine string) error {
	stream := domain.MachineStream(machine)
	last, off := eventlog.NoStream, domain.MachineWentOffline{Reason: "silent"}
	for recorded, err := range c.log.ReadStream(context.Background(), stream, 0, 0) {
		if err != nil {
			return err
		}
		last = recorded.Revision
		switch fact, _ := domain.Decode(recorded.Type, recorded.Data); e := fact.(type) {
		case domain.MachineCameOnline:
			off.Connect, off.Session, off.Instance = domain.ID(recorded.ID), e.Session, e.Instance
		case domain.AgentConnected:
			off.Connect, off.Session, off.Instance = domain.ID(recorded.ID), e.Session, e.Instance
		}
	}
	name, data, err := domain.Encode(off)
	if err != nil {
		return err
	}
	_, err = c.log.Append(context.Background(), stream, last, eventlog.Event{ID: uuid.New(), Type: name, Data: data,
		Time: time.Now().UTC().Truncate(time.Microsecond)})
	return err
}
