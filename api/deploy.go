package api

import (
	"context"
	"net/http"
	"time"

	"github.com/droverhq/drover/api/problem"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/explain"
	"github.com/droverhq/drover/query"
)

type releaseInput struct {
	Key
	Project string `path:"project"`
	Body    struct {
		Version   string            `json:"version"`
		Variables map[string]string `json:"variables,omitempty" doc:"Override the variables of the project for this release, in every environment."`
		Notes     string            `json:"notes,omitempty" doc:"What changed, for people."`
		Commit    string            `json:"commit,omitempty" doc:"The commit of the source."`
		URL       string            `json:"url,omitempty" doc:"An address with more information."`
	}
}

type deployInput struct {
	Key
	Body struct {
		Project           string           `json:"project"`
		Release           string           `json:"release"`
		Environment       string           `json:"environment"`
		Machines          []string         `json:"machines,omitempty" doc:"If set, deploy only to these machines."`
		Exclude           []string         `json:"exclude,omitempty"`
		Roles             []string         `json:"roles,omitempty" doc:"If set, deploy only to the machines with one of these roles."`
		OnlyBehind        bool             `json:"onlyBehind,omitempty" doc:"Leave out the machines that have the release."`
		MaxParallel       *amount          `json:"maxParallel,omitempty" doc:"Overrides the project's setting; 0: no limit."`
		StopAfterFailures *int             `json:"stopAfterFailures,omitempty" doc:"Overrides the project's setting; 0: never."`
		MaxFailures       *amount          `json:"maxFailures,omitempty" doc:"Overrides the project's setting: how many machines may fail."`
		HealthyFor        *domain.Duration `json:"healthyFor,omitempty" doc:"Overrides the project's setting; 0s: no verification."`
		Waves             []amount         `json:"waves,omitempty" doc:"Sizes of the waves; each includes the machines of the waves before it."`
		WavePause         domain.Duration  `json:"wavePause,omitempty" doc:"Time between two waves."`
		Reason            string           `json:"reason,omitempty"`
	}
}

type rollbackInput struct {
	Key
	Body struct {
		Project     string  `json:"project"`
		Environment string  `json:"environment"`
		Release     string  `json:"release,omitempty" doc:"The release to deploy. Default: the previous one."`
		MaxParallel *amount `json:"maxParallel,omitempty" doc:"Overrides the project's setting; 0: no limit."`
		Reason      string  `json:"reason,omitempty"`
	}
}

type retryPartsInput struct {
	WriteNamed
	Body struct {
		Failed  bool `json:"failed,omitempty" doc:"Retry the machines whose part failed or was lost."`
		Skipped bool `json:"skipped,omitempty" doc:"Retry the machines on which no part started."`
	}
}

func retryParts(_ context.Context, in *retryPartsInput, by domain.Origin) (domain.Command, error) {
	id, err := query.ParseDeployment(in.Name)
	return domain.RetryDeployment{Deployment: id, Failed: in.Body.Failed, Skipped: in.Body.Skipped, Origin: by}, err
}

type retireInput struct {
	WriteInProject
	Body struct {
		Reason string `json:"reason" doc:"Why nobody should deploy the release."`
	}
}

type restoreInput struct {
	WriteInProject
	Body struct {
		Reason string `json:"reason,omitempty"`
	}
}

// routeRetire registers what decides whether a release can be deployed.
func (a *API) routeRetire() {
	write(a, route(http.MethodPost, "/releases/{project}/{name}/retire", "Make a release undeployable",
		domain.DeployVerb), func(in *retireInput) string { return in.Key.Key },
		func(_ context.Context, in *retireInput, by domain.Origin) (domain.Command, error) {
			return domain.RetireRelease{Project: in.Project, Release: in.Name, Reason: in.Body.Reason, Origin: by}, nil
		})
	write(a, route(http.MethodPost, "/releases/{project}/{name}/restore", "Make a retired release deployable again",
		domain.DeployVerb), func(in *restoreInput) string { return in.Key.Key },
		func(_ context.Context, in *restoreInput, by domain.Origin) (domain.Command, error) {
			return domain.RestoreRelease{Project: in.Project, Release: in.Name, Reason: in.Body.Reason, Origin: by}, nil
		})
}

