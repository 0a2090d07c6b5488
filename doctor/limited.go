package doctor

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/droverhq/drover/explain"
	"github.com/droverhq/drover/projections"
)

// flapping reports machines whose health changes again and again.
func flapping(v *projections.View) (found []Finding) {
	for _, name := range sorted(v.Machines) {
		if flaps := explain.Flaps(v, v.Machines[name]); flaps != "" {
			found = append(found, Finding{Severity: Warn, Text: "machine " + name + ": " + flaps,
				Fix: "drover describe machine " + shellQuote(name) + " (then check the command of its policy's health check)"})
		}
	}
	return bounded(found)
}

// limited reports machines whose agents do something much more often than an agent that works as intended.
func limited(s Vitals) (found []Finding) {
	list := slices.Clone(s.Limited)
	slices.SortFunc(list, func(a, b Limited) int {
		return cmp.Or(cmp.Compare(b.Times, a.Times), cmp.Compare(a.Machine, b.Machine), cmp.Compare(a.Limit, b.Limit))
	})
	for _, l := range list[:min(len(list), 2*named)] {
		found = append(found, Finding{Severity: Warn, Text: fmt.Sprintf("machine %s reached the limit of its %s %d times, the "+
			"last time %s ago: this server handles less of them", l.Machine, l.Limit, l.Times, span(s.Now.Sub(l.Last))),
			Fix: "drover describe machine " + shellQuote(l.Machine) + " (see docs/operations.md, Limits of callers and agents)"})
	}
	return found
}
