package main

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc"

	"github.com/moby/swarmkit/v2/api"
	"github.com/moby/swarmkit/v2/ca"
	"github.com/moby/swarmkit/v2/manager/dispatcher"
	"github.com/moby/swarmkit/v2/manager/drivers"
)

// stream is a server stream to a node without a network connection.
type stream[M any] struct {
	grpc.ServerStream
	ctx  context.Context
	send func(*M) error
}

func (s stream[M]) Context() context.Context { return s.ctx }
func (s stream[M]) Send(m *M) error          { return s.send(m) }

// startDispatcher starts the component that serves the nodes.
func startDispatcher(ctx context.Context, cluster dispatcher.Cluster) (*dispatcher.Dispatcher, error) {
	config := dispatcher.DefaultConfig()
	config.HeartbeatPeriod = time.Hour // nodes send no heartbeats and must not be considered lost
	d := dispatcher.New()
	d.Init(cluster, config, drivers.New(nil), nil)
	failed := make(chan error, 1)
	go func() { failed <- d.Run(ctx) }()
	time.Sleep(time.Second)
	select {
	case err := <-failed:
		return nil, errors.Join(errors.New("the dispatcher did not start"), err)
	default:
		return d, nil
	}
}

// connectAll opens the session of every node and requests its assignments.
func (b *bench) connectAll(ctx context.Context, d *dispatcher.Dispatcher) error {
	for i := range b.nodes {
		go b.connect(ctx, d, name(i))
	}
	return nil
}

func (b *bench) connect(ctx context.Context, d *dispatcher.Dispatcher, node string) {
	ctx = context.WithValue(ctx, ca.LocalRequestKey, ca.RemoteNodeInfo{NodeID: node, Roles: []string{ca.WorkerRole}})
	asked := false
	_ = d.Session(&api.SessionRequest{Description: &api.NodeDescription{Hostname: node}},
		stream[api.SessionMessage]{ctx: ctx, send: func(m *api.SessionMessage) error {
			if !asked {
				asked = true
				go func() {
					_ = d.Assignments(&api.AssignmentsRequest{SessionID: m.SessionID},
						stream[api.AssignmentsMessage]{ctx: ctx, send: func(m *api.AssignmentsMessage) error {
							if len(m.Changes) > 0 {
								b.got(node)
							}
							return nil
						}})
				}()
			}
			return nil
		}})
}
