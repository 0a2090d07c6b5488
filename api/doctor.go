package api

import (
	"context"
	"errors"
	"strings"

	"github.com/droverhq/drover/doctor"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/triggers"
)

const (
	// tailEvents is how many of the newest events a checkup reads again, tailMost how many at most: the log is read from a
	// place where the fold paused.
	tailEvents, tailMost = 1000, 5000
)

// routeDoctor registers what this server finds about itself and its log. Whoever may read sees it, less the addresses of
// those who were refused: these are for admins, as are tokens to make and revoke.
func (a *API) routeDoctor() {
	get(a, "/doctor", "What this server finds about itself, its log and the fleet",
		func(in *After) string { return in.After },
		func(ctx context.Context, _ *After) (doctor.Checkup, error) {
			vitals := a.vitals(ctx, callerOf(ctx).scope.Allows(domain.AdminScope))
			var found doctor.Checkup
			a.cfg.Engine.Judge(func(v *projections.View, age triggers.Age) { found = doctor.Examine(v, age, vitals) })
			found.Time = a.cfg.Clock.Now().UTC() // whoever asked compares it with a clock of its own
			return found, nil
		})
}

func (a *API) vitals(ctx context.Context, admin bool) doctor.Vitals {
	s := doctor.Vitals{Now: a.cfg.Clock.Now(), Self: a.cfg.Engine.Server(), Version: a.cfg.Version, Agents: a.hub.versions(),
		Place: a.cfg.Place(), Log: a.tail(ctx)}
	for _, p := range a.cfg.Engine.Pulses() {
		s.Others = append(s.Others, doctor.Pulse{Server: p.Server, Alive: p.Alive, Still: p.Still, Ahead: p.Ahead, Timed: p.Timed})
	}
	for _, err := range []error{a.cfg.Engine.Ready(), a.cfg.Ready()} {
		if err != nil {
			s.Against = append(s.Against, strings.Split(err.Error(), "\n")...)
		}
	}
	if err := a.cfg.Engine.Doubted(); err != nil {
		s.Doubt = err.Error()
	}
	s.Refused = a.refusals.list(s.Now)
	for i := range s.Refused {
		if !admin {
			s.Refused[i].Address = ""
		}
	}
	return s
}

// tail reads the end of the log again.
func (a *API) tail(ctx context.Context) doctor.LogVitals {
	return TailOf(ctx, a.cfg.Log, a.cfg.Engine.Back(tailEvents))
}

// TailOf reads a log again from a position on, not far beyond.
func TailOf(ctx context.Context, log eventlog.Log, after eventlog.Position) doctor.LogVitals {
	found, err := eventlog.VerifyTail(ctx, log, after, tailMost)
	vitals := doctor.LogVitals{Head: found.Head, Read: found.Events}
	switch {
	case errors.Is(err, eventlog.ErrDamaged):
		vitals.Damaged = err.Error()
	case err != nil:
		vitals.Fault = err.Error()
	}
	return vitals
}

// versions counts the connected agents by what they say to be.
func (h *hub) versions() map[string]int {
	count := map[string]int{}
	for _, s := range h.all() {
		count[s.version]++
	}
	return count
}
