package query

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/droverhq/drover/api/problem"
	"github.com/droverhq/drover/clocks"
	"github.com/droverhq/drover/doctor"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections"
)

// NotReady returns the reasons why this server is not ready, as sentences.
func (q *Queries) NotReady() (sentences []string) {
	for _, err := range []error{q.cfg.Engine.Ready(), q.cfg.Ready()} {
		if err != nil {
			sentences = append(sentences, strings.Split(err.Error(), "\n")...)
		}
	}
	return sentences
}

// Warnings returns sentences about problems that need a person but do not make the server unready: lost events, a clock
// that may be wrong, and streams that are set aside. Agents and people still need a server that answers them.
func (q *Queries) Warnings() (sentences []string) {
	if err := q.cfg.Engine.LostEvents(); err != nil {
		sentences = append(sentences, err.Error()+"; "+problem.LostEventsHint)
	}
	clock := q.cfg.Engine.Clocks()
	var aside []string
	q.cfg.Engine.Read(func(v *projections.View) {
		if !clock.Confirmed && clock.Reason != clocks.Started {
			sentences = append(sentences, doctor.Unconfirmed(v, clock))
		}
		for _, a := range v.Aside {
			aside = append(aside,
				fmt.Sprintf("stream %s is set aside since position %s: %s; "+
					"`drover eventlog clear %s` continues the stream without that event",
					a.Stream, a.Position, a.Reason, a.Stream))
		}
	})
	slices.Sort(aside)
	return append(sentences, aside...)
}

// MachinesReporting returns how many machines have agents that report a condition.
func (q *Queries) MachinesReporting(kind domain.ConditionKind) (count int) {
	q.cfg.Engine.Read(func(v *projections.View) {
		for _, m := range v.Machines {
			if slices.ContainsFunc(m.Conditions, func(c domain.Condition) bool { return c.Kind == kind }) {
				count++
			}
		}
	})
	return count
}

// Lag returns how far the view is behind the head of the log. It is 0 if the log is shorter than what was folded.
func (q *Queries) Lag(ctx context.Context) (eventlog.Position, error) {
	head, err := q.cfg.Log.Head(ctx)
	return head - min(head, q.Position()), err
}
