package cli

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/explain"
)

// sample is how many machines of a deployment had ended at a time.
type sample struct {
	at    time.Time
	ended int
}

const (
	// paceWindow is the time over which --wait measures how fast a deployment proceeds. Slow steps and pauses change
	// the rate, so older samples would mislead.
	paceWindow = 5 * time.Minute
	// paceLeast is the shortest time that a rate is computed from.
	paceLeast = 10 * time.Second
)

// addSample adds a sample, drops the ones that are older than paceWindow, and keeps about one for each second.
func addSample(samples []sample, s sample) []sample {
	if last := len(samples) - 1; last > 0 && s.at.Sub(samples[last-1].at) < time.Second {
		samples = samples[:last]
	}
	for len(samples) > 0 && s.at.Sub(samples[0].at) > paceWindow {
		samples = samples[1:]
	}
	return append(samples, s)
}

// pace returns how many machines end in a minute, and how long the remaining ones take at that rate. Without enough
// samples, or if no machine ended between them, known is false.
func pace(samples []sample, remaining int) (perMinute float64, left time.Duration, known bool) {
	if len(samples) < 2 {
		return 0, 0, false
	}
	first, last := samples[0], samples[len(samples)-1]
	elapsed, ended := last.at.Sub(first.at), last.ended-first.ended
	if elapsed < paceLeast || ended <= 0 {
		return 0, 0, false
	}
	perMinute = float64(ended) / elapsed.Minutes()
	return perMinute, time.Duration(float64(remaining) / perMinute * float64(time.Minute)), true
}

// paceText returns "12/min · ~6 min", or an empty text if the rate is not known.
func paceText(samples []sample, remaining int) string {
	perMinute, left, known := pace(samples, remaining)
	if !known || remaining == 0 {
		return ""
	}
	rate := fmt.Sprintf("%.0f/min", perMinute)
	if perMinute < 10 {
		rate = strings.Replace(fmt.Sprintf("%.1f/min", perMinute), ".0/", "/", 1)
	}
	return rate + " · " + leftText(left)
}

// leftText returns a remaining time with at most two units: "<1 min", "~6 min", "~2 h 10 min", "~3 d".
func leftText(left time.Duration) string {
	minutes := int(math.Ceil(left.Minutes()))
	switch {
	case left < time.Minute:
		return "<1 min"
	case minutes < 60:
		return fmt.Sprintf("~%d min", minutes)
	case minutes < 48*60 && minutes%60 == 0:
		return fmt.Sprintf("~%d h", minutes/60)
	case minutes < 48*60:
		return fmt.Sprintf("~%d h %d min", minutes/60, minutes%60)
	}
	return fmt.Sprintf("~%d d", minutes/(24*60))
}

// tally counts the machines of a deployment.
type tally struct {
	total, succeeded, failed, running, verifying, waiting int
	skipped, cancelled                                    int
	// blocked counts the waiting machines whose part cannot start now, and reason is the reason of most of them.
	blocked int
	reason  domain.PartReason
}

func tallyOf(d explain.Deployment) tally {
	t := tally{total: len(d.Machines)}
	reasons := map[domain.PartReason]int{}
	for _, m := range d.Machines {
		switch domain.PartState(m.State) {
		case domain.PartSucceeded:
			t.succeeded++
		case domain.PartFailed, domain.PartLost:
			t.failed++
		case domain.PartSkipped:
			t.skipped++
		case domain.PartCancelled:
			t.cancelled++
		case domain.PartRunning:
			t.running++
		case domain.PartVerifying:
			t.verifying++
		default:
			t.waiting++
			if reason := domain.PartReason(m.Reason); reason != "" && reason != domain.NotReleased {
				reasons[reason]++
				t.blocked++
			}
		}
	}
	for reason, n := range reasons {
		if n > reasons[t.reason] || n == reasons[t.reason] && reason < t.reason {
			t.reason = reason
		}
	}
	return t
}

func (t tally) ended() int { return t.succeeded + t.failed + t.skipped + t.cancelled }

// line returns the progress on one line, the most important first: "1200/1999 succeeded · 3 failed · 150 running ·
// 12/min · ~6 min".
func (t tally) line(samples []sample) string {
	parts := []string{fmt.Sprintf("%d/%d succeeded", t.succeeded, t.total)}
	add := func(n int, text string) {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, text))
		}
	}
	add(t.failed, "failed")
	add(t.running, "running")
	add(t.verifying, "verifying")
	if text := paceText(samples, t.total-t.ended()); text != "" {
		parts = append(parts, text)
	}
	add(t.skipped, "skipped")
	add(t.cancelled, "cancelled")
	add(t.waiting-t.blocked, "waiting")
	add(t.blocked, waitText(t.reason))
	return strings.Join(parts, " · ")
}

// milestoneEvery is how long --wait prints nothing in a pipe while a deployment does not proceed.
const milestoneEvery = time.Minute

// milestones decides which progress is printed in a pipe, so that the log of a pipeline stays short: the first, each
// further 10 % of the machines, and a line if nothing was printed for milestoneEvery.
type milestones struct {
	tenths  int
	printed time.Time // zero before the first line
}

// due reports whether the progress is a milestone. The end of a deployment is not one, because its result follows.
func (m *milestones) due(t tally, now time.Time) bool {
	tenths := 0
	if t.total > 0 {
		tenths = t.ended() * 10 / t.total
	}
	due := m.printed.IsZero() || tenths > m.tenths || now.Sub(m.printed) >= milestoneEvery
	if t.ended() == t.total || !due {
		return false
	}
	m.tenths, m.printed = tenths, now
	return true
}

// bar returns a bar of a number of columns, of which a share is filled.
func bar(columns, part, total int) string {
	if total == 0 {
		return ""
	}
	filled := columns * part / total
	return strings.Repeat("█", filled) + strings.Repeat("·", columns-filled)
}

// waitText follows a number of machines that cannot start now.
func waitText(reason domain.PartReason) string {
	if reason == domain.NextWave {
		return "wait for the next wave"
	}
	return "cannot start: " + reason.Text()
}
