package scenario

import (
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
)

// describe writes an event in one line: "#11 DeploymentQueued shop 1.4.3 → production: web-01 (d1)".
func (st *stage) describe(rec eventlog.Recorded) string {
	place := "#" + rec.Position.String() + " "
	e, err := domain.Decode(rec.Type, rec.Data)
	if err != nil {
		return place + rec.Type + " " + rec.Stream
	}
	told := domain.Describe(e, domain.Place{Stream: rec.Stream, ID: domain.ID(rec.ID)})
	text := place + told.Name
	if told.Details != "" {
		text += " " + told.Details
	}
	return st.names.replace(text)
}
