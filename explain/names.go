package explain

import (
	"cmp"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections"
)

// Names maps the ids of people to their names; an erased name is empty. They are not in the log: they are stored beside it,
// where they can be erased. Nil means that names could not be read: ids are shown then.
type Names map[string]string

// ErasedPerson stands for a person whose name was erased, or never known.
const ErasedPerson = "erased person"

// Who says who asked for something; empty where nobody did.
func (n Names) Who(o domain.Origin) string {
	if o.Actor.Kind != domain.PersonActor {
		return o.By
	}
	if n == nil {
		return "person " + o.Actor.ID
	}
	return cmp.Or(n[o.Actor.ID], ErasedPerson)
}

// by says who asked, at the end of a sentence; empty where nobody did.
func (n Names) by(o domain.Origin) string {
	if who := n.Who(o); who != "" {
		return ", by " + who
	}
	return ""
}

// People lists the people whose names are stored, by id.
func People(v *projections.View, names Names, f Filter) List[Person] {
	return page(v, f.Limit, namesAfter(names, f.After), func(id string) (Person, bool) {
		return Person{ID: id, Name: names[id]}, names[id] != ""
	}, nil)
}
