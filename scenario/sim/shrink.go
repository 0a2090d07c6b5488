package sim

import "time"

// shortest drops as many steps of a day as it can while the day still fails in the same way, in the time
// that it has. Days that a seed drew are shrunk so; those that rapid drew it shrinks itself.
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
