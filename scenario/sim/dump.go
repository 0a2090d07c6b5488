package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/droverhq/drover/projections"
)

// dump returns a view as text, one item on each line, to show where two views differ.
func dump(v *projections.View) []string {
	lines := []string{fmt.Sprintf("position %s time %s fence %+v", v.Position, v.Time, v.Fence)}
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	for _, name := range slices.Sorted(maps.Keys(v.Aside)) {
		add("aside %s at %s", name, v.Aside[name].Position)
	}
	for _, name := range slices.Sorted(maps.Keys(v.Machines)) {
		m := v.Machines[name]
		add("machine %s %+v added %s offline %s ready %s absence %s", name, m.Machine, m.Added, m.Offline, m.Ready, m.Absence)
		for _, project := range slices.Sorted(maps.Keys(m.Installed)) {
			i := m.Installed[project]
			add("machine %s %s %s of %s dirty %v tried %+v", name, project, i.Release, i.Instance, i.Dirty, i.FailedAttempts)
			for _, h := range i.Holds {
				add("machine %s %s hold %+v", name, project, *h)
			}
		}
		for i, part := range v.OpenPartsOn(name) {
			add("machine %s open part %d of %s", name, i, part.Deployment.ID)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(v.Projects)) {
		p := v.Projects[name]
		add("project %s %+v disabled %v sweep %v", name, p.Settings, p.Disabled, p.Sweep())
		for _, machine := range p.Waiting() {
			if m := v.Machines[machine]; m != nil {
				for _, c := range v.Candidates(p, m) {
					add("candidate %s %s %s opened %s redeploy %s causes %v", name, c.Trigger, machine, c.Opened, c.Redeploy, c.Causes)
				}
			}
		}
		for environment, s := range p.Environments {
			add("project %s in %s: %+v pin %+v released %d", name, environment, s.History, s.Pin, p.Released(environment))
		}
	}
	for id, d := range v.Deployments {
		add("deployment %s %s %s %s %v %v", id, d.Release, d.Kind, d.State, d.Cancelled, d.Superseded)
		for _, name := range d.Order {
			part := d.Parts[name]
			add("part %s %s %s %s %s %s %s", id, name, part.State, part.Reason, part.Released, part.Claimed, part.EndedAt)
		}
	}
	slices.Sort(lines)
	return lines
}

// difference returns the lines that only one of two dumps contains, up to 20.
func difference(a, b []string) string {
	var out []string
	for _, text := range a {
		if !slices.Contains(b, text) {
			out = append(out, "- "+text)
		}
	}
	for _, text := range b {
		if !slices.Contains(a, text) {
			out = append(out, "+ "+text)
		}
	}
	if len(out) == 0 {
		return "the difference is not visible in the dump"
	}
	return strings.Join(out[:min(len(out), 20)], "\n")
}
