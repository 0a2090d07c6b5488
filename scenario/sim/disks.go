package sim

import (
	"maps"
	"slices"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections"
)

// diskCopy is a copy of a machine's disk.
type diskCopy struct {
	disk       map[projectIncarnation]diskContent
	remembered map[string][]domain.ID
}

// saveDisk makes a copy of the disk of a machine that runs nothing and has reported everything.
func (p *cluster) saveDisk(st step) {
	if a := p.reachableAgent(st.b); a != nil && a.running == nil && len(a.unreported) == 0 {
		a.log("disk-saved")
		a.saved = &diskCopy{disk: maps.Clone(a.disk), remembered: a.copyRemembered()}
	}
}

func (a *agent) copyRemembered() map[string][]domain.ID {
	list := map[string][]domain.ID{}
	for project, deployments := range a.remembered {
		list[project] = slices.Clone(deployments)
	}
	return list
}

// restoreDisk replaces the disk of a machine with its copy. Its agent starts again, and no longer knows what it ran
// since.
func (p *cluster) restoreDisk(st step) {
	for i := range p.names {
		a := p.agents[p.machine(st.b+i)]
		if a == nil || a.saved == nil || a.running != nil || len(a.unreported) > 0 || !a.reachable() {
			continue
		}
		s := a.server
		a.log("disk-restored")
		a.disk, a.unstated = maps.Clone(a.saved.disk), true
		a.remembered = (&agent{remembered: a.saved.remembered}).copyRemembered()
		a.connectTo(s)
		return
	}
}

// state sends the server what the agent remembers, as an agent does after each welcome.
func (a *agent) state() {
	v := a.server.view()
	statement := projections.Remembered{AsOf: v.Position, Projects: map[string]projections.RememberedProject{}}
	for project, deployments := range a.remembered {
		statement.Projects[project] = projections.RememberedProject{Deployments: deployments}
	}
	lost := v.Forgotten(a.machine, statement)
	if len(lost) > 0 {
		accepted, known := a.send(domain.ReportLostState{Name: a.machine, Session: a.session, Lost: lost})
		if !known || !accepted {
			return // repeated with the next heartbeat
		}
	}
	a.unstated = false
}

// checkForgotten checks that the agent of a machine does not remember a success that the log calls lost.
func (p *cluster) checkForgotten(machine, project string, deployment domain.ID) {
	if a := p.agents[machine]; a == nil || slices.Contains(a.remembered[project], deployment) {
		p.violate("law 11: only a machine that lost its state is called dirty",
			"the agent of %s remembers its success with %s", machine, p.transcript.deployment(deployment))
	}
}
