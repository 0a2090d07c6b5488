package explain

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections"
)

// Release is what `get releases` shows.
type Release struct {
	Project string   `json:"project"`
	Version string   `json:"version"`
	Steps   []string `json:"steps"`
	// Environments lists the environments whose current release this is.
	Environments []string  `json:"environments"`
	Notes        string    `json:"notes,omitempty"`
	Commit       string    `json:"commit,omitempty"`
	URL          string    `json:"url,omitempty"`
	CreatedAt    time.Time `json:"createdAt"`
	CreatedBy    string    `json:"createdBy,omitempty"` // the person, token or component that created it
	Position     string    `json:"position"`            // of its creation in the log
	// Retired is set if the release cannot be deployed.
	Retired *Retirement `json:"retired,omitempty"`
	// Spec is the content. Lists leave it out.
	Spec *ReleaseSpec `json:"spec,omitempty"`
}

// Retirement says why, when and by whom a release was retired.
type Retirement struct {
	Reason   string    `json:"reason"`
	At       time.Time `json:"at"`
	By       string    `json:"by,omitempty"`
	Position string    `json:"position"`
}

// ReleaseSpec is the content of a release.
type ReleaseSpec struct {
	Steps     []domain.Step     `json:"steps"`
	Variables map[string]string `json:"variables,omitempty"`
	Secrets   []string          `json:"secrets,omitempty"`
	// Environments and Roles override variables and secrets.
	Environments map[string]domain.Values `json:"environments,omitempty"`
	Roles        map[string]domain.Values `json:"roles,omitempty"`
	// Overridden are the variables that a person set for this release alone.
	Overridden map[string]string `json:"overridden,omitempty"`
}

func specOf(r *domain.Release) *ReleaseSpec {
	return &ReleaseSpec{Steps: r.Steps, Variables: r.Variables, Secrets: r.Secrets, Environments: r.Environments,
		Roles: r.Roles, Overridden: r.Overridden}
}

// Releases returns the releases, sorted by project and then by creation, the newest last.
func Releases(v *projections.View, names Names, f Filter) List[Release] {
	all, keys := map[string]Release{}, []string{}
	for _, p := range projectsOf(v) {
		if f.Project != "" && f.Project != p.Name || !f.seesEnvironmentOf(p.Name) {
			continue
		}
		for _, version := range p.Versions {
			key := p.Name + "/" + version
			all[key], keys = release(p, version, names), append(keys, key)
		}
	}
	if i := slices.Index(keys, f.After); i >= 0 {
		keys = keys[i+1:]
	}
	return page(v, f, keys, func(key string) (Release, bool) {
		return all[key], f.Environment == "" || slices.Contains(all[key].Environments, f.Environment)
	}, nil)
}

// ReleaseOf returns the release of that version, and false if it does not exist.
func ReleaseOf(v *projections.View, names Names, project, version string) (Release, bool) {
	p := v.Projects[project]
	if p == nil || p.Releases[version] == nil {
		return Release{}, false
	}
	r := release(p, version, names)
	r.Spec = specOf(p.Releases[version])
	return r, true
}

func release(p *projections.Project, version string, names Names) Release {
	shown := Release{Project: p.Name, Version: version, Steps: []string{}, Environments: []string{}}
	r := p.Releases[version]
	shown.Notes, shown.Commit, shown.URL = r.Notes, r.Commit, r.URL
	created := p.Created[version]
	shown.CreatedAt, shown.CreatedBy, shown.Position = created.Time.UTC(), names.Who(r.Origin), created.Position.String()
	if retired, ok := p.Retired[version]; ok {
		at := p.RetiredAt[version]
		shown.Retired = &Retirement{retired.Reason, at.Time.UTC(), names.Who(retired.Origin), at.Position.String()}
	}
	for _, step := range r.Steps {
		shown.Steps = append(shown.Steps, step.Name)
	}
	for _, environment := range namesAfter(p.Environments, "") {
		if p.ReleaseIn(environment) == version {
			shown.Environments = append(shown.Environments, environment)
		}
	}
	return shown
}

