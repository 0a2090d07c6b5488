package query

import (
	"context"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/doctor"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections"
)

// Doctor examines this server, its log and the fleet. Only an admin sees the addresses of refused callers.
func (q *Queries) Doctor(ctx context.Context, admin bool) doctor.Checkup {
	vitals := q.vitals(ctx, admin)
	var found doctor.Checkup
	q.cfg.Engine.ReadWithAge(func(v *projections.View, age projections.Age) { found = doctor.Examine(v, age, vitals) })
	found.Time = q.cfg.Clock.Now().UTC() // the caller compares it with its own clock
	return found
}

func (q *Queries) vitals(ctx context.Context, admin bool) doctor.Vitals {
	e := q.cfg.Engine
	s := doctor.Vitals{Now: q.cfg.Clock.Now(), Self: e.Server(), Version: q.cfg.Version, Agents: q.cfg.Versions(),
		Storage: q.cfg.Storage(), NotReady: q.NotReady(), Clock: e.Clocks(), Refused: q.cfg.Access.Refusals(admin),
		Limited: q.cfg.Limited()}
	forms := q.cfg.Forms()
	s.SecretAgents, s.ProxiedAgents = forms[client.SecretForm], forms[client.ProxiedForm]
	s.Log = doctor.TailVitals(eventlog.VerifyTail(ctx, q.cfg.Log, e.TailStart(doctor.TailEvents), doctor.MaxTailEvents))
	for _, p := range e.Leases() {
		s.Others = append(s.Others, doctor.Peer{Server: p.Server, Alive: p.Alive, Unchanged: p.Unchanged, Ahead: p.Ahead,
			Timed: p.Timed})
	}
	s.Names = q.cfg.People.Names(ctx)
	if err := e.LostEvents(); err != nil {
		s.LostEvents = err.Error()
	}
	return s
}
