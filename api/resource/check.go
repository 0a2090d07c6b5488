package resource

import (
	"fmt"
	"slices"

	"github.com/droverhq/drover/api/resource/strictyaml"
	"github.com/droverhq/drover/domain"
)

// Check reports why the documents cannot be applied to this world together: duplicates, missing references, and
// rejections of the domain. A reference is missing if its target is neither in the world nor among the documents. It
// returns at most MaxProblems problems, in the order of the text.
func Check(docs []Document, world domain.World) Problems {
	found := &strictyaml.Findings{}
	duplicates(docs, found)
	all := combinedWorld{World: world, docs: map[string]Document{}}
	for _, doc := range docs {
		all.docs[doc.String()] = doc
	}
	for _, doc := range Ordered(docs) {
		if doc.checkReferences(all, found) {
			doc.checkCommand(all, found)
		}
	}
	return found.Sorted()
}

// combinedWorld is the world after all documents are applied, as far as references need it.
type combinedWorld struct {
	domain.World
	docs map[string]Document
}

func (t combinedWorld) has(kind Kind, name string) bool {
	_, ok := t.docs[string(kind)+" "+name]
	return ok
}

// Environment reports whether an environment exists or will exist.
func (t combinedWorld) Environment(name string) bool {
	return t.has(Environment, name) || t.World.Environment(name)
}

// Policy returns the settings that a policy will have.
func (t combinedWorld) Policy(name string) *domain.PolicySettings {
	if doc, ok := t.docs[string(MachinePolicy)+" "+name]; ok {
		settings := doc.spec.(*policySpec).settings()
		return &settings
	}
	return t.World.Policy(name)
}

// Project returns a project that exists or will exist.
func (t combinedWorld) Project(name string) *domain.Project {
	if p := t.World.Project(name); p != nil || !t.has(Project, name) {
		return p
	}
	p := domain.NewProject(name)
	p.Settings = t.docs[string(Project)+" "+name].spec.(*projectSpec).settings()
	return p
}

// known returns the names of the documents of a kind, and of the environments that exist, for hints.
func (t combinedWorld) known(kind Kind) []string {
	var names []string
	if kind == Environment {
		names = t.Environments()
	}
	for _, doc := range t.docs {
		if doc.Kind == kind {
			names = append(names, doc.Name)
		}
	}
	slices.Sort(names) // makes messages deterministic
	return names
}

// checkReferences reports each missing reference at its location.
func (d Document) checkReferences(all combinedWorld, found *strictyaml.Findings) bool {
	ok := true
	missing := func(path string, kind Kind, what, name string) {
		ok = false
		hint := fmt.Sprintf("apply it too, or use one that `drover get %s` lists", kind.row().plural)
		if near := strictyaml.Nearest(name, all.known(kind)); near != "" {
			hint = fmt.Sprintf("did you mean %q?", near)
		}
		found.Add(d.problem(path, fmt.Sprintf("%s: %s %.80q does not exist", d, what, name), hint))
	}
	switch s := d.spec.(type) {
	case *projectSpec:
		for name := range s.Overrides.Environments {
			if !all.Environment(name) {
				missing("spec.overrides.environments."+name, Environment, "environment", name)
			}
		}
	case *triggerSpec:
		if all.Project(s.Project) == nil {
			missing("spec.project", Project, "project", s.Project)
		}
		for _, name := range s.Environments {
			if name != "*" && !all.Environment(name) {
				missing("spec.environments/"+name, Environment, "environment", name)
			}
		}
	case *machineSpec:
		if !all.Environment(s.Environment) {
			missing("spec.environment", Environment, "environment", s.Environment)
		}
		if all.Policy(s.Policy) == nil {
			missing("spec.policy", MachinePolicy, "machine policy", s.Policy)
		}
	}
	return ok
}

// checkCommand reports the rejection of the domain, if there is one.
func (d Document) checkCommand(all combinedWorld, found *strictyaml.Findings) {
	if d.spec == nil {
		found.Add(Problem{File: d.File, Line: d.Line, Column: 1, Reason: "the document is empty"})
		return
	}
	if _, r := d.Command(domain.Origin{}).Decide(all); r != nil {
		found.Add(d.problem("metadata.name", r.Reason, r.Hint))
	}
}
