package scenario

import (
	"bytes"
	"slices"
	"strings"

	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/explain"
	"github.com/droverhq/drover/projections"
)

// why prints the output of `drover why`, for now or for a past moment.
func (r *runner) why(b *block) ([]string, error) {
	words, values, err := r.header(b, 2, "at", "server")
	if err != nil {
		return nil, err
	}
	if len(words) == 0 {
		return nil, r.wrong("usage: "+blockOf(b.name).usage, "the machine is missing")
	}
	s, err := r.upToDate(values["server"])
	if err != nil {
		return nil, err
	}
	if values["at"] == "" {
		var lines []string
		s.ReadWithAge(func(v *projections.View, age projections.Age) { lines, err = r.answer(v, age, words) })
		return lines, err
	}
	m, err := r.moment(values["at"])
	if err != nil {
		return nil, err
	}
	v, age, err := engine.Replay(r.ctx, r.log, m)
	if err != nil {
		return nil, err
	}
	return r.answer(v, age, words)
}

// upToDate returns a running server after it has read the whole log.
func (r *runner) upToDate(name string) (*server, error) {
	s, err := r.running(name)
	if err != nil {
		return nil, err
	}
	return s, s.CatchUp(r.ctx)
}

// moment parses a position or a time. A time after that of the simulated clock means the current state.
func (r *runner) moment(text string) (engine.Moment, error) {
	if at, ok := parseTime(text); ok {
		return engine.MomentAt(r.ctx, r.log, day.Add(at), r.clock.Now())
	}
	position, ok := r.position(text)
	if !ok {
		return engine.Moment{}, r.wrong("write at=#12, at=#09:00:05 or at=09:00:30", "invalid at=%.40s", text)
	}
	return engine.MomentOf(r.ctx, r.log, position, r.clock.Now())
}

func (r *runner) answer(v *projections.View, age projections.Age, words []string) ([]string, error) {
	projects := explain.ProjectsFor(v, words[0])
	if len(words) == 2 {
		projects = words[1:]
	}
	var out bytes.Buffer
	for _, project := range projects {
		past, err := engine.PastOf(r.ctx, r.log, v, words[0], project)
		if err != nil {
			return nil, err
		}
		why := explain.WhyOf(v, age, project, words[0], past, nil)
		why.Rolling, why.Consequence = nil, "" // `view deployments` and further blocks show them
		for i, h := range why.History {
			why.History[i].Position = strings.TrimPrefix(r.names.replace("#"+h.Position), "#")
		}
		if err := why.Text(&out); err != nil {
			return nil, err
		}
	}
	if out.Len() == 0 {
		return []string{"no project covers machine " + words[0]}, nil
	}
	return strings.Split(out.String(), "\n"), nil
}

func orNone(lines []string) []string {
	if len(lines) == 0 {
		return []string{"none"}
	}
	return lines
}

// view prints a table of `drover get`: machines, deployments, the parts of one deployment, or candidates. It also
// prints the steps of parts.
func (r *runner) view(b *block) ([]string, error) {
	words, values, err := r.header(b, 2, "server")
	if err != nil {
		return nil, err
	}
	s, err := r.upToDate(values["server"])
	if err != nil {
		return nil, err
	}
	var table explain.Table
	v := s.fold()
	switch {
	case len(words) == 1 && words[0] == "fleet":
		table = explain.MachinesTable(machinesOf(v), false)
	case len(words) == 1 && words[0] == "deployments":
		table = r.deployments(v)
	case len(words) == 2 && words[0] == "deployments":
		id, err := r.deployment(words[1])
		if err != nil {
			return nil, err
		}
		d, _ := explain.DeploymentOf(v, id, nil)
		table = explain.PartsTable(d.Machines)
	case len(words) == 2 && words[0] == "parts":
		id, err := r.deployment(words[1])
		if err != nil {
			return nil, err
		}
		return orNone(r.parts(v, id)), nil
	case len(words) == 1 && words[0] == "candidates":
		s.ReadWithAge(func(v *projections.View, age projections.Age) {
			table = explain.CandidatesTable(explain.Candidates(v, age, explain.Filter{}).Items)
		})
	default:
		return nil, r.wrong("usage: "+blockOf(b.name).usage, "unknown view")
	}
	if len(table.Rows) == 0 {
		return []string{"none"}, nil
	}
	for _, row := range table.Rows { // before the columns are aligned
		for i := range row {
			row[i] = r.names.replace(row[i])
		}
	}
	var out bytes.Buffer
	err = table.Write(&out, explain.Unlimited)
	return strings.Split(out.String(), "\n"), err
}

// machinesOf returns the machines without what other blocks show: open parts, first installations that failed, and reports
// of health checks.
func machinesOf(v *projections.View) []explain.Machine {
	list := explain.Machines(v, explain.Filter{}).Items
	for i, m := range list {
		list[i].Rolling, list[i].HealthDetail = nil, ""
		for j := range m.Wanted {
			list[i].Wanted[j].Expected = ""
		}
		list[i].Installed = slices.DeleteFunc(m.Installed, func(i explain.Installed) bool { return i.Release == "" })
	}
	return list
}

// deployments returns the table with names for ids. The ids are replaced before the columns are aligned.
func (r *runner) deployments(v *projections.View) explain.Table {
	r.learn()
	list := explain.Deployments(v, explain.Filter{}, nil).Items
	for i := range list {
		list[i].ID = r.names.replace(list[i].ID)
	}
	return explain.DeploymentsTable(list, false)
}
