//go:build failpoints

package server

import (
	"cmp"
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

// The points at which a server of this build can end itself. DROVER_FAILPOINT=POINT:N kills the process with SIGKILL
// when it reaches the point for the Nth time. DROVER_FAILPOINT=POINT:N:stop suspends it until it receives SIGCONT.
const (
	beforeAppend = "before-append" // the server has decided but not written
	afterAppend  = "after-append"  // the events are in the log, but the caller has no response
	afterAnswer  = "after-answer"  // the caller has the response
)

// failpoint is the failpoint that this process was started with. The zero value never triggers.
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
		panic(fmt.Sprintf("invalid DROVER_FAILPOINT %q: use POINT:N or POINT:N:stop", text))
	}
	return p
}

// hit ends this process if it has reached its failpoint.
func (p *failpoint) hit(name string) {
	if p.name != name || p.passed.Add(1) != p.after {
		return
	}
	_ = syscall.Kill(os.Getpid(), p.signal)
	for p.signal == syscall.SIGKILL {
		time.Sleep(time.Hour) // nothing else must happen before the signal arrives
	}
}

// hookLog adds failpoints before and after each append.
func hookLog(log eventlog.Backend) eventlog.Backend { return &fallible{log} }

type fallible struct{ eventlog.Backend }

func (f *fallible) Append(ctx context.Context, stream string, expected eventlog.Revision,
	events ...eventlog.Event) (eventlog.Appended, error) {
	armed.hit(beforeAppend)
	appended, err := f.Backend.Append(ctx, stream, expected, events...)
	if err == nil {
		armed.hit(afterAppend)
	}
	return appended, err
}

// hookServer adds a failpoint after each response, when the connection becomes idle.
func hookServer(s *http.Server) {
	s.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateIdle {
			armed.hit(afterAnswer)
		}
	}
}

// skewed is a clock whose wall clock is off by DROVER_CLOCK_OFFSET. Its measurements of elapsed time are correct. With
// DROVER_CLOCK_OFFSET=@FILE the offset is the content of the file, which a test can replace while the server runs.
type skewed struct {
	clock.System
	offset string
}

func (s skewed) Now() time.Time {
	text := s.offset
	if file, ok := strings.CutPrefix(text, "@"); ok {
		content, err := os.ReadFile(file)
		if err != nil {
			panic(err)
		}
		text = string(content)
	}
	offset, err := time.ParseDuration(text)
	if err != nil {
		panic(err)
	}
	return s.System.Now().Add(offset)
}

func wallClock() skewed { return skewed{clock.New(), cmp.Or(os.Getenv("DROVER_CLOCK_OFFSET"), "0s")} }
