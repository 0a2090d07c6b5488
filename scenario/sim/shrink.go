package sim

import "time"

// shortest removes as many steps of a run as possible within the time limit, while the run still fails in the same way.
// It shrinks runs that were drawn from a seed; rapid shrinks the runs that it has drawn.
func shortest(steps []step, fails func([]step) bool, within time.Duration) []step {
	deadline := time.Now().Add(within)
	for size := len(steps) / 2; size > 0; size /= 2 {
		for at := 0; at+size <= len(steps); {
			if time.Now().After(deadline) {
				return steps
			}
			less := append(append([]step{}, steps[:at]...), steps[at+size:]...)
			if fails(less) {
				steps = less
			} else {
				at += size
			}
		}
	}
	return steps
}
