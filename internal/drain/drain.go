// Package drain counts work that outlives a request, so that a server that stops takes no more of it and waits for
// the rest.
package drain

import (
	"context"
	"sync"
)

// Gate lets work in until it is closed. Use New to make one; its methods may be called from many goroutines.
type Gate struct {
	closed chan struct{}
	once   sync.Once
	open   sync.WaitGroup
	mu     sync.Mutex // guards adding to open against closing
}

// New returns an open gate.
func New() *Gate { return &Gate{closed: make(chan struct{})} }

// Enter counts work in, unless the gate is closed. Whoever got true must call Leave.
func (g *Gate) Enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.IsClosed() {
		return false
	}
	g.open.Add(1)
	return true
}

// Leave counts work out.
func (g *Gate) Leave() { g.open.Done() }

// Close lets nothing in any more. It may be called several times.
func (g *Gate) Close() {
	g.once.Do(func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		close(g.closed)
	})
}

// Closed is closed with the gate.
func (g *Gate) Closed() <-chan struct{} { return g.closed }

// IsClosed says whether the gate is closed.
func (g *Gate) IsClosed() bool {
	select {
	case <-g.closed:
		return true
	default:
		return false
	}
}

// Wait returns when all work that was let in has left, or with ctx.
func (g *Gate) Wait(ctx context.Context) {
	done := make(chan struct{})
	go func() { g.open.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
	}
}
