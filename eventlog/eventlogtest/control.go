package eventlogtest

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// NegativeControl checks the law with the given name on a backend that is known to break it, to show that the suite
// detects a broken backend. It returns the failure, or an empty string if the law holds.
func NegativeControl(t testing.TB, backend Backend, name string) string {
	t.Helper()
	for _, group := range laws {
		for _, l := range group {
			if l.name == name {
				return l.try(t, backend)
			}
		}
	}
	t.Fatalf("unknown law %q", name)
	return ""
}

// try checks l in a new goroutine, because a failure ends the goroutine.
func (l law) try(t testing.TB, backend Backend) string {
	rec := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.check(rec, openHandles(rec, backend))
	}()
	<-done
	return rec.failure.String()
}

// recorder is a testing.TB that records failures and does not pass them on.
type recorder struct {
	testing.TB
	failure strings.Builder
}

func (r *recorder) Errorf(format string, arguments ...any) {
	fmt.Fprintf(&r.failure, format, arguments...)
}

func (r *recorder) FailNow() {
	r.Errorf("the law is broken\n")
	runtime.Goexit()
}

func (r *recorder) Fatalf(format string, arguments ...any) {
	r.Errorf(format, arguments...)
	r.FailNow()
}

func (r *recorder) Failed() bool { return r.failure.Len() > 0 }
