package explain

import (
	"cmp"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections"
)

// Names maps the ids of people to their names. An erased name is empty. Names are stored beside the log, not in it, so
// that they can be erased. Nil means that the names could not be read; ids are shown instead.
type Names map[string]string

// ErasedPerson is shown for a person whose name was erased or never known.
const ErasedPerson = "erased person"

// Who returns the name of the person or system that requested something, with the name that their token had then. It is
// empty if nobody did.
func (n Names) Who(o domain.Origin) string {
	token := o.Actor.TokenName
	switch {
	case o.Actor.Kind == domain.TokenActor && token != "":
		return "token " + token
	case o.Actor.Kind != domain.PersonActor:
		return o.By
	}
	who := "person " + o.Actor.ID
	if n != nil {
		who = cmp.Or(n[o.Actor.ID], ErasedPerson)
	}
	if token != "" {
		who += " (token " + token + ")"
	}
	return who
}

// by returns the end of a sentence that names who requested something. It is empty if nobody did.
func (n Names) by(o domain.Origin) string {
	if who := n.Who(o); who != "" {
		return ", by " + who
	}
	return ""
}

// People returns the people whose names are stored, sorted by id.
func People(v *projections.View, names Names, f Filter) List[Person] {
	return page(v, f, namesAfter(names, f.After), func(id string) (Person, bool) {
		return Person{ID: id, Name: names[id]}, names[id] != ""
	}, nil)
}
