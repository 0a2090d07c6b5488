package query

import (
	"context"
	"strings"
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
	parsed, err := q.deploymentID(see, id)
	if err != nil {
		return explain.Deployment{}, err
	}
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

// minPrefix is the length of the shortest text that is looked up as the beginning of an id.
const minPrefix = 4

// deploymentID returns the id that a text means: the whole id, or the beginning of the id of exactly one deployment that the
// reader may see and that is stored. It returns the zero id, which no deployment has, if no id begins so.
func (q *Queries) deploymentID(see explain.Sees, text string) (id domain.ID, err error) {
	if id, err := domain.ParseID(text); err == nil || len(text) < minPrefix {
		return id, nil
	}
	count := 0
	q.cfg.Engine.Read(func(v *projections.View) {
		for each := range v.Deployments {
			if !strings.HasPrefix(each.String(), strings.ToLower(text)) {
				continue
			}
			if d, ok := explain.DeploymentOf(v, each, nil); ok && explain.Limit(see, &d) {
				count++
				id = each
			}
		}
	})
	if count > 1 {
		return domain.ID{}, problem.Invalid("the ids of %d deployments begin with %.40q", count, text).
			WithHint("use more characters of the id")
	}
	return id, nil
}

// ParseDeployment parses the id of a deployment. An invalid id gives the same problem as an id that does not exist.
func ParseDeployment(text string) (domain.ID, error) {
	id, err := domain.ParseID(text)
	if err != nil {
		return id, noDeployment(text)
	}
	return id, nil
}

// noDeployment is the problem of an id that no deployment ever had. The beginning of an id is enough only to read a
// deployment that is stored.
func noDeployment(id string) *problem.Problem {
	hint := "`drover get deployments` lists them"
	if _, err := domain.ParseID(id); err != nil {
		hint += "; at least 4 characters of the id are needed, and the whole id of an older one"
	}
	p := problem.NotFound("deployment %.80q does not exist", id)
	p.Hint = hint
	return p
}