// ReleasesTable returns the output of `get releases`.
func ReleasesTable(list []Release) Table {
	return table("PROJECT VERSION STEPS ENVIRONMENTS RETIRED", list, func(r Release) []string {
		retired := "-"
		if r.Retired != nil {
			retired = r.Retired.Reason
		}
		return []string{r.Project, r.Version, joined(r.Steps), joined(r.Environments), retired}
	})
}

// ReleaseText returns the output of `release show`, without the table of its variables and its steps.
func ReleaseText(r Release) string {
	var b strings.Builder
	for _, row := range [][2]string{
		{"release", r.Version}, {"project", r.Project},
		{"created", fmt.Sprintf("%s (#%s)%s", instant(&r.CreatedAt), r.Position, byText(r.CreatedBy))},
		{"commit", r.Commit}, {"url", r.URL}, {"wanted in", strings.Join(r.Environments, ", ")},
		{"retired", retiredText(r.Retired)},
	} {
		if row[1] != "" {
			fmt.Fprintf(&b, "%-12s %s\n", row[0], Line(row[1]))
		}
	}
	if r.Notes != "" {
		b.WriteString("\nnotes\n" + indent(r.Notes))
	}
	return b.String()
}

// retiredText is empty for a release that is not retired.
func retiredText(r *Retirement) string {
	if r == nil {
		return ""
	}
	return fmt.Sprintf("%s (#%s)%s: %s", instant(&r.At), r.Position, byText(r.By), r.Reason)
}

func byText(who string) string { return choose(who == "", "", " by "+who) }

// indent returns the lines of a text, each with two blanks before it and none at its end.
func indent(text string) string {
	var b strings.Builder
	for line := range strings.Lines(strings.TrimRight(Text(text), "\n")) {
		b.WriteString(strings.TrimRight("  "+line, " \n") + "\n")
	}
	return b.String()
}

// ReleaseStepsText returns the steps of a release with their scripts.
func ReleaseStepsText(steps []domain.Step) string {
	var b strings.Builder
	for _, s := range steps {
		var limits []string
		if s.Folder != "" {
			limits = append(limits, "folder "+s.Folder)
		}
		limits = append(limits, "timeout "+shortDuration(cmp.Or(s.Timeout, domain.DefaultStepTimeout)))
		if s.Retries > 0 {
			limits = append(limits, fmt.Sprintf("retries %d", s.Retries))
		}
		fmt.Fprintf(&b, "\nstep %s\n%s", Line(s.Name+domain.InParentheses(strings.Join(limits, ", "))), indent(s.Run))
	}
	return b.String()
}

// shortDuration returns a duration without units of zero at its end: "30m", not "30m0s".
func shortDuration(d domain.Duration) string {
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-len(zero)+1]
		}
	}
	return text
}

// ReleaseVariablesTable lists the variables and secrets of a release, and what sets each. Of the rows of one name, each
// overrides the rows above it.
func ReleaseVariablesTable(r Release) Table {
	var rows []Variable
	add := func(v domain.Values, from string) {
		for name, text := range v.Variables {
			rows = append(rows, Variable{Name: name, Value: text, From: from})
		}
		for _, name := range v.Secrets {
			rows = append(rows, Variable{Name: name, Secret: true, From: from})
		}
	}
	add(domain.Values{Variables: r.Spec.Variables, Secrets: r.Spec.Secrets}, "project")
	for _, name := range slices.Sorted(maps.Keys(r.Spec.Roles)) {
		add(r.Spec.Roles[name], "role "+name)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Spec.Environments)) {
		add(r.Spec.Environments[name], "environment "+name)
	}
	add(domain.Values{Variables: r.Spec.Overridden}, "release "+r.Version)
	slices.SortStableFunc(rows, func(a, b Variable) int { return strings.Compare(a.Name, b.Name) })
	return VariablesTable(Variables{Items: rows})
}
