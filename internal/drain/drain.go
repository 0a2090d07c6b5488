package drain

import (
	"context"
	"sync"
)

// Group counts running work until it is closed. Create it with New. Its methods are safe for concurrent use.
type Group struct {
	closed chan struct{}
	once   sync.Once
	open   sync.WaitGroup
	mu     sync.Mutex // guards adding to open against closing
}

// New returns an open group.
func New() *Group { return &Group{closed: make(chan struct{})} }

// Enter adds one unit of work, unless the group is closed. After true the caller must call Leave.
func (g *Group) Enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.IsClosed() {
		return false
	}
	g.open.Add(1)
	return true
}

// Leave removes one unit of work.
func (g *Group) Leave() { g.open.Done() }

// Close makes all later calls of Enter return false. It may be called several times.
func (g *Group) Close() {
	g.once.Do(func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		close(g.closed)
	})
}

// Closed returns a channel that is closed by Close.
func (g *Group) Closed() <-chan struct{} { return g.closed }

// IsClosed reports whether Close was called.
func (g *Group) IsClosed() bool {
	select {
	case <-g.closed:
		return true
	default:
		return false
	}
}

// Wait returns when all work is done or ctx has ended.
func (g *Group) Wait(ctx context.Context) {
	done := make(chan struct{})
	go func() { g.open.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
	}
}
