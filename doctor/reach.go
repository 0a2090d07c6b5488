package doctor

import (
	"fmt"
	"slices"
	"time"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections"
)

// offlineLong is how long a machine may be offline before that is a finding.
const offlineLong = time.Hour

// takers finds environments where no machine can take what is wanted or what a trigger would deploy, and machines that
// have been offline for long.
func takers(v *projections.View, _ projections.Age, s Vitals) (found []Finding) {
	in := map[string][]*projections.Machine{}
	for _, m := range v.Machines {
		in[m.Environment] = append(in[m.Environment], m)
	}
	for _, name := range sorted(v.Projects) {
		p := v.Projects[name]
		for _, environment := range sorted(v.Environments) {
			wanted, watched := p.WantedIn(environment), watching(p, environment)
			if wanted == "" && watched == "" {
				continue
			}
			if f, ok := noTaker(v, p, in[environment], environment, wanted, watched); ok {
				found = append(found, f)
			}
		}
	}
	return append(bounded(found), offlineFindings(v, s.Now)...)
}

// watching is the first trigger of a project that names an environment; empty: none does. A trigger for all environments
// means those that have machines.
func watching(p *projections.Project, environment string) string {
	for _, name := range sorted(p.Triggers) {
		if slices.Contains(p.Triggers[name].Settings.Environments, environment) {
			return name
		}
	}
	return ""
}

func noTaker(v *projections.View, p *projections.Project, machines []*projections.Machine, environment, wanted, watched string) (Finding, bool) {
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
	f, join := Finding{Severity: Warn}, fmt.Sprintf("drover agent --join \"$(drover token create --join)\" --environment %s (on a machine)", shellWord(environment))
	switch {
	case all == 0 && wanted == "":
		f.Seen, f.Do = fmt.Sprintf("trigger %s/%s names environment %s, where project %s has no machine", p.Name, watched, environment, p.Name), join
	case all == 0:
		f.Seen, f.Do = fmt.Sprintf("environment %s wants release %s of project %s, which has no machine there", environment, wanted, p.Name), join
	default:
		f.Seen = fmt.Sprintf("no machine in %s can take release %s of project %s now: %d disabled, %d offline, %d not healthy", environment, wanted, p.Name, disabled, offline, unfit)
		f.Do = "drover get machines --environment " + shellWord(environment)
	}
	return f, all == 0 || wanted != ""
}

// offlineFindings is one line for the machines that have been offline for long and are not disabled.
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
	return []Finding{{Severity: Warn, Seen: fmt.Sprintf("%s offline, for up to %s (since %s): %s", are(len(names), "machine"), span(now.Sub(since)), since.UTC().Format("2006-01-02 15:04 UTC"), some(names)),
		Do: fmt.Sprintf("systemctl status drover-agent (on the machine), or drover machine disable %s if it is to be away", shellWord(names[0]))}}
}
