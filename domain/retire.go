package domain

import "strings"

// Commands that say whether a release can be deployed.
type (
	// RetireRelease makes a release undeployable, for example because its version is mistyped. It stays in the log.
	RetireRelease struct {
		Project string `json:"project"`
		Release string `json:"release"`
		Reason  string `json:"reason"`
		Origin
	}
	// RestoreRelease makes a retired release deployable again.
	RestoreRelease struct {
		Project string `json:"project"`
		Release string `json:"release"`
		Reason  string `json:"reason,omitempty"`
		Origin
	}
)

// Stream returns the stream of the project, so that the command competes with deployments and pins of the release.
func (c RetireRelease) Stream(World) string { return ProjectStream(c.Project) }

// Stream returns the stream of the project.
func (c RestoreRelease) Stream(World) string { return ProjectStream(c.Project) }

// Decide retires the release. It rejects a release that machines may still get: one that is wanted or pinned in an
// environment, or that is being deployed.
func (c RetireRelease) Decide(w World) ([]Event, *Rejection) {
	p, r := findRelease(w, c.Project, c.Release)
	if r != nil {
		return nil, r
	}
	if r := checkReason(c.Reason); r != nil {
		return nil, r
	}
	if strings.TrimSpace(c.Reason) == "" {
		return nil, invalid("a reason is missing").hint("say why nobody should deploy release %s", c.Release)
	}
	if old, retired := p.Retired[c.Release]; retired && old.Reason == c.Reason {
		return nil, nil
	}
	if r := c.checkUnused(w, p); r != nil {
		return nil, r
	}
	return []Event{ReleaseRetired{Release: c.Release, Reason: c.Reason, Origin: c.Origin}}, nil
}

// checkUnused rejects a release that is wanted, pinned or being deployed.
func (c RetireRelease) checkUnused(w World, p *Project) *Rejection {
	var wanted []string
	for _, environment := range sortedKeys(p.Environments) {
		if pin := p.PinIn(environment); pin != nil && pin.Release == c.Release {
			return conflict("release %s of project %s is pinned in %s", c.Release, c.Project, environment).
				hint("run `drover unpin %s --in %s` first", c.Project, environment)
		}
		if p.ReleaseIn(environment) == c.Release {
			wanted = append(wanted, environment)
		}
	}
	if len(wanted) > 0 {
		return conflict("release %s is the wanted release of project %s in %s", c.Release, c.Project, firstThree(wanted)).
			hint("deploy another release there first: `drover deploy %s VERSION --to %s`", c.Project, wanted[0])
	}
	if id := w.OpenDeploymentOf(c.Project, c.Release); !id.IsZero() {
		return conflict("deployment %s of release %s has not ended", id, c.Release).
			hint("wait for its end, or run `drover cancel %s` first", id)
	}
	return nil
}

// Decide restores the release.
func (c RestoreRelease) Decide(w World) ([]Event, *Rejection) {
	p, r := findRelease(w, c.Project, c.Release)
	if r != nil {
		return nil, r
	}
	if r := checkReason(c.Reason); r != nil {
		return nil, r
	}
	if _, retired := p.Retired[c.Release]; !retired {
		return nil, nil
	}
	return []Event{ReleaseRestored{Release: c.Release, Reason: c.Reason, Origin: c.Origin}}, nil
}

func findRelease(w World, project, version string) (*Project, *Rejection) {
	p := w.Project(project)
	if p == nil {
		return nil, projectNotFound(project)
	}
	if p.Releases[version] == nil {
		return nil, notFound("project %s has no release %.140q", project, version).
			hint("`drover get releases --project %s` lists them", project)
	}
	return p, nil
}

// checkNotRetired rejects a release that is retired.
func (p *Project) checkNotRetired(version string) *Rejection {
	retired, ok := p.Retired[version]
	if !ok {
		return nil
	}
	return conflict("release %s of project %s is retired: %s", version, p.Name, oneLine(retired.Reason)).
		hint("deploy another release, or make it deployable again with `drover release restore %s %s`", p.Name, version)
}

// oneLine replaces line breaks and other white space with single blanks.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
