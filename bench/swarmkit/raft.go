package main

import (
	"context"
	"crypto/tls"
	"errors"
	"os"
	"time"

	"google.golang.org/grpc/credentials"

	"github.com/moby/swarmkit/v2/manager/state/raft"
)

// manager is a raft log with one member, on disk.
type manager struct {
	*raft.Node
	folder string
	end    context.CancelFunc
}

// keys returns the fixed encryption keys of the log.
type keys struct{ rotate chan struct{} }

func (keys) GetKeys() raft.EncryptionKeys {
	return raft.EncryptionKeys{CurrentDEK: []byte("0123456789abcdef0123456789abcdef")}
}
func (keys) UpdateKeys(raft.EncryptionKeys) error { return nil }
func (keys) NeedsRotation() bool                  { return false }
func (k keys) RotationNotify() chan struct{}      { return k.rotate }

// startRaft starts the raft log and waits until it is its own leader.
func startRaft(ctx context.Context) (*manager, error) {
	folder, err := os.MkdirTemp("", "swarmkit-")
	if err != nil {
		return nil, err
	}
	ctx, end := context.WithCancel(ctx)
	m := &manager{folder: folder, end: end, Node: raft.NewNode(raft.NodeOptions{ID: "manager", Addr: "127.0.0.1:1",
		Config:   raft.DefaultNodeConfig(),
		StateDir: folder, TLSCredentials: credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12}),
		KeyRotator: keys{make(chan struct{})}})}
	if err := m.JoinAndStart(ctx); err != nil {
		m.stop()
		return nil, err
	}
	go func() { _ = m.Run(ctx) }()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if m.ReadyForProposals() {
			return m, nil
		}
	}
	m.stop()
	return nil, errors.New("the raft log has no leader after a minute")
}

func (m *manager) stop() {
	m.end()
	_ = os.RemoveAll(m.folder)
}
