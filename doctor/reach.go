package doctor

import (
	"fmt"
	"slices"
	"time"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections"
)

// offlineLong is how long a machine can be offline before that is a finding.
const offlineLong = time.Hour

// reachFindings finds environments in which no machine can take the wanted release or the deployments of a trigger, and
// machines that have been offline for a long time.
func reachFindings(v *projections.View, _ projections.Age, s Vitals) (found []Finding) {
	in := map[string][]*projections.Machine{}
	for _, m := range v.Machines {
		in[m.Environment] = append(in[m.Environment], m)
	}
	for _, name := range sorted(v.Projects) {
		p := v.Projects[name]
		for _, environment := range sorted(v.Environments) {
			wanted, watched := p.WantedIn(environment), triggerFor(p, environment)
			if wanted == "" && watched == "" {
				continue
			}
			if f, ok := noMachineFinding(v, p, in[environment], environment, wanted, watched); ok {
				found = append(found, f)
			}
		}
	}
	return append(bounded(found), offlineFindings(v, s.Now)...)
}

// triggerFor returns the first trigger of a project that names an environment, or nothing if none does. A trigger for
// all environments does not count, because it serves only environments that have machines.
func triggerFor(p *projections.Project, environment string) string {
	for _, name := range sorted(p.Triggers) {
		if slices.Contains(p.Triggers[name].Settings.Environments, environment) {
			return name
		}
	}
	return ""
}

func noMachineFinding(v *projections.View, p *projections.Project, machines []*projections.Machine, environment, wanted,
	watched string) (Finding, bool) {
	var all, disabled, offline, unfit int
	for _, m := range machines {
		if !domain.InScope(&m.Machine, m.Environment, p.Settings.Roles, nil) {
			continue
		}
		all++
		switch fit, _ := v.Deployable(m); {
		case fit:
			return Finding{}, false
		case m.Disabled:
			disabled++
		case !m.Online:
			offline++
		default:
			unfit++
		}
	}
	f, join := Finding{Severity: Warn},
		fmt.Sprintf("drover agent --join \"$(drover token create --join --environment %[1]s)\" --environment %[1]s "+
			"(on a machine)", shellQuote(environment))
	switch {
	case all == 0 && wanted == "":
		f.Text, f.Fix = fmt.Sprintf("trigger %s/%s names environment %s, where project %s has no machines", p.Name, watched,
			environment, p.Name), join
	case all == 0:
		f.Text, f.Fix = fmt.Sprintf("environment %s wants release %s of project %s, which has no machines there",
			environment, wanted, p.Name), join
	default:
		f.Text = fmt.Sprintf("no machine in %s can take release %s of project %s now: %d disabled, %d offline, %d not "+
			"healthy", environment, wanted, p.Name, disabled, offline, unfit)
		f.Fix = "drover get machines --environment " + shellQuote(environment)
	}
	return f, all == 0 || wanted != ""
}

// offlineFindings returns one finding for the enabled machines that have been offline for a long time.
func offlineFindings(v *projections.View, now time.Time) []Finding {
	var names []string
	var since time.Time
	for _, name := range sorted(v.Machines) {
		m := v.Machines[name]
		if m.Online || m.Disabled || m.OfflineTime.IsZero() || now.Sub(m.OfflineTime) < offlineLong {
			continue
		}
		names = append(names, name)
		if since.IsZero() || m.OfflineTime.Before(since) {
			since = m.OfflineTime
		}
	}
	if len(names) == 0 {
		return nil
	}
	return []Finding{{Severity: Warn, Text: fmt.Sprintf("%s been offline for up to %s (since %s): %s",
		countHave(len(names), "machine"), span(now.Sub(since)), since.UTC().Format("2006-01-02 15:04 UTC"), firstNames(names)),
		Fix: fmt.Sprintf("systemctl status drover-agent (on the machine), or drover machine disable %s if it should stay "+
			"offline", shellQuote(names[0]))}}
}
