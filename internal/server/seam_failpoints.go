//go:build failpoints

package server

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/internal/clock"
)

// The points at which a server of this build can end itself, as DROVER_FAILPOINT=POINT:N[:stop] says: at the
// Nth time that it comes there it is gone as by kill -9, or stopped until somebody sends it SIGCONT.
const (
	beforeAppend = "before-append" // it has decided, and written nothing
	afterAppend  = "after-append"  // it is in the log, and nobody was told
	afterAnswer  = "after-answer"  // its caller was told
)

// failpoint is the one that this process was started with; the zero value never hits.
type failpoint struct {
	name   string
	after  int64
	signal syscall.Signal
	passed atomic.Int64
}

var armed = readFailpoint(os.Getenv("DROVER_FAILPOINT"))

func readFailpoint(text string) *failpoint {
	p := &failpoint{signal: syscall.SIGKILL}
	if text == "" {
		return p
	}
	fields := strings.Split(text, ":")
	if len(fields) == 3 && fields[2] == "stop" {
		p.signal = syscall.SIGSTOP
	}
	if len(fields) > 1 {
		p.after, _ = strconv.ParseInt(fields[1], 10, 64)
	}
	if p.name = fields[0]; p.after < 1 {
		panic(fmt.Sprintf("DROVER_FAILPOINT=%s is none: write POINT:N or POINT:N:stop", text))
	}
	return p
}

// hit ends this process if it is at its point now.
func (p *failpoint) hit(name string) {
	if p.name != name || p.passed.Add(1) != p.after {
		return
	}
	_ = syscall.Kill(os.Getpid(), p.signal)
	for p.signal == syscall.SIGKILL {
		time.Sleep(time.Hour) // the signal is on its way, and nothing may happen meanwhile
	}
}

// seamLog puts the points around each append.
func seamLog(log eventlog.Backend) eventlog.Backend { return &fallible{log} }

type fallible struct{ eventlog.Backend }

func (f *fallible) Append(ctx context.Context, stream string, expected eventlog.Revision, events ...eventlog.Event) (eventlog.Appended, error) {
	armed.hit(beforeAppend)
	appended, err := f.Backend.Append(ctx, stream, expected, events...)
	if err == nil {
		armed.hit(afterAppend)
	}
	return appended, err
}

// seamDoor puts a point where an answer has left: its connection waits for the next request then.
func seamDoor(door *http.Server) {
	door.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateIdle {
			armed.hit(afterAnswer)
		}
	}
}

// skewed is a clock whose wall is off by what DROVER_CLOCK_OFFSET says. What it measures is right.
type skewed struct {
	clock.System
	offset time.Duration
}

func (s skewed) Now() time.Time { return s.System.Now().Add(s.offset) }

func wallClock() skewed {
	var offset time.Duration
	if text := os.Getenv("DROVER_CLOCK_OFFSET"); text != "" {
		var err error
		if offset, err = time.ParseDuration(text); err != nil {
			panic(err)
		}
	}
	return skewed{clock.New(), offset}
}
