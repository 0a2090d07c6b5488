package faults

import (
	"bytes"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// weather is what a wire does to what passes.
type weather struct {
	// refuse ends new connections at once.
	refuse bool
	// still keeps everything back, in both directions: nothing is lost and nothing arrives.
	still bool
	// deafUp and deafDown lose what goes to the target, or what comes back from it.
	deafUp, deafDown bool
	// delay is how much later everything arrives.
	delay time.Duration
}

// wire is a line between programs: it listens, and passes on what it is sent to its target.
type wire struct {
	listener net.Listener
	target   string

	mu      sync.Mutex
	now     weather
	changed chan struct{} // closed when the weather changes
	open    map[net.Conn]struct{}
	over    bool
	answers []byte // what came back last, at most tailBytes of it
}

const tailBytes = 64 << 10

func newWire(t testing.TB, target string) *wire {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	w := &wire{listener: listener, target: target, changed: make(chan struct{}), open: map[net.Conn]struct{}{}}
	go w.accept()
	t.Cleanup(w.close)
	return w
}

func (w *wire) address() string { return w.listener.Addr().String() }

func (w *wire) close() {
	w.mu.Lock()
	w.over = true
	w.mu.Unlock()
	w.listener.Close()
	w.set(weather{refuse: true})
	w.cut()
}

// set changes the weather, for the connections that stand too.
func (w *wire) set(now weather) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = now
	close(w.changed)
	w.changed = make(chan struct{})
}

// cut ends all connections that stand.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for conn := range w.open {
		conn.Close()
	}
}

// clear is good weather on connections of which none has missed anything.
func (w *wire) clear() {
	w.set(weather{})
	w.cut()
}

func (w *wire) accept() {
	for {
		near, err := w.listener.Accept()
		if err != nil {
			return
		}
		go w.join(near)
	}
}

// keep counts a connection in, unless there are to be none.
func (w *wire) keep(conn net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over || w.now.refuse {
		return false
	}
	w.open[conn] = struct{}{}
	return true
}

func (w *wire) join(near net.Conn) {
	defer near.Close()
	if !w.keep(near) {
		return
	}
	defer w.forget(near)
	far, err := net.Dial("tcp", w.target)
	if err != nil {
		return
	}
	defer far.Close()
	if !w.keep(far) {
		return
	}
	defer w.forget(far)
	go w.carry(near, far, func(now weather, _ []byte) bool { return now.deafUp })
	w.carry(far, near, func(now weather, answer []byte) bool {
		w.keepAnswer(answer)
		return now.deafDown
	})
}

func (w *wire) forget(conn net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.open, conn)
}

// carry passes on what comes from one end to the other, as the weather allows, and closes both at its end.
func (w *wire) carry(from, to net.Conn, deaf func(weather, []byte) bool) {
	defer from.Close()
	defer to.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		now := w.wait()
		if now.delay > 0 {
			time.Sleep(now.delay)
		}
		if n > 0 && !deaf(now, buffer[:n]) {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (w *wire) keepAnswer(answer []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answers = append(w.answers, answer...)
	w.answers = w.answers[max(0, len(w.answers)-tailBytes):]
}

// forgetAnswers forgets what came back until now.
func (w *wire) forgetAnswers() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answers = nil
}

// answered says whether text came back lately.
func (w *wire) answered(text string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return bytes.Contains(w.answers, []byte(text))
}

// wait returns the weather once it is not still.
func (w *wire) wait() weather {
	for {
		w.mu.Lock()
		now, changed := w.now, w.changed
		w.mu.Unlock()
		if !now.still {
			return now
		}
		<-changed
	}
}

func TestAWireCanBeCutAndDeafAndStill(t *testing.T) {
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer echo.Close()
	heard := make(chan string, 10)
	go func() {
		for {
			conn, err := echo.Accept()
			if err != nil {
				return
			}
			go func() {
				buffer := make([]byte, 100)
				for {
					n, err := conn.Read(buffer)
					if err != nil {
						return
					}
					heard <- string(buffer[:n])
					_, _ = conn.Write(buffer[:n])
				}
			}()
		}
	}()
	w := newWire(t, echo.Addr().String())
	conn, err := net.Dial("tcp", w.address())
	require.NoError(t, err)
	say := func(text string) {
		_, err := conn.Write([]byte(text))
		require.NoError(t, err)
	}
	hear := func() string {
		buffer := make([]byte, 100)
		n, _ := conn.Read(buffer)
		return string(buffer[:n])
	}
	say("one")
	require.Equal(t, "one", hear())
	require.Equal(t, "one", <-heard)
	w.set(weather{deafDown: true})
	say("two")
	require.Equal(t, "two", <-heard, "it was done, and the answer lost")
	require.Eventually(t, func() bool { return w.answered("two") }, time.Minute, time.Millisecond, "the answer came as far as the wire")
	w.set(weather{still: true})
	say("three")
	require.Empty(t, heard)
	w.set(weather{})
	require.Equal(t, "three", hear(), "late, and nothing of two")
	w.set(weather{refuse: true})
	w.cut()
	require.Empty(t, hear(), "the connection ended")
	conn, err = net.Dial("tcp", w.address())
	require.NoError(t, err)
	require.Empty(t, hear())
}
