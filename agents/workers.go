package agents

import "sync/atomic"

// maxIdle is how many goroutines wait for work.
const maxIdle = 8

// workers runs the work of sessions: handling messages and sending changes. Each piece of work is short, and a new
// goroutine would first have to grow its stack for a read of the log. So a few goroutines wait for the next piece.
type workers struct {
	next   chan func()
	idle   *atomic.Int32
	closed <-chan struct{}
}

// newWorkers returns workers whose idle goroutines end when closed is closed.
func newWorkers(closed <-chan struct{}) workers {
	return workers{next: make(chan func()), idle: new(atomic.Int32), closed: closed}
}

// do runs f on a goroutine that waits for work, or on a new one. It does not block.
func (w workers) do(f func()) {
	select {
	case w.next <- f:
	default:
		go w.run(f)
	}
}

// run runs f and then waits for more work, unless enough goroutines wait already.
func (w workers) run(f func()) {
	for {
		f()
		if w.idle.Add(1) > maxIdle {
			w.idle.Add(-1)
			return
		}
		select {
		case f = <-w.next:
			w.idle.Add(-1)
		case <-w.closed:
			return
		}
	}
}
