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
	lag     int // how many records it has got, below 0 all; guarded by the cluster

	mu       sync.Mutex
	server   *grpc.Server // nil while it is down
	listener net.Listener
	frozen   chan struct{} // closed by Thaw; nil while the node works

	streams.UnimplementedStreamsServer
	serverfeatures.UnimplementedServerFeaturesServer
}

// Address is where the node listens, also after it was killed.
func (n *Node) Address() string { return n.address }

// Start listens, again on the same port if the node was up before.
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

// serve answers on listener. The client pings every 10 s, and a gRPC server by itself calls
// that too many.
func (n *Node) serve(listener net.Listener) *grpc.Server {
	options := []grpc.ServerOption{grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true})}
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

// Kill closes the port and every connection, in the middle of whatever there is.
func (n *Node) Kill() {
	if server := n.take(); server != nil {
		server.Stop()
	}
}

// take gives up the port and returns the server, which goes on with its connections.
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

// GoAway asks every connection to end after its calls and goes on with new ones on the same port.
// It returns once the old connections have gone.
func (n *Node) GoAway() error {
	old := n.take()
	err := n.Start()
	old.GracefulStop()
	return err
}

// Freeze makes the node take every call and answer none, as a stopped process does whose
// host is up.
func (n *Node) Freeze() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.frozen = make(chan struct{})
}

// Thaw lets a frozen node go on.
func (n *Node) Thaw() {
	n.mu.Lock()
	defer n.mu.Unlock()
	close(n.frozen)
	n.frozen = nil
}

// thawed waits until the node works or the call is over.
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
