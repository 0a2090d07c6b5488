package eventstoredbtest

import (
	"context"
	"net"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/gossip"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/serverfeatures"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
)

// endpoint returns the node's host and port.
func (n *Node) endpoint() (host string, port uint32) {
	host, text, _ := net.SplitHostPort(n.address)
	number, _ := strconv.ParseUint(text, 10, 16)
	return host, uint32(number)
}

// up reports whether the node is running.
func (n *Node) up() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.server != nil
}

// member returns the gossip entry of the node.
func (n *Node) member() *gossip.MemberInfo {
	host, port := n.endpoint()
	state := gossip.MemberInfo_Follower
	if leads, _ := n.cluster.leads(n); leads {
		state = gossip.MemberInfo_Leader
	}
	return &gossip.MemberInfo{
		TimeStamp: time.Now().UnixNano() / 100, State: state, IsAlive: n.up(),
		HttpEndPoint: &gossip.EndPoint{Address: host, Port: port},
	}
}

// Read lists all nodes. It is the only call of the gossip service.
func (g gossiper) Read(ctx context.Context, _ *shared.Empty) (*gossip.ClusterInfo, error) {
	g.node.thawed(ctx)
	info := &gossip.ClusterInfo{}
	for _, node := range g.node.cluster.nodes {
		info.Members = append(info.Members, node.member())
	}
	return info, nil
}

// gossiper serves gossip for a node. It is a separate type because Node already has a method Read.
type gossiper struct {
	gossip.UnimplementedGossipServer
	node *Node
}

// GetSupportedMethods returns the version of the server.
func (n *Node) GetSupportedMethods(ctx context.Context, _ *shared.Empty) (*serverfeatures.SupportedMethods, error) {
	n.thawed(ctx)
	return &serverfeatures.SupportedMethods{EventStoreServerVersion: n.cluster.config.Version}, nil
}

// notLeader refuses a call and names the leader.
func (n *Node) notLeader(ctx context.Context) error {
	host, port := n.cluster.Leader().endpoint()
	_ = grpc.SetTrailer(ctx, metadata.Pairs("exception", "not-leader",
		"leader-endpoint-host", host, "leader-endpoint-port", strconv.Itoa(int(port))))
	return status.Error(codes.NotFound, "Leader info available")
}

// lead refuses a call that requires the leader if this node is not the leader.
func (n *Node) lead(ctx context.Context) error {
	leads, _ := n.cluster.leads(n)
	if !leads && requiresLeader(ctx) {
		return n.notLeader(ctx)
	}
	return nil
}

func requiresLeader(ctx context.Context) bool {
	incoming, _ := metadata.FromIncomingContext(ctx)
	values := incoming.Get("requires-leader")
	return len(values) > 0 && values[0] == "true"
}
