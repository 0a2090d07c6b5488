package query

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/api/problem"
	"github.com/droverhq/drover/api/resource"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/explain"
	"github.com/droverhq/drover/projections"
)

// Change is what an apply would do to one resource.
type Change struct {
	Kind   string   `json:"kind"`
	Name   string   `json:"name"`   // PROJECT/NAME for a trigger
	Change string   `json:"change"` // created, changed, unchanged
	Diff   []string `json:"diff"`   // the changes as lines, for people
	// Changes are the differences between the resource and the document.
	Changes []resource.Delta `json:"changes"`
	// Effects are the deployments that the change makes due, after the changes before it. Only a dry run with few changes
	// has them.
	Effects *explain.Effects `json:"effects,omitempty"`
}

// CheckFiles checks all references between documents and existing resources. It returns resource.Problems.
func (q *Queries) CheckFiles(docs []resource.Document) error {
	var wrong resource.Problems
	q.cfg.Engine.Read(func(v *projections.View) { wrong = resource.Check(docs, v.World()) })
	if len(wrong) > 0 {
		return wrong
	}
	return nil
}

// CheckPermissions returns a problem unless the caller may apply all documents. It lists what is missing for each.
func (q *Queries) CheckPermissions(caller domain.Principal, docs []resource.Document) error {
	var missing []client.ProblemPlace
	var first *domain.Rejection
	q.cfg.Engine.Read(func(v *projections.View) {
		for _, d := range docs {
			command := d.Command(domain.Origin{})
			if command == nil { // CheckFiles reports the empty document
				continue
			}
			known := len(missing)
			for _, need := range command.Needs(v.World()) {
				if need.Trigger != "" && len(missing) > known {
					break // a caller who may not create the trigger does not learn whether it exists
				}
				if r := caller.Refuse(need); r != nil {
					first = cmp.Or(first, r)
					missing = append(missing, client.ProblemPlace{Location: d.String(), Message: d.String() + ": " + r.Reason})
				}
			}
		}
	})
	if first == nil {
		return nil
	}
	if len(docs) == 1 && len(missing) == 1 {
		return first
	}
	p := problem.Forbidden("%s may not apply all documents; nothing was written", caller.Name).WithHint("%s", first.Hint)
	p.Places = missing[:min(len(missing), resource.MaxProblems)]
	return p
}

// Changes compares documents with the existing resources. It also returns the deployments that are due now, without the
// documents.
func (q *Queries) Changes(docs []resource.Document) (changes []Change, due []explain.Due) {
	changes = []Change{}
	q.cfg.Engine.ReadWithAge(func(v *projections.View, age projections.Age) {
		due = explain.DueNow(v, age)
		for _, d := range docs {
			changes = append(changes, changeOf(v, d))
		}
	})
	return changes, due
}

// changeOf compares a document with what exists.
func changeOf(v *projections.View, d resource.Document) Change {
	old, exists := current(v, string(d.Kind), d.Project(), d.Name)
	deltas := resource.Compare(old, d)
	change := Change{Kind: string(d.Kind), Name: d.Name, Change: "changed", Diff: resource.Diff(deltas), Changes: deltas}
	if d.Project() != "" {
		change.Name = d.Project() + "/" + d.Name
	}
	switch {
	case !exists:
		change.Change = "created"
	case len(deltas) == 0:
		change.Change = "unchanged"
	}
	return change
}

