package sim

import (
	"cmp"
	"maps"
	"slices"

	"github.com/droverhq/drover/domain"
)

// waveSize returns how many machines have their turn by the end of a wave, from 0. Without waves, all have it.
func (w *deploymentState) waveSize(wave int) int {
	if wave >= len(w.Waves) {
		return len(w.shares)
	}
	size := 0
	for _, a := range w.Waves[:wave+1] {
		n := a.Number
		if a.Percent {
			n = max(1, n*len(w.shares)/100)
		}
		size = max(size, n)
	}
	return min(size, len(w.shares))
}

// firstWaveFull reports whether no further part of the deployment may be released while it is being queued.
func (w *deploymentState) firstWaveFull() bool {
	released := 0
	for _, s := range w.shares {
		if s.released {
			released++
		}
	}
	return len(w.Waves) > 0 && released >= w.waveSize(0)
}

// checkWave checks, when a part starts, that each earlier wave has ended without too many failures. Parts of a wave start
// before those of the next one, so the order of the claims shows which part belongs to which wave.
func (l *ledger) checkWave(w *deploymentState) {
	started := slices.SortedFunc(maps.Values(w.parts), func(a, b *partState) int { return cmp.Compare(a.claimed, b.claimed) })
	name, begin := l.cluster.transcript.deployment(w.id), 0
	for wave := 0; wave < len(w.Waves) && w.waveSize(wave) < len(started); wave++ {
		failures, successes := 0, 0
		for _, s := range started[begin:w.waveSize(wave)] {
			switch {
			case !s.ended:
				l.cluster.violate("law 28: a wave starts when the one before it has ended", "%s: wave %d began while %s was at work",
					name, wave+2, s.machine.Name)
			case s.result == domain.PartFailed || s.result == domain.PartLost:
				failures++
			case s.result == domain.PartSucceeded:
				successes++
			}
		}
		if failures > 0 && (w.MaxFailures == nil || successes == 0) {
			l.cluster.violate("law 27: no wave follows a wave that failed", "%s: wave %d began after %d failures and %d successes",
				name, wave+2, failures, successes)
		}
		begin = w.waveSize(wave)
	}
}
