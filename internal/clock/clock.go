// Package clock is the one place where drover asks what time it is.
package clock

import "time"

// System is the machine's clock.
type System struct{ start time.Time }

// New begins a monotonic clock at zero.
func New() System { return System{start: time.Now()} }

// Now is the wall clock. It is shown, and ends what people gave a deadline; it never orders anything.
func (System) Now() time.Time { return time.Now() }

// Elapsed is the monotonic clock: how long ago New was called.
func (s System) Elapsed() time.Duration { return time.Since(s.start) }
