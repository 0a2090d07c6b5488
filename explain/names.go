package explain

import (
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections"
)

// Names are what persons are called, by their ids. They are not in the log: they are stored beside it, where they can be
// erased.
type Names map[string]string

// ErasedPerson stands for a person whose name was erased, or never known.
const ErasedPerson = "erased person"

// Who says who asked for something; empty where nobody did.
func (n Names) Who(o domain.Origin) string {
	if o.Actor.Kind != domain.PersonActor {
		return o.By
	}
	if name := n[o.Actor.ID]; name != "" {
		return name
	}
	return ErasedPerson
}

// by says who asked, at the end of a sentence; empty where nobody did.
func (n Names) by(o domain.Origin) string {
	if who := n.Who(o); who != "" {
		return ", by " + who
	}
	return ""
}

// People lists everybody whose name is known, by id.
func People(v *projections.View, names Names, f Filter) List[Person] {
	return page(v, f.Limit, namesAfter(names, f.After), func(id string) (Person, bool) {
		return Person{ID: id, Name: names[id]}, true
	}, nil)
}
