package eventstoredbtest

import (
	"context"
	"net"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/gossip"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/serverfeatures"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
)

// Node is one server of a cluster.
type Node struct {
	cluster *Cluster
	address string
	lag     int // how many records it has received, negative for all; guarded by cluster.mu

	mu       sync.Mutex
	server   *grpc.Server // nil while the node is down
	listener net.Listener
	frozen   chan struct{} // closed by Thaw; nil while the node is not frozen

	streams.UnimplementedStreamsServer
	serverfeatures.UnimplementedServerFeaturesServer
}

// Address returns the node's address. It stays the same after Kill and Start.
func (n *Node) Address() string { return n.address }

// Start starts the node. A restarted node listens on the same port as before.
func (n *Node) Start() error {
	listener, err := net.Listen("tcp", n.address)
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if strings.HasSuffix(n.address, ":0") {
		n.address = listener.Addr().String()
	}
	n.server, n.listener = n.serve(listener), listener
	return nil
}

// serve answers calls on listener. The client pings every 10 s, which a gRPC server rejects as too often by
// default.
func (n *Node) serve(listener net.Listener) *grpc.Server {
	options := []grpc.ServerOption{grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second,
		PermitWithoutStream: true})}
	if n.cluster.config.TLS != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(n.cluster.config.TLS)))
	}
	server := grpc.NewServer(options...)
	streams.RegisterStreamsServer(server, n)
	gossip.RegisterGossipServer(server, gossiper{node: n})
	serverfeatures.RegisterServerFeaturesServer(server, n)
	go func() { _ = server.Serve(listener) }()
	return server
}

// Kill closes the port and all connections, even in the middle of a call.
func (n *Node) Kill() {
	if server := n.take(); server != nil {
		server.Stop()
	}
}

// take closes the port and returns the server, which keeps its open connections.
func (n *Node) take() *grpc.Server {
	n.mu.Lock()
	defer n.mu.Unlock()
	server := n.server
	if server != nil {
		_ = n.listener.Close()
	}
	n.server = nil
	return server
}

// GoAway sends GOAWAY on all connections and accepts new ones on the same port. It returns when the old connections
// are closed.
func (n *Node) GoAway() error {
	old := n.take()
	err := n.Start()
	old.GracefulStop()
	return err
}

// Freeze makes the node accept calls without answering them, like a suspended process on a running host.
func (n *Node) Freeze() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.frozen = make(chan struct{})
}

// Thaw lets a frozen node continue.
func (n *Node) Thaw() {
	n.mu.Lock()
	defer n.mu.Unlock()
	close(n.frozen)
	n.frozen = nil
}

// thawed waits until the node is not frozen or the call ends.
func (n *Node) thawed(ctx context.Context) {
	n.mu.Lock()
	frozen := n.frozen
	n.mu.Unlock()
	if frozen == nil {
		return
	}
	select {
	case <-frozen:
	case <-ctx.Done():
	}
}
