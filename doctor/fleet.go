package doctor

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/explain"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/triggers"
)

// references finds dangling references. The API rejects a command that names a missing resource, so dangling references
// appear only if two people change resources at the same time. A resource with a dangling reference has no effect.
func references(v *projections.View, _ projections.Age, _ Vitals) (found []Finding) {
	for _, name := range sorted(v.Machines) {
		found = append(found, machineReferences(v, v.Machines[name])...)
	}
	roles := rolesIn(v)
	for _, name := range sorted(v.Projects) {
		p := v.Projects[name]
		found = append(found, roleReferences("project "+p.Name, p.Settings.Roles, roles, "project "+shellQuote(p.Name))...)
		for _, name := range sorted(p.Triggers) {
			found = append(found, triggerReferences(v, p, p.Triggers[name], roles)...)
		}
		for _, environment := range sorted(p.Environments) {
			found = append(found, pinReferences(v, p, environment)...)
		}
		for _, environment := range sorted(p.Settings.Overrides.Environments) {
			found = append(found, overrideReferences(v, p, environment)...)
		}
	}
	for _, id := range sorted(v.Tokens) {
		found = append(found, tokenReferences(v, v.Tokens[id])...)
	}
	return bounded(found)
}

// maxReferences is the largest number of findings of one check.
const maxReferences = 50

func bounded(found []Finding) []Finding {
	if len(found) <= maxReferences {
		return found
	}
	more := Finding{Severity: Warn, Text: fmt.Sprintf("%d more findings of this kind", len(found)-maxReferences),
		Fix: "fix the findings above and run drover doctor again"}
	return append(found[:maxReferences:maxReferences], more)
}

func machineReferences(v *projections.View, m *projections.Machine) (found []Finding) {
	edit := fmt.Sprintf("drover get machine %s -o yaml > machine.yaml (fix the file, then run: drover apply -f "+
		"machine.yaml)", shellQuote(m.Name))
	if doubt := explain.Doubt(v, m); doubt != "" {
		found = append(found, Finding{Severity: Bad, Text: doubt,
			Fix: fmt.Sprintf("drover eventlog accept-restore --machine %s (after checking whether a backup was restored)",
				shellQuote(m.Name))})
	}
	if v.Environments[m.Environment] == nil {
		found = append(found, Finding{Severity: Bad,
			Text: fmt.Sprintf("machine %s is in environment %s, which does not exist: nothing is deployed to it", m.Name,
				m.Environment), Fix: edit})
	}
	if m.Policy != domain.DefaultPolicy && v.Policies[m.Policy] == nil {
		found = append(found, Finding{Severity: Warn,
			Text: fmt.Sprintf("machine %s names policy %s, which does not exist: the default policy applies", m.Name, m.Policy),
			Fix:  edit})
	}
	return found
}

func rolesIn(v *projections.View) map[string]bool {
	roles := map[string]bool{}
	for _, m := range v.Machines {
		for _, role := range m.Roles {
			roles[role] = true
		}
	}
	return roles
}

// roleReferences finds roles that no machine has. It ignores a fleet without machines.
func roleReferences(who string, wanted []string, roles map[string]bool, thing string) (found []Finding) {
	for _, role := range wanted {
		if len(roles) == 0 || roles[role] {
			continue
		}
		found = append(found, Finding{Severity: Warn,
			Text: fmt.Sprintf("%s requires role %s, which no machine has (the roles of machines are: %s)", who, role,
				firstNames(slices.Sorted(maps.Keys(roles)))),
			Fix: fmt.Sprintf("drover get %s -o yaml > file.yaml (fix the file, then run: drover apply -f file.yaml)", thing)})
	}
	return found
}

func triggerReferences(v *projections.View, p *projections.Project, t *domain.Trigger,
	roles map[string]bool) (found []Finding) {
	thing := "trigger " + shellQuote(p.Name+"/"+t.Name)
	for _, environment := range explain.MissingEnvironments(v, t) {
		found = append(found, Finding{Severity: Warn,
			Text: fmt.Sprintf("trigger %s/%s names environment %s, which does not exist", p.Name, t.Name, environment),
			Fix:  fmt.Sprintf("drover get %s -o yaml > file.yaml (fix the file, then run: drover apply -f file.yaml)", thing)})
	}
	return append(found, roleReferences("trigger "+p.Name+"/"+t.Name, t.Settings.Roles, roles, thing)...)
}

