package query

import (
	"context"
	"time"

	"github.com/droverhq/drover/api/problem"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/explain"
	"github.com/droverhq/drover/projections"
)

// viewWithPruned folds the log up to the end of a pruned deployment. It returns nil for any other deployment.
func (q *Queries) viewWithPruned(ctx context.Context, id domain.ID) (*projections.View, error) {
	var known projections.Pruned
	var isPruned bool
	q.cfg.Engine.Read(func(v *projections.View) { known, isPruned = v.Pruned(id) })
	if !isPruned {
		return nil, nil //nolint:nilnil // no view is a valid result
	}
	v, _, err := q.replay(ctx, func(now time.Time) (engine.Moment, error) {
		return engine.Moment{Position: known.Ended, Limit: now}, nil
	})
	return v, err
}

// Deployment returns one deployment. It reads a pruned one from the log.
func (q *Queries) Deployment(ctx context.Context, in Item) (shown explain.Deployment, err error) {
	see, id, names := in.Sees, in.Name, q.cfg.People.Names(ctx)
	parsed, _ := domain.ParseID(id) // an invalid id becomes the zero id, which no deployment has
	if in.At != "" {
		find := func(v *projections.View) (explain.Deployment, bool) { return explain.DeploymentOf(v, parsed, names) }
		return one(ctx, q, in, find, noDeployment(id), "get deployments")
	}
	found := false
	q.cfg.Engine.Read(func(v *projections.View) { shown, found = explain.DeploymentOf(v, parsed, names) })
	if found && !explain.Limit(see, &shown) {
		return explain.Deployment{}, noDeployment(id)
	}
	if found {
		return shown, nil
	}
	past, err := q.viewWithPruned(ctx, parsed)
	if err != nil {
		return shown, err
	}
	if past == nil {
		return shown, noDeployment(id)
	}
	shown, _ = explain.DeploymentOf(past, parsed, names)
	if !explain.Limit(see, &shown) {
		return explain.Deployment{}, noDeployment(id)
	}
	return shown, nil
}

// ParseDeployment parses the id of a deployment. An invalid id gives the same problem as an id that does not exist.
func ParseDeployment(text string) (domain.ID, error) {
	id, err := domain.ParseID(text)
	if err != nil {
		return id, noDeployment(text)
	}
	return id, nil
}

// noDeployment is the problem of an id that no deployment ever had. People often copy only the beginning of an id.
func noDeployment(id string) *problem.Problem {
	hint := "`drover get deployments` lists them"
	if _, err := domain.ParseID(id); err != nil {
		hint += "; use the whole id"
	}
	p := problem.NotFound("deployment %.80q does not exist", id)
	p.Hint = hint
	return p
}
