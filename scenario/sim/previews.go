package sim

import (
	"slices"
	"strings"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/triggers"
)

// foresee previews a command on a server. It returns nil if the server refuses the command or has not read the whole
// log.
func (p *cluster) foresee(s *server, c domain.Command) *engine.Preview {
	if !p.config.previews || s.pass != nil || p.lateReaction || s.engine.Outage() > 0 {
		return nil // the end of an outage delays deployments
	}
	preview, err := s.engine.Preview(p.ctx, c)
	if err != nil {
		return nil
	}
	for range p.log.ReadAll(p.ctx, preview.Position, 1) {
		return nil // this server has not read the whole log yet
	}
	p.checkConsequence(s, c, preview)
	return preview
}

// checkConsequence checks that `drover why` says of a command that it proposes what the preview of the command says.
func (p *cluster) checkConsequence(s *server, c domain.Command, preview *engine.Preview) {
	s.engine.ReadWithAge(func(v *projections.View, age projections.Age) {
		switch c := c.(type) {
		case domain.LiftHold:
			if project, m := v.Projects[c.Project], v.Machines[c.Machine]; c.Kind == "" && project != nil && m != nil {
				p.compareConsequence(triggers.Judge(v, project, v.IfUnheld(project, m), age), preview)
			}
		case domain.SetMachineEnabled:
			for _, name := range projects {
				if project, m := v.Projects[name], v.Machines[c.Name]; c.Enabled && project != nil && m != nil && m.Disabled {
					p.compareConsequence(triggers.Judge(v, project, v.IfEnabled(project, m), age), preview)
				}
			}
		}
	})
}

// compareConsequence compares a verdict after a command with the preview of the command. A tick can also end a deployment
// first, and then deploy to a machine that waited for it.
func (p *cluster) compareConsequence(after triggers.Verdict, preview *engine.Preview) {
	due := slices.ContainsFunc(preview.After.Due, func(v triggers.Verdict) bool {
		return v.Kind == triggers.Deploy && v.Project == after.Project && v.Machine == after.Machine
	})
	p.count("consequence")
	if after.Kind == triggers.Deploy {
		p.count("consequence of a deployment")
	}
	if due != (after.Kind == triggers.Deploy) && after.Reason != triggers.DeploymentRunning {
		p.violate("law 26: why says what a command makes due", "%s of %s: verdict %s (%s), due %v", after.Machine,
			after.Project, after.Kind, after.Reason, due)
	}
}

// checkPreview runs a tick after a command, and checks that it queued what the preview of the command foresaw. Presence
// is not foreseen: a tick that found a silent session is not compared. Neither is that of a server that has restarted
// since the preview, because its ages begin again. by is the engine that made the preview.
func (p *cluster) checkPreview(s *server, by *engine.Engine, preview *engine.Preview, words string) {
	if preview == nil || s.engine != by || !s.running() || by.Stopped() != nil {
		return
	}
	p.transcript.add("tick %s server=%s", clockText(p.now), s.name)
	p.ticks++
	_, err := s.engine.Tick(p.ctx)
	if !p.succeeded(s, "tick", err) {
		return
	}
	found, comparable := p.queuedAfter(preview)
	if !comparable {
		return
	}
	p.count("preview")
	want := foreseen(preview)
	if len(want) > 0 {
		p.count("preview of a deployment")
	}
	if !slices.Equal(want, found) {
		p.violate("law 26: a preview says what the next tick deploys", "%s: foreseen [%s], queued [%s]", words,
			strings.Join(want, "; "), strings.Join(found, "; "))
	}
}

// foreseen lists the machines and releases that automation would deploy.
func foreseen(preview *engine.Preview) (all []string) {
	for _, verdict := range preview.After.Due {
		if verdict.Kind == triggers.Deploy {
			all = append(all, verdict.Project+" "+verdict.Release+" "+verdict.Machine)
		}
	}
	slices.Sort(all)
	return all
}

// queuedAfter lists the machines and releases of the automatic deployments that were queued since a preview. It reports
// false if a session or a server ended meanwhile, which no preview foresees.
func (p *cluster) queuedAfter(preview *engine.Preview) (all []string, comparable bool) {
	comparable = true
	for rec, err := range p.log.ReadAll(p.ctx, preview.Position, 0) {
		if err != nil {
			return nil, false
		}
		fact, err := domain.Decode(rec.Type, rec.Data)
		if err != nil {
			return nil, false
		}
		switch e := fact.(type) {
		case domain.MachineWentOffline:
			comparable = false
		case domain.DeploymentQueued:
			if e.Kind == domain.Automatic {
				_, project := domain.SplitStream(rec.Stream)
				for _, m := range e.Machines {
					all = append(all, project+" "+e.Release+" "+m.Name)
				}
			}
		}
	}
	slices.Sort(all)
	return all, comparable
}