type retryInput struct {
	Key
	Body struct {
		Project string `json:"project"`
		Machine string `json:"machine"`
	}
}

type pinInput struct {
	Key
	Body struct {
		Project     string     `json:"project"`
		Release     string     `json:"release"`
		Environment string     `json:"environment"`
		Until       *time.Time `json:"until,omitempty"`
		Reason      string     `json:"reason,omitempty"`
	}
}

type holdInput struct {
	Key
	Body struct {
		Project string     `json:"project"`
		Machine string     `json:"machine"`
		Until   *time.Time `json:"until,omitempty"`
		Reason  string     `json:"reason,omitempty"`
	}
}

type unholdInput struct {
	WriteInProject
	Kind string `query:"kind" doc:"lift only the hold of this kind; empty: all holds"`
}

func (a *API) routeDeploy() {
	write(a, route(http.MethodPost, "/projects/{project}/releases", "Create an immutable release of a project",
		domain.ReleaseVerb),
		func(in *releaseInput) string { return in.Key.Key },
		func(_ context.Context, in *releaseInput, by domain.Origin) (domain.Command, error) {
			b := in.Body
			return domain.CreateRelease{Project: in.Project, Version: b.Version, Details: domain.ReleaseDetails{
				Variables: b.Variables, Notes: b.Notes, Commit: b.Commit, URL: b.URL}, Origin: by}, nil
		})
	a.routeRetire()
	write(a, route(http.MethodPost, "/deployments", "Deploy a release to an environment", domain.DeployVerb),
		func(in *deployInput) string { return in.Key.Key },
		func(_ context.Context, in *deployInput, by domain.Origin) (domain.Command, error) {
			return in.command(by), nil
		})
	a.routePreview()
	write(a, route(http.MethodPost, "/rollback", "Deploy the previous release", domain.RollBackVerb),
		func(in *rollbackInput) string { return in.Key.Key },
		func(_ context.Context, in *rollbackInput, by domain.Origin) (domain.Command, error) {
			return domain.Rollback{Project: in.Body.Project, Environment: in.Body.Environment, Release: in.Body.Release,
				MaxParallel: in.Body.MaxParallel.value(), Reason: in.Body.Reason, Origin: by}, nil
		})
	write(a, route(http.MethodPost, "/retry", "Retry a failed machine", domain.RetryVerb),
		func(in *retryInput) string { return in.Key.Key },
		func(_ context.Context, in *retryInput, by domain.Origin) (domain.Command, error) {
			return domain.Retry{Project: in.Body.Project, Machine: in.Body.Machine, Origin: by}, nil
		})
	write(a, route(http.MethodPost, "/deployments/{name}/retry", "Retry the failed or skipped machines of a deployment",
		domain.DeployVerb),
		func(in *retryPartsInput) string { return in.Key.Key }, retryParts)
	write(a, route(http.MethodPost, "/deployments/{name}/cancel", "Cancel a deployment; running parts finish",
		domain.CancelVerb),
		func(in *WriteNamed) string { return in.Key.Key }, cancel)
	write(a, route(http.MethodPost, "/deployments/{name}/accept",
		"Accept a failed or cancelled deployment: its release becomes the wanted one", domain.DeployVerb),
		func(in *acceptDeploymentInput) string { return in.Key.Key }, accept)
	write(a, route(http.MethodPost, "/deployments/{name}/kill", "Cancel a deployment and stop its running parts",
		domain.CancelVerb),
		func(in *killInput) string { return in.Key.Key }, kill)
	a.routePinsAndHolds()
}

func (in *deployInput) command(by domain.Origin) domain.Deploy {
	b := in.Body
	var waves domain.Waves
	for _, size := range b.Waves {
		waves = append(waves, size.Amount)
	}
	return domain.Deploy{Project: b.Project, Release: b.Release, Environment: b.Environment, Machines: b.Machines,
		Exclude: b.Exclude, Roles: b.Roles, OnlyBehind: b.OnlyBehind, MaxParallel: b.MaxParallel.value(),
		StopAfterFailures: b.StopAfterFailures, MaxFailures: b.MaxFailures.value(), HealthyFor: b.HealthyFor,
		Waves: waves, WavePause: b.WavePause, Reason: b.Reason, Origin: by}
}