func overrideReferences(v *projections.View, p *projections.Project, environment string) []Finding {
	if v.Environments[environment] != nil {
		return nil
	}
	return []Finding{{Severity: Warn, Text: fmt.Sprintf("project %s has overrides for environment %s, which does not exist",
		p.Name, environment), Fix: "remove the overrides from the file of the project and apply it"}}
}

func pinReferences(v *projections.View, p *projections.Project, environment string) []Finding {
	pin := p.PinIn(environment)
	if pin == nil {
		return nil
	}
	do := fmt.Sprintf("drover unpin %s --in %s", shellQuote(p.Name), shellQuote(environment))
	switch {
	case v.Environments[environment] == nil:
		return []Finding{{Severity: Warn, Text: fmt.Sprintf("project %s is pinned in environment %s, which does not exist",
			p.Name, environment), Fix: do}}
	case p.Releases[pin.Release] == nil:
		return []Finding{{Severity: Bad, Text: fmt.Sprintf("project %s is pinned in %s at release %s, which does not exist",
			p.Name, environment, pin.Release), Fix: do}}
	}
	return nil
}

func tokenReferences(v *projections.View, t *domain.Token) (found []Finding) {
	for _, environment := range t.Settings.Environments {
		if !t.Revoked && v.Environments[environment] == nil {
			found = append(found, Finding{Severity: Warn,
				Text: fmt.Sprintf("join token %s is for environment %s, which does not exist", t.Label(), environment),
				Fix:  "drover token revoke " + t.Label()})
		}
	}
	return found
}

// behindGroup is a group of machines that have been behind for a long time, for the same project and reason.
type behindGroup struct {
	project  string
	reason   triggers.Reason
	names    []string
	longest  time.Duration
	sentence string // about the machine that has been behind for the longest time
}

// needsPerson lists the reasons after which automation does not retry until a person acts.
var needsPerson = map[triggers.Reason]bool{triggers.RetriesExhausted: true, triggers.MadeUnhealthy: true}

// machinesBehind finds machines that have been behind for a long time, with one finding for each project and reason.
// Held machines are reported by choices. Machines that the next tick deploys to are skipped.
func machinesBehind(v *projections.View, age projections.Age, s Vitals) (found []Finding) {
	all := map[string]*behindGroup{}
	for _, name := range sorted(v.Projects) {
		p := v.Projects[name]
		since := wantedSince(v, p)
		for _, m := range v.Machines {
			behind := s.Now.Sub(behindSince(v, p, m, since[m.Environment]))
			if !domain.InScope(&m.Machine, m.Environment, p.Settings.Roles, nil) || !v.Behind(p, m) ||
				!v.BehindExpected(p, m) || behind < behindWarn { // it may have the release of an open rollout
				continue
			}
			if verdict := triggers.Judge(v, p, m, age); verdict.Kind != triggers.Deploy && verdict.Reason != triggers.Held {
				addBehind(all, v, age, verdict, behind, s.Names)
			}
		}
	}
	for _, key := range sorted(all) {
		found = append(found, all[key].finding())
	}
	return found
}

func addBehind(all map[string]*behindGroup, v *projections.View, age projections.Age, verdict triggers.Verdict,
	behind time.Duration, names explain.Names) {
	key := verdict.Project + "/" + string(verdict.Reason)
	l := all[key]
	if l == nil {
		l = &behindGroup{project: verdict.Project, reason: verdict.Reason}
		all[key] = l
	}
	l.names = append(l.names, verdict.Machine)
	if behind > l.longest || behind == l.longest && verdict.Machine == slices.Min(l.names) {
		l.longest, l.sentence = behind, explain.Sentence(v, age, verdict, names)
	}
}

func (l *behindGroup) finding() Finding {
	slices.Sort(l.names)
	f := Finding{Severity: Warn, Fix: fmt.Sprintf("drover why %s --project %s",
		shellQuote(l.names[0]), shellQuote(l.project))}
	if needsPerson[l.reason] {
		f.Severity = Bad
		f.Fix += fmt.Sprintf("; then run: drover retry %s --project %s", shellQuote(l.names[0]), shellQuote(l.project))
	}
	f.Text = fmt.Sprintf("%s been behind on project %s for up to %s: %s (%s). %s", countHave(len(l.names), "machine"),
		l.project, span(l.longest), l.reason, firstNames(l.names), l.sentence)
	return f
}

