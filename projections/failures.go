package projections

import "github.com/droverhq/drover/domain"

// countEnded counts an ended part.
func (d *Deployment) countEnded(part *Part) {
	failed := d.countsAsFailure(part)
	if failed {
		d.failures++
	}
	if part.State == domain.PartSucceeded {
		d.succeeded++
	}
	if failed && part.State == domain.PartSkipped {
		d.missed++
	}
	if part.Wave > 0 {
		d.waves.leaves(part, part.Wave == d.Wave, failed)
	}
}

// countsAsFailure reports whether an ended part counts against a limit on failures. A lost part does (law 27). A skipped
// part does if maxFailures is set and the deployment must reach each machine, unless a person holds the machine.
func (d *Deployment) countsAsFailure(part *Part) bool {
	switch part.State {
	case domain.PartFailed, domain.PartLost:
		return true
	case domain.PartSkipped:
		return d.Facts.MaxFailures != nil && d.Facts.Unavailable == domain.FailUnavailable &&
			part.Reason != domain.MachineIsHeld
	}
	return false
}

// Failures counts the parts that count against maxFailures or stopAfterFailures.
func (d *Deployment) Failures() int { return d.failures }

// TooManyFailed reports whether so many parts failed that no further part may start, and why. With waves, a percentage is
// one of the machines that have their turn by the end of the current wave: a bad release does not use up the failures that
// the whole deployment may have.
func (d *Deployment) TooManyFailed() (reason domain.PartReason, stopped bool) {
	switch limit := d.Facts.MaxFailures; {
	case limit != nil && (d.failures > limit.Of(len(d.Order)) || d.failures-d.missed > limit.Of(d.WaveSize())):
		return domain.MaxFailuresPassed, true
	case d.waveFailed():
		return domain.WaveFailed, true
	case limit != nil:
		return "", false
	default:
		return domain.TooManyFailures, d.Facts.StopAfterFailures > 0 && d.failures >= d.Facts.StopAfterFailures
	}
}
