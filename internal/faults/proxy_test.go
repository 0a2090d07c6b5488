package faults

import (
	"bytes"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// conditions describes what a proxy does to traffic.
type conditions struct {
	// refuse closes new connections immediately.
	refuse bool
	// stalled holds back all traffic in both directions without losing it.
	stalled bool
	// dropUp and dropDown drop the traffic to the target or from it.
	dropUp, dropDown bool
	// delay delays all traffic.
	delay time.Duration
}

// proxy forwards connections to its target.
type proxy struct {
	listener net.Listener
	target   string

	mu      sync.Mutex
	now     conditions
	touched time.Time     // the last change of the conditions, or the last cut
	changed chan struct{} // closed when the conditions change
	open    map[net.Conn]struct{}
	over    bool
	answers []byte // the last tailBytes from the target
}

const tailBytes = 64 << 10

func newProxy(t testing.TB, target string) *proxy {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	w := &proxy{listener: listener, target: target, changed: make(chan struct{}), open: map[net.Conn]struct{}{}}
	go w.accept()
	t.Cleanup(w.close)
	return w
}

func (w *proxy) address() string { return w.listener.Addr().String() }

func (w *proxy) close() {
	w.mu.Lock()
	w.over = true
	w.mu.Unlock()
	w.listener.Close()
	w.set(conditions{refuse: true})
	w.cut()
}

// set changes the conditions, also for open connections.
func (w *proxy) set(now conditions) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now, w.touched = now, time.Now()
	close(w.changed)
	w.changed = make(chan struct{})
}

// cut closes all open connections.
func (w *proxy) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.touched = time.Now()
	for conn := range w.open {
		conn.Close()
	}
}

// undisturbedSince returns since when the proxy has forwarded everything. It returns false while it does not.
func (w *proxy) undisturbedSince() (since time.Time, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.touched, w.now == conditions{}
}

// clear restores normal conditions and closes all connections, because they may have lost data.
func (w *proxy) clear() {
	w.set(conditions{})
	w.cut()
}

func (w *proxy) accept() {
	for {
		near, err := w.listener.Accept()
		if err != nil {
			return
		}
		go w.join(near)
	}
}

// keep registers a connection unless connections are refused.
func (w *proxy) keep(conn net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over || w.now.refuse {
		return false
	}
	w.open[conn] = struct{}{}
	return true
}

func (w *proxy) join(near net.Conn) {
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
	go w.carry(near, far, func(now conditions, _ []byte) bool { return now.dropUp })
	w.carry(far, near, func(now conditions, answer []byte) bool {
		w.keepAnswer(answer)
		return now.dropDown
	})
}

func (w *proxy) forget(conn net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.open, conn)
}

// carry forwards traffic in one direction, subject to the conditions, and closes both ends at its end.
func (w *proxy) carry(from, to net.Conn, drop func(conditions, []byte) bool) {
	defer from.Close()
	defer to.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		now := w.wait()
		if now.delay > 0 {
			time.Sleep(now.delay)
		}
		if n > 0 && !drop(now, buffer[:n]) {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (w *proxy) keepAnswer(answer []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answers = append(w.answers, answer...)
	w.answers = w.answers[max(0, len(w.answers)-tailBytes):]
}

// forgetAnswers discards the recorded answers.
func (w *proxy) forgetAnswers() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answers = nil
}

// answered reports whether text is in the recorded answers.
func (w *proxy) answered(text string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return bytes.Contains(w.answers, []byte(text))
}

// wait returns the conditions as soon as traffic is not stalled.
func (w *proxy) wait() conditions {
	for {
		w.mu.Lock()
		now, changed := w.now, w.changed
		w.mu.Unlock()
		if !now.stalled {
			return now
		}
		<-changed
	}
}

func TestProxyAppliesItsConditions(t *testing.T) {
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
	w := newProxy(t, echo.Addr().String())
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
	w.set(conditions{dropDown: true})
	say("two")
	require.Equal(t, "two", <-heard, "the request must arrive, although the answer is lost")
	require.Eventually(t, func() bool { return w.answered("two") }, time.Minute, time.Millisecond,
		"the proxy must receive the answer")
	w.set(conditions{stalled: true})
	say("three")
	require.Empty(t, heard)
	w.set(conditions{})
	require.Equal(t, "three", hear(), "the answer arrives late; the answer to two is lost")
	w.set(conditions{refuse: true})
	w.cut()
	require.Empty(t, hear(), "the connection must be closed")
	conn, err = net.Dial("tcp", w.address())
	require.NoError(t, err)
	require.Empty(t, hear())
}
