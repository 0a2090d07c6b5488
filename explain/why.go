package explain

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/triggers"
)

// WhyOf explains why a machine has, gets or does not get the release that a project wants. past holds the events of
// both from the log (engine.Past); events after the view's position are ignored.
func WhyOf(v *projections.View, age projections.Age, project, machine string,
	past []eventlog.Recorded, names Names) Why {
	why := Why{Machine: machine, Project: project, Causes: []string{}, At: v.Position.String(),
		History: history(v, project, machine, past, names)}
	p, m := v.Projects[project], v.Machines[machine]
	if p == nil || m == nil {
		why.Verdict, why.Reason, why.Sentence = string(triggers.None), string(triggers.OutOfScope),
			missing(v, project, machine)
		return why
	}
	verdict := triggers.Judge(v, p, m, age)
	why.Wanted, why.Actual, why.Dirty = v.Wanted(p, m), v.Actual(p, m), v.Dirty(p, m)
	why.Verdict, why.Reason, why.Sentence = string(verdict.Kind), string(verdict.Reason), Sentence(v, age, verdict, names)
	why.Consequence = Consequence(v, age, verdict, names)
	if flaps := Flaps(v, m); flaps != "" {
		why.Sentence += " Note that " + flaps + "."
	}
	why.Rolling, why.WaitsFor = rollingOf(v, p, m), occupantOf(v, p, m)
	why.Causes = causesOf(verdict.Causes)
	if len(verdict.Causes) == 0 {
		why.Causes = settledCauses(v, project, machine)
	}
	return why
}

func missing(v *projections.View, project, machine string) string {
	if v.Projects[project] == nil {
		return fmt.Sprintf("Project %s does not exist at %s.", project, at(v.Position))
	}
	return fmt.Sprintf("Machine %s does not exist at %s; a project can deploy to it once it is added.", machine,
		at(v.Position))
}

// settledCauses returns the causes of the machine's newest part in the project, or the deployment of that part if a
// person requested it.
func settledCauses(v *projections.View, project, machine string) []string {
	var newest *projections.Part
	for _, d := range v.Deployments {
		part := d.Parts[machine]
		if part == nil || d.Project.Name != project || !part.IsFor(v.Machines[machine]) {
			continue
		}
		if newest == nil || d.Queued > newest.Deployment.Queued {
			newest = part
		}
	}
	if newest == nil {
		return []string{}
	}
	if newest.Deployment.Kind != domain.Automatic {
		return []string{at(newest.Deployment.Queued) + " DeploymentQueued"}
	}
	return causesOf(newest.Causes)
}

// ProjectsFor returns the names of the projects that have a machine in scope or have deployed to it, sorted. If no
// project does, it returns all of them.
func ProjectsFor(v *projections.View, machine string) []string {
	all, concerned := []string{}, []string{}
	m := v.Machines[machine]
	for _, p := range projectsOf(v) {
		all = append(all, p.Name)
		if m != nil && (inScope(p, m) || m.Installed[p.Name] != nil) {
			concerned = append(concerned, p.Name)
		}
	}
	if len(concerned) > 0 {
		return concerned
	}
	return all
}

// Text writes the answer in the format of `drover why`.
func (w Why) Text(out io.Writer) error {
	var b strings.Builder
	actual := orNone(w.Actual)
	if w.Dirty {
		actual += " (dirty)"
	}
	if w.Rolling != nil {
		actual = rollingCell(actual, Line(w.Rolling.Release))
	}
	fmt.Fprintf(&b, "machine  %s\nproject  %s\nwanted   %s\nactual   %s\nverdict  %s: %s\n",
		Line(w.Machine), Line(w.Project), orNone(w.Wanted), actual, w.Verdict, w.Reason)
	fmt.Fprintf(&b, "         %s\n", Line(w.Sentence))
	if w.Consequence != "" {
		fmt.Fprintf(&b, "         %s\n", Line(w.Consequence))
	}
	if w.WaitsFor != nil {
		fmt.Fprintf(&b, "waits    %s\n", Line(w.WaitsFor.String()))
	}
	for i, cause := range w.Causes {
		label := "causes "
		if i > 0 {
			label = "       "
		}
		fmt.Fprintf(&b, "%s  %s\n", label, Line(cause))
	}
	if len(w.History) > 0 {
		fmt.Fprintf(&b, "history\n")
		columns := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		for _, h := range w.History {
			fmt.Fprintf(columns, "  #%s\t%s\t%s\t%s\n", h.Position, h.Time.UTC().Format("15:04:05"), h.Type, Line(h.Text))
		}
		_ = columns.Flush()
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return Line(text)
}
