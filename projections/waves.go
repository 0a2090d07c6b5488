package projections

import (
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
)

// waves counts the parts of a deployment that proceeds in waves. A part belongs to the wave in which it was released. One
// that was released and never started does not count: the next machine takes its place, so that a wave is not wasted on
// machines that are offline.
type waves struct {
	started   int               // released parts of all waves so far, except parts that ended unclaimed
	open      int               // those of them that have not ended
	failures  int               // parts of the current wave that count against a limit on failures
	successes int               // parts of the current wave that succeeded
	lastEnd   eventlog.Position // the end of the part that ended last
}

// joins counts a part that was released in the current wave.
func (w *waves) joins() {
	w.started++
	w.open++
}

// leaves counts the end of a released part. present means that it belongs to the current wave, and failed that it counts
// against a limit on failures.
func (w *waves) leaves(part *Part, present, failed bool) {
	w.open--
	w.lastEnd = max(w.lastEnd, part.EndedAt)
	if part.Claimed == 0 {
		w.started--
	}
	switch {
	case !present:
	case failed:
		w.failures++
	case part.State == domain.PartSucceeded:
		w.successes++
	}
}

// WaveSize returns how many machines have their turn by the end of the current wave. Without waves, all have it.
func (d *Deployment) WaveSize() int {
	if d.Wave == 0 {
		return len(d.Order)
	}
	return d.Facts.Waves.SizeOf(d.Wave, len(d.Order))
}

// LastWave reports whether no wave follows the present one. It is true without waves.
func (d *Deployment) LastWave() bool { return d.WaveSize() == len(d.Order) }

// WaveSlots returns how many more parts may be released in the current wave.
func (d *Deployment) WaveSlots() int { return d.slotsInWave(d.Wave) }

// NextWave returns the next wave that has machines, and how many parts may be released when it starts. In a small
// environment a wave can be no larger than the one before it.
func (d *Deployment) NextWave() (wave, slots int) {
	for wave = d.Wave + 1; wave < len(d.Facts.Waves) && d.slotsInWave(wave) == 0; {
		wave++
	}
	return wave, d.slotsInWave(wave)
}

func (d *Deployment) slotsInWave(wave int) int {
	if d.Wave == 0 {
		return len(d.Order)
	}
	return max(0, d.Facts.Waves.SizeOf(wave, len(d.Order))-d.waves.started)
}

// WaveEnded reports whether each machine of the current wave has had its turn and another wave follows, and the position
// since which that is so.
func (d *Deployment) WaveEnded() (since eventlog.Position, ended bool) {
	return d.waves.lastEnd, !d.LastWave() && d.waves.open == 0 && d.WaveSlots() == 0
}

// waveFailed reports whether the current wave has ended in such a way that no further wave may start. A limit on failures
// allows some, but nothing shows that the release works if none of the wave's parts succeeded.
func (d *Deployment) waveFailed() bool {
	_, ended := d.WaveEnded()
	return ended && d.waves.failures > 0 && (d.Facts.MaxFailures == nil || d.waves.successes == 0)
}

// startWave begins a wave, if it is a later one than the present.
func (d *Deployment) startWave(wave int) {
	if wave > d.Wave && wave <= len(d.Facts.Waves) {
		d.Wave = wave
		d.waves.failures, d.waves.successes = 0, 0
	}
}
