package scenario

import (
	"bytes"
	"strings"

	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/explain"
	"github.com/droverhq/drover/projections"
)

// why prints what `drover why` prints, for now or for a moment in the past.
func (st *stage) why(b *block) ([]string, error) {
	words, values, err := st.header(b, 2, "at", "server")
	if err != nil {
		return nil, err
	}
	if len(words) == 0 {
		return nil, st.wrong("write: "+blockOf(b.name).usage, "the machine is missing")
	}
	s, err := st.asked(values["server"])
	if err != nil {
		return nil, err
	}
	if values["at"] == "" {
		var lines []string
		s.ReadWithAge(func(v *projections.View, age projections.Age) { lines, err = st.answer(v, age, words) })
		return lines, err
	}
	take, err := st.until(values["at"])
	if err != nil {
		return nil, err
	}
	v, age, err := engine.Replay(st.ctx, st.log, take)
	if err != nil {
		return nil, err
	}
	return st.answer(v, age, words)
}

// asked is a running server that has read all there is.
func (st *stage) asked(name string) (*server, error) {
	s, err := st.running(name)
	if err != nil {
		return nil, err
	}
	return s, s.CatchUp(st.ctx)
}

// until says which events lie before a moment.
func (st *stage) until(text string) (func(eventlog.Recorded) bool, error) {
	if at, ok := parseTime(text); ok {
		return func(rec eventlog.Recorded) bool { return !rec.Time.After(day.Add(at)) }, nil
	}
	position, err := eventlog.ParsePosition(strings.TrimPrefix(text, "#"))
	if err != nil {
		return nil, st.wrong("write at=#12 or at=09:00:30", "invalid at=%.40s", text)
	}
	return func(rec eventlog.Recorded) bool { return rec.Position <= position }, nil
}

func (st *stage) answer(v *projections.View, age projections.Age, words []string) ([]string, error) {
	projects := explain.ProjectsFor(v, words[0])
	if len(words) == 2 {
		projects = words[1:]
	}
	var out bytes.Buffer
	for _, project := range projects {
		past, err := engine.PastOf(st.ctx, st.log, v, words[0], project)
		if err != nil {
			return nil, err
		}
		if err := explain.WhyOf(v, age, project, words[0], past, nil).Text(&out); err != nil {
			return nil, err
		}
	}
	if out.Len() == 0 {
		return []string{"no project looks at machine " + words[0]}, nil
	}
	return strings.Split(out.String(), "\n"), nil
}

// view prints the table of `drover get`: machines, deployments, the parts of one, or candidates.
func (st *stage) view(b *block) ([]string, error) {
	words, values, err := st.header(b, 2, "server")
	if err != nil {
		return nil, err
	}
	s, err := st.asked(values["server"])
	if err != nil {
		return nil, err
	}
	var table explain.Table
	v := s.fold()
	switch {
	case len(words) == 1 && words[0] == "fleet":
		table = explain.MachinesTable(explain.Machines(v, explain.Filter{}).Items, false)
	case len(words) == 1 && words[0] == "deployments":
		table = st.deployments(v)
	case len(words) == 2 && words[0] == "deployments":
		id, err := st.deployment(words[1])
		if err != nil {
			return nil, err
		}
		d, _ := explain.DeploymentOf(v, id, nil)
		table = explain.PartsTable(d.Machines)
	case len(words) == 1 && words[0] == "candidates":
		s.ReadWithAge(func(v *projections.View, age projections.Age) {
			table = explain.CandidatesTable(explain.Candidates(v, age, explain.Filter{}).Items)
		})
	default:
		return nil, st.wrong("write: "+blockOf(b.name).usage, "unknown view")
	}
	if len(table.Rows) == 0 {
		return []string{"none"}, nil
	}
	var out bytes.Buffer
	err = table.Write(&out, explain.Unlimited)
	return strings.Split(out.String(), "\n"), err
}

// deployments is the table with stand-ins for ids, put there before its columns are measured.
func (st *stage) deployments(v *projections.View) explain.Table {
	st.learn()
	list := explain.Deployments(v, explain.Filter{}, nil).Items
	for i := range list {
		list[i].ID = st.names.replace(list[i].ID)
	}
	return explain.DeploymentsTable(list, false)
}
