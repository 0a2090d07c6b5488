package query

import (
	"context"

	"github.com/droverhq/drover/api/problem"
	"github.com/droverhq/drover/explain"
	"github.com/droverhq/drover/projections"
)

// Status returns the state of the fleet at a glance. Project and Environment of the filter select a part of it.
func (q *Queries) Status(ctx context.Context, f explain.Filter) (status explain.Status, err error) {
	names := q.cfg.People.Names(ctx)
	q.cfg.Engine.Read(func(v *projections.View) {
		switch {
		case f.Project != "" && (v.Projects[f.Project] == nil || f.Sees != nil && !f.Sees(f.Project, "")):
			err = problem.NotFound("project %.80q does not exist", f.Project).WithHint("`drover get projects` lists them")
		case f.Environment != "" && (v.Environments[f.Environment] == nil || f.Sees != nil && !f.Sees("", f.Environment)):
			err = problem.NotFound("environment %.80q does not exist", f.Environment).
				WithHint("`drover get environments` lists them")
		default:
			status = explain.StatusOf(v, f, names)
			status.Log = q.cfg.Engine.OriginalID().String()
		}
	})
	return status, err
}
