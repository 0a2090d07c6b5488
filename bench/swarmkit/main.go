package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/moby/swarmkit/v2/api"
	"github.com/moby/swarmkit/v2/log"
	"github.com/moby/swarmkit/v2/manager/allocator"
	"github.com/moby/swarmkit/v2/manager/orchestrator/global"
	"github.com/moby/swarmkit/v2/manager/scheduler"
	"github.com/moby/swarmkit/v2/manager/state/store"
)

// figure is the result of one run.
type figure struct {
	Mode        string  `json:"mode"`
	Nodes       int     `json:"nodes"`
	Tasks       int     `json:"tasks"`
	CPUPerTask  float64 `json:"cpuPerTask"` // µs
	P50         float64 `json:"p50"`        // ms
	P99         float64 `json:"p99"`
	Written     int64   `json:"written"`
	Memory      int64   `json:"memory"`
	MemoryBased int64   `json:"memoryBased"`
}

var modes = []string{"in memory", "raft log", "raft log and dispatcher"}

func main() {
	nodes := flag.Int("nodes", 10_000, "number of nodes")
	share := flag.Int("dispatcher-share", 5,
		"run the dispatcher with one in this many nodes, because its work grows with their square")
	mode := flag.String("mode", "", "mode to run (empty: all, each in its own process)")
	flag.Parse()
	logrus.SetLevel(logrus.ErrorLevel)
	log.L.Logger.SetLevel(logrus.ErrorLevel)
	if err := run(*mode, *nodes, *share); err != nil {
		fmt.Fprintln(os.Stderr, "swarmkit:", err)
		os.Exit(1)
	}
}

func run(mode string, nodes, share int) error {
	if mode != "" {
		f, err := measure(context.Background(), mode, nodes)
		if err != nil {
			return err
		}
		return json.NewEncoder(os.Stdout).Encode(f)
	}
	for _, mode := range modes {
		n := nodes
		if strings.Contains(mode, "dispatcher") {
			n = nodes / share
		}
		cmd := exec.Command(os.Args[0], "-mode", mode, "-nodes", fmt.Sprint(n))
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%s: %w", mode, err)
		}
	}
	return nil
}

// bench is a manager with its nodes, and the time at which each got its task.
type bench struct {
	store *store.MemoryStore
	nodes int

	mu   sync.Mutex
	when map[string]time.Time // by node
	done chan struct{}
}

// got records that a node has its task.
func (b *bench) got(node string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, known := b.when[node]; known || node == "" {
		return
	}
	if b.when[node] = time.Now(); len(b.when) == b.nodes/2 {
		close(b.done)
	}
}

func measure(ctx context.Context, mode string, nodes int) (figure, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	b := &bench{nodes: nodes, when: map[string]time.Time{}, done: make(chan struct{})}
	begin := b.readyAll
	switch mode {
	case modes[0]:
		b.store = store.NewMemoryStore(nil)
		defer b.store.Close()
	default:
		manager, err := startRaft(ctx)
		if err != nil {
			return figure{}, err
		}
		defer manager.stop()
		b.store = manager.MemoryStore()
		if mode == modes[2] {
			d, err := startDispatcher(ctx, manager.Node)
			if err != nil {
				return figure{}, err
			}
			begin = func() error { return b.connectAll(ctx, d) }
		}
	}
	if err := b.prepare(ctx); err != nil {
		return figure{}, err
	}
	if mode != modes[2] { // otherwise the node reports that it has its task
		watch, stop, err := store.ViewAndWatch(b.store, func(store.ReadTx) error { return nil }, api.EventUpdateTask{})
		if err != nil {
			return figure{}, err
		}
		defer stop()
		go func() {
			for event := range watch {
				if t := event.(api.EventUpdateTask).Task; t.Status.State == api.TaskStateAssigned {
					b.got(t.NodeID)
				}
			}
		}()
	}
	f := figure{Mode: mode, Nodes: nodes, Tasks: nodes / 2, MemoryBased: resident()}
	return b.time(f, begin)
}

