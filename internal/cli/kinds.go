package cli

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/api/resource/strictyaml"
	"github.com/droverhq/drover/explain"
)

// kind is one kind of things that can be listed.
type kind struct {
	// name is the singular; short are other words for it.
	name, plural string
	short        []string
	// inProject says that a thing is named by its project and its own name.
	inProject bool
	// file says that there is a file for it that `apply` takes.
	file bool
	// deletable says that `delete` knows it.
	deletable bool
	// filters are the flags that a list of this kind can be narrowed by.
	filters []string
	// opaque says that names of this kind say nothing to people: ids.
	opaque bool
	list   func(ctx context.Context, s *shell, query url.Values, limit int) error
	// names are what a shell may complete: a page of names, each with what is to be said of it.
	names func(q *asking, query url.Values) []string
	one   func(ctx context.Context, s *shell, path string) error
	// all is every key of one, as text.
	all func(ctx context.Context, s *shell, path, after string) (text, position string, err error)
	// sight and sightOf look at a list, or at one, to watch it.
	sight   func(ctx context.Context, s *shell, query url.Values, limit int) (sight, error)
	sightOf func(ctx context.Context, s *shell, path, after string) (sight, error)
}

// kindOf gives a kind its list and its table. id is the name of an item, as `get KIND NAME` takes it.
func kindOf[T any](k kind, id func(T) string, table func(list []T, wide bool) explain.Table) kind {
	l := listed[T]{kind: k, id: id, table: table}
	k.list, k.names = l.show, l.names
	k.one = func(ctx context.Context, s *shell, path string) error {
		var item T
		if err := s.read(ctx, path, nil, &item); err != nil {
			return err
		}
		return l.one(s, item)
	}
	k.all = func(ctx context.Context, s *shell, path, after string) (string, string, error) {
		var item T
		position, err := s.readAt(ctx, path, query("after", after), &item)
		if err != nil {
			return "", "", err
		}
		text, err := toYAML(item)
		return string(text), position, err
	}
	k.sight, k.sightOf = l.sight, l.sightOf
	return k
}

// kinds are all that `get` knows, in the order of its help.
func kinds() []kind {
	return []kind{machineKind, environmentKind, policyKind, projectKind, triggerKind, releaseKind, deploymentKind, serverKind, candidateKind}
}

// findKind accepts a kind in singular, plural or short, in any case.
func findKind(word string) (kind, error) {
	var known []string
	for _, k := range kinds() {
		lower := strings.ToLower(word)
		if lower == k.name || lower == k.plural || slices.Contains(k.short, lower) {
			return k, nil
		}
		known = append(known, k.plural)
	}
	f := &failure{code: exitUsage, kind: "usage", text: "unknown kind " + quoted(word), hint: "known are " + strings.Join(known, ", ")}
	if best := strictyaml.Nearest(word, known); best != "" {
		f.hint = "did you mean " + quoted(best) + "?"
	}
	return kind{}, f
}

// path is where one thing of a kind is. What is in a project is named PROJECT/NAME, or NAME with --project.
func (k kind) path(name, project string) (string, error) {
	if !k.inProject {
		return client.Path(k.plural, name), nil
	}
	if before, after, found := strings.Cut(name, "/"); found && project == "" {
		project, name = before, after
	}
	if project == "" {
		return "", usage("a %s is named by its project too: write %s PROJECT/%s, or add --project", k.name, k.name, name)
	}
	return client.Path(k.plural, project, name), nil
}

// splitName parts PROJECT/NAME.
func splitName(name string) (project, own string) {
	project, own, _ = strings.Cut(name, "/")
	return project, own
}

func each[T any](items []T, do func(T) error) error {
	for _, item := range items {
		if err := do(item); err != nil {
			return err
		}
	}
	return nil
}
