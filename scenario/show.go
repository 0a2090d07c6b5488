package scenario

import (
	"context"
	"fmt"
	"reflect"
	"slices"

	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections"
)

// showLog prints the events of the log.
func (r *runner) showLog(b *block) ([]string, error) {
	_, values, err := r.header(b, 0, "from", "stream")
	if err != nil {
		return nil, err
	}
	var from eventlog.Position
	if text := values["from"]; text != "" {
		var ok bool
		if from, ok = r.position(text); !ok || from == 0 {
			return nil, r.wrong("use from=#12 or from=#09:00:05", "invalid position from=%.40s", text)
		}
		from--
	}
	r.learn()
	var lines []string
	for _, rec := range r.after(from) {
		if stream := values["stream"]; stream == "" || stream == rec.Stream {
			lines = append(lines, formatTime(rec.Time.Sub(day))+" "+r.describe(rec))
		}
	}
	return lines, nil
}

// replay folds the log again with several page sizes and compares the result with the views of the servers.
func (r *runner) replay(b *block) ([]string, error) {
	if _, _, err := r.header(b, 0); err != nil {
		return nil, err
	}
	if lines := r.viewDifferences(); len(lines) > 0 {
		return lines, nil
	}
	return []string{fmt.Sprintf("the same view of #1..#%s", r.head())}, nil
}

// viewDifferences describes how views of the same log differ. It returns nothing if they are equal. Servers read nothing
// for it: each view is compared with a fold up to its own position.
func (r *runner) viewDifferences() []string {
	views := map[string]*projections.View{}
	for _, cut := range []int{1, 3, 0} {
		views[fmt.Sprintf("pages of %d", cut)] = foldUpTo(r.ctx, r.log, r.head(), cut)
	}
	for _, s := range r.servers {
		if !s.down && s.paused == nil {
			views["server "+s.name] = s.fold()
		}
	}
	var lines []string
	for _, name := range sortedKeys(views) {
		v := views[name]
		reference := foldUpTo(r.ctx, r.log, v.Position, 0)
		reference.Doubts = v.Doubts // they are not folded
		if reference.Position < v.Position || reflect.DeepEqual(v, reference) {
			continue // the log was restored, and the server has not noticed it yet; or the views are equal
		}
		lines = append(lines, "replay   "+name+" gives another view")
		for _, d := range difference(outline(reference), outline(v)) {
			if d[0] != ' ' {
				lines = append(lines, "replay   "+d)
			}
		}
	}
	return lines
}

// foldUpTo folds the log up to a position, in pages of cut events; 0 means one page.
func foldUpTo(ctx context.Context, log eventlog.Log, last eventlog.Position, cut int) *projections.View {
	v := engine.CurrentRules().NewView()
	for {
		before := v.Position
		for rec, err := range log.ReadAll(ctx, v.Position, cut) {
			if err != nil || rec.Position > last {
				break
			}
			v.Apply(rec)
		}
		v.Touched()
		if v.Position == before {
			return v
		}
	}
}

// outline lists the parts of a view on which decisions depend, one on each line.
func outline(v *projections.View) []string {
	lines := []string{"position " + v.Position.String()}
	for _, name := range sortedKeys(v.Machines) {
		m := v.Machines[name]
		lines = append(lines, fmt.Sprintf("machine %s in %s: %s, health %s, absent %s", name, m.Environment,
			m.Presence(), m.Health, m.Absence))
		for _, project := range sortedKeys(v.Projects) {
			p := v.Projects[project]
			count, _ := v.Attempts(p, m)
			lines = append(lines, fmt.Sprintf("machine %s, project %s: wanted %s, actual %s, dirty %v, held %v, attempts %d, "+
				"candidates %d, sweep %v",
				name, project, v.Wanted(p, m), v.Actual(p, m), v.Dirty(p, m), m.HoldApplies(project), count,
				len(v.Candidates(p, m)), slices.Contains(p.Sweep(), name)))
		}
	}
	for _, d := range v.OpenDeployments() {
		for _, name := range d.Order {
			lines = append(lines, fmt.Sprintf("deployment %s on %s: %s %s", d.ID, name,
				d.Parts[name].State, d.Parts[name].Reason))
		}
	}
	return lines
}