// routePreview registers the preview of a deployment. It takes the same input and writes nothing.
func (a *API) routePreview() {
	op := filtered(route(http.MethodPost, "/deployments/reach",
		"Preview which machines a deployment would reach; nothing is written", domain.ReadVerb))
	register(a, op, func(ctx context.Context, in *deployInput) (*answer[explain.Reach], error) {
		err := callerOf(ctx).Require(domain.Need{Verb: domain.ReadVerb, Project: in.Body.Project,
			Environment: in.Body.Environment})
		if err != nil {
			return nil, err
		}
		reach, position, err := a.cfg.Queries.Reach(callerOf(ctx).Principal, in.command(callerOf(ctx).Origin))
		return &answer[explain.Reach]{Position: position.String(), Body: reach}, err
	})
}

type acceptDeploymentInput struct {
	WriteNamed
	Body struct {
		Reason string `json:"reason,omitempty"`
	}
}

func accept(_ context.Context, in *acceptDeploymentInput, by domain.Origin) (domain.Command, error) {
	id, err := query.ParseDeployment(in.Name)
	return domain.AcceptDeployment{Deployment: id, Reason: in.Body.Reason, Origin: by}, err
}

type killInput struct {
	WriteNamed
	Body struct {
		Machine string `json:"machine,omitempty" doc:"Stop only the part on this machine. Default: all running parts."`
		Reason  string `json:"reason,omitempty"`
	}
}

func kill(_ context.Context, in *killInput, by domain.Origin) (domain.Command, error) {
	id, err := query.ParseDeployment(in.Name)
	return domain.CancelDeployment{Deployment: id, Kill: true, Machine: in.Body.Machine, Reason: in.Body.Reason,
		Origin: by}, err
}

func cancel(_ context.Context, in *WriteNamed, by domain.Origin) (domain.Command, error) {
	id, err := query.ParseDeployment(in.Name)
	return domain.CancelDeployment{Deployment: id, Origin: by}, err
}

// routePinsAndHolds registers pins and holds, which people set and automation never changes.
func (a *API) routePinsAndHolds() {
	write(a, route(http.MethodPost, "/pins", "Pin a release in an environment", domain.PinVerb),
		func(in *pinInput) string { return in.Key.Key },
		func(_ context.Context, in *pinInput, by domain.Origin) (domain.Command, error) {
			b := in.Body
			return domain.SetPin{
				Project:     b.Project,
				Release:     b.Release,
				Environment: b.Environment,
				Until:       b.Until,
				Reason:      b.Reason,
				Origin:      by,
			}, problem.CheckDeadline(a.cfg.Clock.Now(), b.Until)
		})
	writeProjectItem(a, http.MethodDelete, "/pins/{project}/{name}", "Lift the pin of an environment", domain.PinVerb,
		func(project, name string, by domain.Origin) domain.Command {
			return domain.LiftPin{Project: project, Environment: name, Origin: by}
		})
	write(a, route(http.MethodPost, "/holds", "Hold a machine at its current release", domain.HoldVerb),
		func(in *holdInput) string { return in.Key.Key },
		func(_ context.Context, in *holdInput, by domain.Origin) (domain.Command, error) {
			b := in.Body
			return domain.SetHold{
				Project: b.Project,
				Machine: b.Machine,
				Until:   b.Until,
				Reason:  b.Reason,
				Origin:  by,
			}, problem.CheckDeadline(a.cfg.Clock.Now(), b.Until)
		})
	write(a, route(http.MethodDelete, "/holds/{project}/{name}", "Lift the holds of a machine, or those of one kind",
		domain.HoldVerb),
		func(in *unholdInput) string { return in.Key.Key },
		func(_ context.Context, in *unholdInput, by domain.Origin) (domain.Command, error) {
			return domain.LiftHold{Project: in.Project, Machine: in.Name, Kind: domain.HoldKind(in.Kind), Origin: by}, nil
		})
}
