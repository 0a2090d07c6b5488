package domain

import (
	"slices"
	"strings"
	"time"
)

// Waves are the sizes of the waves in which a deployment proceeds. Each size counts the machines of the waves before it
// too, so that "1, 10%, 100%" means one machine, then a tenth of all, then all. Nil means that the deployment has no waves.
type Waves []Amount

const (
	// MaxWaves is the largest number of waves of a deployment.
	MaxWaves = 20
	// MaxWavePause bounds the time between two waves, because machines that join meanwhile wait for the deployment (law 1).
	MaxWavePause = Duration(24 * time.Hour)
)

// ParseWaves parses the sizes of waves that are separated by commas, such as "1,10%,50%". Empty text has none.
func ParseWaves(text string) (waves Waves, err error) {
	if text == "" {
		return nil, nil
	}
	for size := range strings.SplitSeq(text, ",") {
		a, err := ParseAmount(strings.TrimSpace(size))
		if err != nil {
			return nil, err
		}
		waves = append(waves, a)
	}
	return waves, nil
}

// String returns the sizes, separated by commas.
func (w Waves) String() string {
	sizes := make([]string, len(w))
	for i, a := range w {
		sizes[i] = a.String()
	}
	return strings.Join(sizes, ",")
}

// SizeOf returns how many of total machines have their turn by the end of a wave. The first wave has number 1. A size
// that is smaller than one before it adds no machine.
func (w Waves) SizeOf(wave, total int) int {
	size := 0
	for _, a := range w[:min(max(0, wave), len(w))] {
		size = max(size, a.SlotsOf(total))
	}
	return min(size, total)
}

// complete returns the waves with a last one for the remaining machines.
func (w Waves) complete() Waves {
	if len(w) == 0 || w[len(w)-1] == Percent(100) {
		return w
	}
	return append(slices.Clone(w), Percent(100))
}

// check rejects waves with an invalid size, and sizes of which one is certainly not larger than the one before it.
func (w Waves) check(pause Duration) *Rejection {
	switch {
	case len(w) == 0 && pause != 0:
		return invalid("a pause is set without waves").hint("use --pause together with --waves")
	case len(w) > MaxWaves:
		return invalid("more than %d waves", MaxWaves).hint("use larger waves")
	case pause < 0 || pause > MaxWavePause:
		return invalid("invalid pause %s between two waves", pause).hint("use 0s to 24h")
	}
	largest := map[bool]int{} // by Amount.Percent
	for _, a := range w {
		if a.Number < 1 || a.Percent && a.Number > 100 {
			return invalid("invalid wave %s", a).hint("use 1 or more machines, or 1%% to 100%%")
		}
		if a.Number <= largest[a.Percent] {
			return invalid("wave %s is not larger than the wave before it", a).
				hint("the size of a wave includes the waves before it, as in 1,10%%,50%%,100%%")
		}
		largest[a.Percent] = a.Number
	}
	return nil
}