// time makes the nodes ready and waits until half of them have a task.
func (b *bench) time(f figure, begin func() error) (figure, error) {
	time.Sleep(time.Second) // until all components have started
	cpu, disk, begun := used(), written(), time.Now()
	if err := begin(); err != nil {
		return f, err
	}
	select {
	case <-b.done:
	case <-time.After(10 * time.Minute):
		return f, errors.New("not all nodes have a task after ten minutes")
	}
	f.CPUPerTask = float64((used() - cpu).Nanoseconds()) / 1e3 / float64(f.Tasks)
	f.Written, f.Memory = written()-disk, resident()
	var after []time.Duration
	for _, at := range b.when {
		after = append(after, at.Sub(begun))
	}
	slices.Sort(after)
	f.P50, f.P99 = ms(after[len(after)/2]), ms(after[len(after)*99/100])
	return f, nil
}

func ms(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }

// prepare creates the cluster, its nodes (down) and the service, and starts the components of a manager.
func (b *bench) prepare(ctx context.Context) error {
	err := b.store.Update(func(tx store.Tx) error {
		return store.CreateCluster(tx, &api.Cluster{ID: "cluster",
			Spec: api.ClusterSpec{Annotations: api.Annotations{Name: store.DefaultClusterName}}})
	})
	if err != nil {
		return err
	}
	err = b.store.Batch(func(batch *store.Batch) error {
		for i := range b.nodes {
			if err := batch.Update(func(tx store.Tx) error { return store.CreateNode(tx, node(i)) }); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	go func() { _ = global.NewGlobalOrchestrator(b.store).Run(ctx) }()
	go func() { _ = allocator.New(b.store, nil).Run(ctx) }()
	go func() { _ = scheduler.New(b.store).Run(ctx) }()
	time.Sleep(time.Second)
	return b.store.Update(func(tx store.Tx) error { return store.CreateService(tx, service()) })
}

func name(i int) string { return fmt.Sprintf("node-%06d", i) }

func node(i int) *api.Node {
	role := []string{"db", "web"}[i%2]
	return &api.Node{ID: name(i), Description: &api.NodeDescription{Hostname: name(i)},
		Status: api.NodeStatus{State: api.NodeStatus_DOWN},
		Spec: api.NodeSpec{Annotations: api.Annotations{Name: name(i), Labels: map[string]string{"role": role}},
			Membership: api.NodeMembershipAccepted}}
}

func service() *api.Service {
	return &api.Service{ID: "shop", Spec: api.ServiceSpec{Annotations: api.Annotations{Name: "shop"},
		Mode: &api.ServiceSpec_Global{Global: &api.GlobalService{}},
		Task: api.TaskSpec{Runtime: &api.TaskSpec_Container{Container: &api.ContainerSpec{Image: "shop:1.0",
			Command: []string{"true"}}},
			Placement: &api.Placement{Constraints: []string{"node.labels.role==web"}}}}}
}

// readyAll marks all nodes as ready, in batches, like the dispatcher.
func (b *bench) readyAll() error {
	return b.store.Batch(func(batch *store.Batch) error {
		for i := range b.nodes {
			err := batch.Update(func(tx store.Tx) error {
				n := store.GetNode(tx, name(i)).Copy()
				n.Status.State = api.NodeStatus_READY
				return store.UpdateNode(tx, n)
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// used returns the processor time of this process.
func used() time.Duration {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func written() int64  { return proc("/proc/self/io", "write_bytes") }
func resident() int64 { return proc("/proc/self/status", "VmRSS") << 10 }

// proc reads one number from a file with lines "Name: number …".
func proc(path, want string) (value int64) {
	text, _ := os.ReadFile(path)
	for line := range strings.Lines(string(text)) {
		if name, rest, _ := strings.Cut(line, ":"); name == want {
			_, _ = fmt.Sscan(rest, &value)
		}
	}
	return value
}