// current returns a resource as a document, and whether it exists. kind is spelled as in files or as in the API.
func current(v *projections.View, kind, project, name string) (d resource.Document, ok bool) {
	switch strings.ToLower(kind) {
	case "environment":
		return resource.FromEnvironment(name), v.Environments[name] != nil
	case "machinepolicy", "policy":
		settings := v.World().Policy(name)
		if settings == nil {
			return d, false
		}
		return resource.FromPolicy(name, *settings), v.Policies[name] != nil || name == domain.DefaultPolicy
	case "project":
		if p := v.Projects[name]; p != nil {
			return resource.FromProject(&p.Project), true
		}
	case "trigger":
		if p := v.Projects[project]; p != nil && p.Triggers[name] != nil {
			return resource.FromTrigger(project, p.Triggers[name]), true
		}
	case "access":
		if a := v.World().Accesses().Get(name); a != nil {
			return resource.FromAccess(a), true
		}
	case "machine":
		if m := v.Machines[name]; m != nil {
			return resource.FromMachine(&m.Machine), true
		}
	}
	return d, false
}

var resourceKinds = []string{"environment", "machinepolicy", "project", "trigger", "machine", "access"}

// ResourceFile returns the YAML file of one resource of a kind.
func (q *Queries) ResourceFile(ctx context.Context, kind string, in Item) (text []byte, err error) {
	see, project, name := in.Sees, in.Project, in.Name
	if !slices.Contains(append(resourceKinds, "policy"), kind) {
		return nil, problem.NotFound("unknown kind %.40q", kind).
			WithHint("use one of %s", strings.Join(resourceKinds, ", "))
	}
	if kind == "trigger" && project == "" {
		return nil, errNoProject()
	}
	var out bytes.Buffer
	found := false
	looked := q.look(ctx, in.At, func(v *projections.View) {
		var d resource.Document
		if d, found = current(v, kind, project, name); found && seesResource(v, see, kind, project, name) {
			if kind == "project" && see != nil {
				p := v.Projects[name].Project
				p.Settings = see.Settings(name, p.Settings)
				d = resource.FromProject(&p)
			}
			err = resource.Write(&out, d)
		} else {
			found = false
		}
	})
	switch missing := problem.NotFound("%s %.80q does not exist", kind, name); {
	case looked != nil || err != nil:
		return nil, cmp.Or(looked, err)
	case !found && in.At != "":
		return nil, didNotExistAt(missing, in.At)
	case !found:
		return nil, missing
	}
	return out.Bytes(), nil
}

// seesResource reports whether a reader may see an existing resource.
func seesResource(v *projections.View, see explain.Sees, kind, project, name string) bool {
	switch {
	case see == nil:
		return true
	case kind == "machine":
		return see("", v.Machines[name].Environment)
	case kind == "environment":
		return see("", name)
	case kind == "project":
		return see(name, "")
	case kind == "trigger":
		return see.SeesTrigger(project, v.Projects[project].Triggers[name].Settings)
	}
	return false
}

// errNoProject returns the problem of a trigger without a project.
func errNoProject() error {
	return problem.Invalid("the project of the trigger is missing").WithHint("add ?project=NAME")
}

// DueList lists what would be deployed.
type DueList struct {
	Items    []explain.Due `json:"items"`
	Position string        `json:"position"`
}

// Due returns what the next tick would deploy. If a project is given, it returns instead what would be due if that
// project were enabled, or the given trigger of it.
func (q *Queries) Due(see explain.Sees, project, trigger string) (DueList, error) {
	if trigger != "" && project == "" {
		return DueList{}, errNoProject()
	}
	return withAges(q, func(v *projections.View, age projections.Age) DueList {
		due := explain.DueNow(v, age)
		if project != "" {
			due = explain.DueIfEnabled(v, age, project, trigger)
		}
		return DueList{Items: explain.LimitDue(see, due), Position: v.Position.String()}
	}), nil
}

// Reach returns the machines that a deployment would reach now, or the rejection of the deployment as the caller may see
// it.
func (q *Queries) Reach(caller domain.Principal, deploy domain.Deploy) (reach explain.Reach, position eventlog.Position, err error) {
	q.cfg.Engine.Read(func(v *projections.View) {
		if _, rejection := deploy.Decide(v.World()); rejection != nil {
			err = rejection.For(caller)
			return
		}
		reach, position = explain.ReachOf(v, deploy), v.Position
	})
	return reach, position, err
}
