package scenario

import (
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
)

// describe formats an event on one line: "#11 DeploymentQueued shop 1.4.3 → production: web-01 (d1)".
func (r *runner) describe(rec eventlog.Recorded) string {
	place := "#" + rec.Position.String() + " "
	e, err := domain.Decode(rec.Type, rec.Data)
	if err != nil {
		return place + rec.Type + " " + rec.Stream
	}
	d := domain.Describe(e, domain.Place{Stream: rec.Stream, ID: domain.ID(rec.ID)})
	text := place + d.Name
	if d.Details != "" {
		text += " " + d.Details
	}
	return r.names.replace(text)
}
