package api

import (
	"context"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/explain"
	"github.com/droverhq/drover/projections"
)

// longAgo folds the log up to the end of a deployment that the view has forgotten. It returns nil for any other.
func (a *API) longAgo(ctx context.Context, id domain.ID) (*projections.View, error) {
	var known projections.Forgotten
	var forgotten bool
	a.cfg.Engine.Read(func(v *projections.View) { known, forgotten = v.Forgotten(id) })
	if !forgotten {
		return nil, nil //nolint:nilnil // both are answers
	}
	v, _, err := a.replay(ctx, func(rec eventlog.Recorded) bool { return rec.Position <= known.Ended })
	return v, err
}

// oneDeployment is a deployment that is there, or was once.
func (a *API) oneDeployment(ctx context.Context, in *Named) (shown explain.Deployment, err error) {
	id, _ := domain.ParseID(in.Name) // what is none has the zero id, as no deployment has
	found := false
	a.cfg.Engine.Read(func(v *projections.View) { shown, found = explain.DeploymentOf(v, id) })
	if found {
		return shown, nil
	}
	past, err := a.longAgo(ctx, id)
	if err != nil {
		return shown, err
	}
	if past == nil {
		return shown, noDeployment(in.Name)
	}
	shown, _ = explain.DeploymentOf(past, id)
	return shown, nil
}

// noDeployment refuses an id that no deployment ever had. What people read in a history is only its beginning.
func noDeployment(id string) *Problem {
	hint := "`drover get deployments` lists them"
	if _, err := domain.ParseID(id); err != nil {
		hint += "; write the whole id"
	}
	return missing("deployment %.80q does not exist", id).hint(hint)
}
