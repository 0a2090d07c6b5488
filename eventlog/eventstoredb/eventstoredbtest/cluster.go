package eventstoredbtest

import (
	"crypto/tls"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// Config configures a cluster. The zero value is one node without access control.
type Config struct {
	// Nodes is the number of nodes; 0 means 1. The first one is the leader.
	Nodes int
	// TLS is the certificate of the servers; nil means plain text.
	TLS *tls.Config
	// Users contains the permitted users by name; if empty, everything is allowed. Users require TLS, because the client
	// sends no password without it.
	Users map[string]User
	// Version is the version that the servers report; the default is 24.10.1.
	Version string
	// IndexDelay is the time between writing an append and indexing it. Readers see an append after it is indexed, and
	// only then is the append answered.
	IndexDelay time.Duration
	// CommitTimeout is the time after which an append that is not indexed fails; 0 means 2 s, as on the real server.
	CommitTimeout time.Duration
}

// User is a user of a cluster.
type User struct {
	Password string
	// ReadsAll permits reading $all.
	ReadsAll bool
	// Writes permits appends.
	Writes bool
}

// Cluster is a set of nodes that share one store.
type Cluster struct {
	config Config
	store  *store
	faults *faults
	nodes  []*Node
	sent   atomic.Int64 // events
	// skipped is the number of events before the place where the last subscription began.
	skipped atomic.Int64

	mu                   sync.Mutex
	leader               *Node
	required, unrequired int // reads with and without requires-leader
}

// Start starts a cluster on free ports of this host. The caller must call Stop.
func Start(config Config) (*Cluster, error) {
	if config.Version == "" {
		config.Version = "24.10.1"
	}
	if config.CommitTimeout == 0 {
		config.CommitTimeout = 2 * time.Second
	}
	c := &Cluster{config: config, store: newStore(config.IndexDelay), faults: newFaults()}
	for range max(config.Nodes, 1) {
		node := &Node{cluster: c, address: "127.0.0.1:0", lag: -1}
		c.nodes = append(c.nodes, node)
		if err := node.Start(); err != nil {
			c.Stop()
			return nil, fmt.Errorf("start node: %w", err)
		}
	}
	c.leader = c.nodes[0]
	return c, nil
}

// Stop kills all nodes.
func (c *Cluster) Stop() {
	for _, node := range c.nodes {
		node.Kill()
	}
}

// Node returns a node by its number, counted from 0.
func (c *Cluster) Node(number int) *Node { return c.nodes[number] }

// SetLeader makes a node the leader. The other nodes then lag: they retain their records and receive no new ones until
// they become the leader.
func (c *Cluster) SetLeader(number int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	records, _ := c.store.prefix(-1)
	for _, node := range c.nodes {
		node.lag = len(records)
	}
	c.leader = c.nodes[number]
	c.leader.lag = -1
}

// leads reports whether node is the leader, and how many records it has received; a negative number means all.
func (c *Cluster) leads(node *Node) (leads bool, lag int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.leader == node, node.lag
}

// Leader returns the leader.
func (c *Cluster) Leader() *Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.leader
}

// URL returns a connection string that names all nodes, with further parameters such as "log=a". user may be nil.
func (c *Cluster) URL(user *url.Userinfo, parameters ...string) string {
	var addresses []string
	for _, node := range c.nodes {
		addresses = append(addresses, node.address)
	}
	return c.urlOf(user, strings.Join(addresses, ","), parameters)
}

// URLOf returns a connection string that names only one node.
func (c *Cluster) URLOf(number int, parameters ...string) string {
	return c.urlOf(nil, c.nodes[number].address, parameters)
}

func (c *Cluster) urlOf(user *url.Userinfo, hosts string, parameters []string) string {
	who := ""
	if user != nil {
		who = user.String() + "@"
	}
	if c.config.TLS == nil {
		parameters = append(parameters, "tls=false")
	}
	return "esdb://" + who + hosts + "?" + strings.Join(parameters, "&")
}

// Fill appends n events to a stream, as another application would.
func (c *Cluster) Fill(stream string, n int) {
	for range n {
		c.store.append(stream, anyRevision, []proposal{{id: uuid.New(), kind: "x", contentType: "application/json",
			data: []byte(`{}`)}})
	}
}

// Records returns the number of events in the store, including the server's own.
func (c *Cluster) Records() int {
	records, _ := c.store.prefix(-1)
	return len(records)
}

// Restore removes all but the first n events, as the restore of an older backup would.
func (c *Cluster) Restore(n int) {
	s := c.store
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.records[:n]
	s.records, s.streams, s.recent, s.end = nil, map[string][]int{}, map[uuid.UUID]int{}, 0
	for _, r := range old {
		s.add(r.stream, r.proposal)
	}
	s.indexed = len(s.records)
}

// ForgetIDs clears the cache of recent event ids, with which the server detects repeated appends that expect any
// revision. The real server evicts ids after some time.
func (c *Cluster) ForgetIDs() {
	c.store.mu.Lock()
	defer c.store.mu.Unlock()
	clear(c.store.recent)
}

// HoldIndex stops indexing: appends are written, but readers do not see them and they are not answered.
func (c *Cluster) HoldIndex() { c.store.hold(true) }

// ReleaseIndex indexes all records and resumes indexing.
func (c *Cluster) ReleaseIndex() { c.store.hold(false) }

// Sent returns how many events were sent to readers.
func (c *Cluster) Sent() int { return int(c.sent.Load()) }

// Skipped returns how many events of $all are before the place where the last subscription began.
func (c *Cluster) Skipped() int { return int(c.skipped.Load()) }
