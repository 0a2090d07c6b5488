package eventstoredbtest

import (
	"crypto/tls"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"
)

// Config says what cluster to start; the zero value is one node that lets everybody in.
type Config struct {
	// Nodes is how many there are; 0 is 1. The first leads.
	Nodes int
	// TLS is the servers' certificate; nil is plain text.
	TLS *tls.Config
	// Users are those who may call, by name; empty lets everybody in. It needs TLS, without which the client sends no password.
	Users map[string]User
	// Version is what the servers call themselves; empty is 24.10.1.
	Version string
}

// User is somebody who may call.
type User struct {
	Password string
	// ReadsAll is the right to read $all.
	ReadsAll bool
	// Writes is the right to append.
	Writes bool
}

// Cluster is some nodes over one store.
type Cluster struct {
	config Config
	store  *store
	faults *faults
	nodes  []*Node
	sent   atomic.Int64 // events

	mu                   sync.Mutex
	leader               *Node
	required, unrequired int // reads, by whether they asked for the leader
}

// Start starts a cluster on free ports of this host. Stop ends it.
func Start(config Config) (*Cluster, error) {
	if config.Version == "" {
		config.Version = "24.10.1"
	}
	c := &Cluster{config: config, store: newStore(), faults: newFaults()}
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

// Node returns the node of that number, counted from 0.
func (c *Cluster) Node(number int) *Node { return c.nodes[number] }

// Lead makes a node the leader. The others lag from now on: they keep what there is, and
// get nothing new until they lead.
func (c *Cluster) Lead(number int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	records, _ := c.store.prefix(-1)
	for _, node := range c.nodes {
		node.lag = len(records)
	}
	c.leader = c.nodes[number]
	c.leader.lag = -1
}

// leads says whether node leads, and how many records it has got, below 0 all.
func (c *Cluster) leads(node *Node) (leads bool, lag int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.leader == node, node.lag
}

// Leader returns the node that leads.
func (c *Cluster) Leader() *Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.leader
}

// URL is a connection string that names all nodes, with further parameters such as
// "log=a", and a user who may be empty.
func (c *Cluster) URL(user *url.Userinfo, parameters ...string) string {
	var addresses []string
	for _, node := range c.nodes {
		addresses = append(addresses, node.address)
	}
	return c.urlOf(user, strings.Join(addresses, ","), parameters)
}

// URLOf is a connection string that names one node alone.
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

// Fill appends n events to a stream, as another program would.
func (c *Cluster) Fill(stream string, n int) {
	for range n {
		c.store.append(stream, anyRevision, []proposal{{id: uuid.New(), kind: "x", contentType: "application/json", data: []byte(`{}`)}})
	}
}

// Records says how many events there are, ours and the server's own.
func (c *Cluster) Records() int {
	records, _ := c.store.prefix(-1)
	return len(records)
}

// Restore takes away all but the first n events, as a backup does that is put back.
func (c *Cluster) Restore(n int) {
	s := c.store
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.records[:n]
	s.records, s.streams, s.recent, s.end = nil, map[string][]int{}, map[uuid.UUID]int{}, 0
	for _, r := range old {
		s.add(r.stream, r.proposal)
	}
}

// ForgetIDs empties the memory of ids by which appends at any revision are known again, as
// the server does after some while.
func (c *Cluster) ForgetIDs() {
	c.store.mu.Lock()
	defer c.store.mu.Unlock()
	clear(c.store.recent)
}

// Sent says how many events were sent to readers.
func (c *Cluster) Sent() int { return int(c.sent.Load()) }
