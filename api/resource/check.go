package resource

import (
	"fmt"

	"github.com/droverhq/drover/domain"
)

// Check asks whether all documents could be applied to this world, in any order of files: what they
// name must be there or among them, and the domain must refuse none. It tells every problem it finds,
// up to MaxProblems, before anything is written. Apply in the order of Ordered.
func Check(docs []Document, world domain.World) Problems {
	found := &findings{}
	repeats(docs, found)
	all := together{World: world, docs: map[string]Document{}}
	for _, doc := range docs {
		all.docs[doc.String()] = doc
	}
	for _, doc := range Ordered(docs) {
		if doc.checkReferences(all, found) {
			doc.checkCommand(all, found)
		}
	}
	return found.sorted()
}

// together is the world as it will be once all documents are applied, as far as references need it.
type together struct {
	domain.World
	docs map[string]Document
}

func (t together) has(kind Kind, name string) bool {
	_, ok := t.docs[string(kind)+" "+name]
	return ok
}

// Environment finds those of the documents too.
func (t together) Environment(name string) bool {
	return t.has(Environment, name) || t.World.Environment(name)
}

// Policy finds those of the documents too.
func (t together) Policy(name string) *domain.PolicySettings {
	if doc, ok := t.docs[string(MachinePolicy)+" "+name]; ok {
		settings := doc.command.(domain.ApplyPolicy).Settings
		return &settings
	}
	return t.World.Policy(name)
}

// Project finds those of the documents too.
func (t together) Project(name string) *domain.Project {
	if p := t.World.Project(name); p != nil || !t.has(Project, name) {
		return p
	}
	p := domain.NewProject(name)
	p.Settings = t.docs[string(Project)+" "+name].command.(domain.ApplyProject).Settings
	return p
}

// known lists the names of a kind among the documents, for hints.
func (t together) known(kind Kind) []string {
	var names []string
	for _, doc := range t.docs {
		if doc.Kind == kind {
			names = append(names, doc.Name)
		}
	}
	return sorted(names)
}

// checkReferences looks up what the document names, each at its own place.
func (d Document) checkReferences(all together, found *findings) bool {
	ok := true
	missing := func(path string, kind Kind, what, name string) {
		ok = false
		hint := fmt.Sprintf("apply it too, or `drover get %s` lists those that are there", plural(kind))
		if near := nearest(name, all.known(kind)); near != "" {
			hint = fmt.Sprintf("did you mean %q?", near)
		}
		found.add(d.problem(path, fmt.Sprintf("%s: %s %.80q does not exist", d, what, name), hint))
	}
	switch c := d.command.(type) {
	case domain.ApplyTrigger:
		if all.Project(c.Project) == nil {
			missing("spec.project", Project, "project", c.Project)
		}
		for _, name := range c.Settings.Environments {
			if name != "*" && !all.Environment(name) {
				missing("spec.environments/"+name, Environment, "environment", name)
			}
		}
	case domain.ApplyMachine:
		if !all.Environment(c.Environment) {
			missing("spec.environment", Environment, "environment", c.Environment)
		}
		if all.Policy(c.Policy) == nil {
			missing("spec.policy", MachinePolicy, "machine policy", c.Policy)
		}
	}
	return ok
}

func plural(kind Kind) string {
	switch kind {
	case MachinePolicy:
		return "policies"
	case Project:
		return "projects"
	}
	return "environments"
}

// checkCommand asks the domain, whose rules are the last word.
func (d Document) checkCommand(all together, found *findings) {
	if d.command == nil {
		found.add(Problem{File: d.File, Line: d.Line, Column: 1, Reason: "the document describes nothing"})
		return
	}
	if _, r := d.command.Decide(all); r != nil {
		found.add(d.problem("metadata.name", r.Reason, r.Hint))
	}
}
