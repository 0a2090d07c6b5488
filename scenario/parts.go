package scenario

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/explain"
	"github.com/droverhq/drover/projections"
)

// parts prints the parts of a deployment with their steps and causes.
func (r *runner) parts(v *projections.View, id domain.ID) []string {
	d := v.Deployments[id]
	var lines []string
	for _, name := range d.Order {
		part := d.Parts[name]
		lines = append(lines, fmt.Sprintf("%s  %s%s", name, part.State, domain.InParentheses(string(part.Reason))))
		lines = append(lines, r.partSteps(d, part)...)
		lines = append(lines, partCauses(d, part)...)
	}
	return lines
}

// partCauses prints why the machine got a part: the triggers with the events, or who asked.
func partCauses(d *projections.Deployment, part *projections.Part) []string {
	if len(part.Triggers) == 0 {
		return []string{"  by      " + explain.Names(nil).Who(d.Facts.Origin)}
	}
	lines := []string{"  by      trigger " + strings.Join(part.Triggers, ", ")}
	for i, cause := range part.Causes {
		label := "        "
		if i == 0 {
			label = "causes  "
		}
		lines = append(lines, fmt.Sprintf("  %s#%s %s", label, cause.Position, cause.Category))
	}
	return lines
}

// partSteps prints the steps of a part. Steps run one after the other, so those before a failed one have succeeded.
func (r *runner) partSteps(d *projections.Deployment, part *projections.Part) []string {
	if d.Content == nil {
		return nil
	}
	end := r.partEnd(part)
	failed := slices.IndexFunc(d.Content.Steps, func(s domain.Step) bool { return s.Name == end.Step })
	var lines []string
	for i, s := range d.Content.Steps {
		lines = append(lines, fmt.Sprintf("  step %d  %s: %s", i+1, s.Name, stepState(part, end, i, failed)))
	}
	if failed < 0 && end.Step != "" {
		lines = append(lines, fmt.Sprintf("  step    %s: %s", end.Step, failure(end)))
	}
	return lines
}

func stepState(part *projections.Part, end domain.PartEnded, i, failed int) string {
	switch {
	case part.State == domain.PartSucceeded, part.Verifying > 0: // the agent reported its success
		return "succeeded"
	case part.Claimed == 0:
		return "not run"
	case part.State != domain.PartFailed || failed < 0:
		return "unknown"
	case i < failed:
		return "succeeded"
	case i > failed:
		return "not run"
	}
	return failure(end)
}

func failure(end domain.PartEnded) string {
	text := fmt.Sprintf("failed, exit code %d", end.ExitCode)
	if end.Detail != "" {
		text += domain.InParentheses(end.Detail)
	}
	return text
}

// partEnd returns the event that ended a part. It is empty if the part is open, or was withdrawn.
func (r *runner) partEnd(part *projections.Part) domain.PartEnded {
	if part.EndedAt == 0 {
		return domain.PartEnded{}
	}
	for rec, err := range r.log.ReadAll(r.ctx, part.EndedAt-1, 1) {
		if err != nil {
			break
		}
		if e, err := domain.Decode(rec.Type, rec.Data); err == nil {
			end, _ := e.(domain.PartEnded)
			return end
		}
	}
	return domain.PartEnded{}
}

// stepName returns the name of the step that a report of a failure names: its name, or its number in the release.
func (r *runner) stepName(v *projections.View, id domain.ID, word string) (string, error) {
	number, err := strconv.Atoi(word)
	d := v.Deployments[id]
	if err != nil || d == nil || d.Content == nil {
		return word, nil
	}
	steps := d.Content.Steps
	if slices.ContainsFunc(steps, func(s domain.Step) bool { return s.Name == word }) {
		return word, nil
	}
	if number < 1 || number > len(steps) {
		return "", r.wrongWord(word, fmt.Sprintf("use its name, or a number from 1 to %d", len(steps)),
			"release %s of %s has no step %d", d.Release, d.Project.Name, number)
	}
	return steps[number-1].Name, nil
}