// countHave counts things with their verb: "1 machine has", "3 machines have".
func countHave(n int, word string) string {
	if n == 1 {
		return counted(n, word) + " has"
	}
	return counted(n, word) + " have"
}

// wantedSince returns, for each environment, since when it has wanted its current release of a project.
func wantedSince(v *projections.View, p *projections.Project) map[string]time.Time {
	since := map[string]time.Time{}
	for environment := range p.Environments {
		if p.PinIn(environment) != nil {
			since[environment] = p.PinnedTime[environment]
		}
	}
	for _, d := range v.Deployments {
		if d.Project == p && d.Kind == domain.EnvironmentWide && p.PinIn(d.Environment) == nil &&
			d.Release == p.ReleaseIn(d.Environment) && d.WantedFrom().After(since[d.Environment]) {
			since[d.Environment] = d.WantedFrom()
		}
	}
	return since
}

// behindSince returns the earliest time at which the machine can have fallen behind: the last change of the machine or
// of the wanted release. If the machine has the wanted release but a later attempt failed, the time is not before the
// start of that attempt.
func behindSince(v *projections.View, p *projections.Project, m *projections.Machine, wanted time.Time) time.Time {
	since := m.PlacedTime
	if wanted.After(since) {
		since = wanted
	}
	if i := m.Installed[p.Name]; i != nil && i.Last != nil && v.Actual(p, m) == v.Wanted(p, m) &&
		i.Last.StartedTime.After(since) {
		since = i.Last.StartedTime
	}
	return since
}

// choices finds old pins and holds that never expire.
func choices(v *projections.View, _ projections.Age, s Vitals) (found []Finding) {
	for _, name := range sorted(v.Projects) {
		p := v.Projects[name]
		for _, environment := range sorted(p.Environments) {
			pin := p.PinIn(environment)
			if since := s.Now.Sub(p.PinnedTime[environment]); pin != nil && pin.Until == nil && since > heldLong {
				found = append(found, Finding{Severity: Warn, Text: fmt.Sprintf("project %s has been pinned in %s at %s for %s%s",
					p.Name, environment, pin.Release, span(since), because(s.Names.Who(pin.Origin), pin.Reason)),
					Fix: fmt.Sprintf("drover unpin %s --in %s", shellQuote(p.Name), shellQuote(environment))})
			}
		}
		found = append(found, heldFindings(v, p, s)...)
	}
	return found
}

// heldFindings returns one finding for the machines of a project that have been held for a long time.
func heldFindings(v *projections.View, p *projections.Project, s Vitals) []Finding {
	var names []string
	var longest time.Duration
	var who string
	for _, name := range sorted(v.Machines) {
		i := v.Machines[name].Installed[p.Name]
		if i == nil {
			continue
		}
		for _, h := range i.Holds {
			since := s.Now.Sub(h.Time)
			if h.Until != nil || since <= heldLong {
				continue
			}
			if len(names) == 0 || names[len(names)-1] != name {
				names = append(names, name)
			}
			if since > longest {
				longest, who = since, heldBy(&h.Hold, s.Names)
			}
		}
	}
	if len(names) == 0 {
		return nil
	}
	return []Finding{{Severity: Warn, Text: fmt.Sprintf("%s been held for project %s for up to %s%s: %s",
		countHave(len(names), "machine"), p.Name, span(longest), who, firstNames(names)),
		Fix: fmt.Sprintf("drover unhold %s --project %s", shellQuote(names[0]), shellQuote(p.Name))}}
}

func heldBy(h *domain.Hold, names explain.Names) string {
	if !h.Manual() {
		return " (by deployment " + h.Deployment.String() + ")"
	}
	return because(names.Who(h.Origin), h.Reason)
}

func because(by, reason string) string {
	text := strings.Join(slices.DeleteFunc([]string{by, reason}, func(s string) bool { return s == "" }), ": ")
	if text == "" {
		return ""
	}
	return " (" + text + ")"
}

// firstNames lists the first names and counts the rest.
func firstNames(names []string) string {
	if len(names) <= named {
		return cmp.Or(strings.Join(names, ", "), "none")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:named], ", "), len(names)-named)
}
