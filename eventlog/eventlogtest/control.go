package eventlogtest

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// Control tries the law of that name on a backend that is known to break it, and returns
// how the law was broken, the empty text if it held: a negative control, which shows that
// the suite would see such a backend.
func Control(t testing.TB, backend Backend, name string) string {
	t.Helper()
	for _, group := range laws {
		for _, l := range group {
			if l.name == name {
				return l.try(t, backend)
			}
		}
	}
	t.Fatalf("there is no law %q", name)
	return ""
}

// try proves l in a goroutine of its own, which a failure may end.
func (l law) try(t testing.TB, backend Backend) string {
	double := &verdictDouble{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.prove(double, newBench(double, backend))
	}()
	<-done
	return double.broken.String()
}

// verdictDouble stands in for the test of a law, and keeps to itself that it failed.
type verdictDouble struct {
	testing.TB
	broken strings.Builder
}

func (v *verdictDouble) Errorf(format string, arguments ...any) {
	fmt.Fprintf(&v.broken, format, arguments...)
}

func (v *verdictDouble) FailNow() {
	v.Errorf("the law is broken\n")
	runtime.Goexit()
}

func (v *verdictDouble) Fatalf(format string, arguments ...any) {
	v.Errorf(format, arguments...)
	v.FailNow()
}

func (v *verdictDouble) Failed() bool { return v.broken.Len() > 0 }
