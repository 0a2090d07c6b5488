package resource

import (
	"fmt"

	"github.com/droverhq/drover/api/resource/strictyaml"
	"github.com/droverhq/drover/domain"
)

// decode reads one document. It returns ok only if there was no problem.
func decode(src *strictyaml.Source, v *strictyaml.Value, found *strictyaml.Findings) (doc Document, ok bool) {
	var head header
	var kind *row
	if named := v.Get("kind"); named != nil {
		kind = Kind(named.Text).row()
	}
	d := &strictyaml.Decoder{Source: src, Found: found, Mapping: kind.mapping}
	d.Decode(v, "", &head, strictyaml.Rules{
		Example: func() any { return &header{APIVersion: APIVersion, Kind: Environment, Metadata: metadata{"name"}} },
		Check:   func(example any) (reason, hint string) { return split(example.(*header).check(kind)) }, //nolint:forcetypeassert // as made above
	})
	if kind == nil {
		return Document{}, false
	}
	if head.Spec == nil {
		head.Spec = &strictyaml.Value{Shape: strictyaml.Mapping, At: v.At}
	}
	read := kind.empty()
	d.Decode(head.Spec, "spec", read, strictyaml.Rules{
		Example: func() any { return kind.withDefaults() },
		Check:   func(example any) (reason, hint string) { return split(example.(kindSpec).check()) }, //nolint:forcetypeassert // as made above
	})
	doc = of(read.command(head.Metadata.Name, domain.Origin{}))
	doc.File, doc.Line, doc.src, doc.locations = src.Name, v.At.Line, src, d.Locations
	if !d.Failed {
		doc.checkAsWhole(d)
	}
	return doc, !d.Failed
}

// checkAsWhole checks the keys in combination, after each key was checked alone.
func (d Document) checkAsWhole(in *strictyaml.Decoder) {
	if r := d.spec.check(); r != nil {
		at, ok := in.Locations["spec.steps"]
		if !ok {
			at = in.Locations["spec"]
		}
		in.Report(at, r.Reason, r.Hint)
	}
}

// split returns the reason and the hint of a rejection.
func split(r *domain.Rejection) (reason, hint string) {
	if r == nil {
		return "", ""
	}
	return r.Reason, r.Hint
}

// check returns why the header is invalid. kind is nil if the kind of the document is unknown.
func (h *header) check(kind *row) *domain.Rejection {
	noun := "metadata.name"
	if kind != nil {
		noun = kind.noun
	}
	switch {
	case h.APIVersion != APIVersion:
		return invalid("write "+APIVersion, "unsupported apiVersion %.80q", h.APIVersion)
	case h.Kind.row() == nil:
		return invalid(strictyaml.DidYouMean(string(h.Kind), kindNames()), "unknown kind %.80q", h.Kind)
	}
	return domain.CheckName(noun, h.Metadata.Name)
}

func kindNames() []string {
	var names []string
	for _, k := range Kinds() {
		names = append(names, string(k))
	}
	return names
}

// mapping returns the end of the message about an unknown key in the mapping at path.
func (r *row) mapping(path string) string {
	switch {
	case path == "":
		return " in a document"
	case r == nil:
		return " in " + path
	case r.kind == Environment && path == "spec":
		return ": the spec of an Environment has no keys"
	}
	return fmt.Sprintf(" in %s of a %s", path, r.kind)
}
