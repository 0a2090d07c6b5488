package cli

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/api/resource/strictyaml"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/explain"
)

// kind is one kind of resource that can be listed.
type kind struct {
	// name is the singular; short lists abbreviations.
	name, plural string
	short        []string
	// inProject reports whether a resource is named PROJECT/NAME.
	inProject bool
	// file reports whether `drover apply` accepts the kind.
	file bool
	// deletable reports whether `drover delete` accepts the kind.
	deletable bool
	// past reports whether --at shows a resource of the kind as it was.
	past bool
	// filters lists the flags that filter a list of this kind.
	filters []string
	// opaque reports whether the names of this kind are ids without meaning for people.
	opaque bool
	list   func(ctx context.Context, a *app, query url.Values, limit int) error
	// names returns one page of names for shell completion, each with a description after a tab.
	names func(q *completion, query url.Values) []string
	one   func(ctx context.Context, a *app, path string) error
	// details returns all fields of one resource as text, and the position of the answer.
	details func(ctx context.Context, a *app, path, after string) (text, position string, err error)
	// fetchList and fetchOne read a list, or one resource, for --watch.
	fetchList func(ctx context.Context, a *app, query url.Values, limit int) (content, error)
	fetchOne  func(ctx context.Context, a *app, path, after string) (content, error)
}

// kindOf completes a kind with the functions for its item type. id returns the name of an item as `get KIND NAME`
// takes it.
func kindOf[T any](k kind, id func(T) string, table func(list []T, wide bool) explain.Table) kind {
	l := listed[T]{kind: k, id: id, table: table}
	k.list, k.names = l.show, l.names
	k.one = func(ctx context.Context, a *app, path string) error {
		var item T
		if err := a.read(ctx, path, nil, &item); err != nil {
			return err
		}
		return l.one(a, item)
	}
	k.details = func(ctx context.Context, a *app, path, after string) (string, string, error) {
		var item T
		position, err := a.readAt(ctx, path, query("after", after), &item)
		if err != nil {
			return "", "", err
		}
		text, err := toYAML(item)
		return string(text), position, err
	}
	k.fetchList, k.fetchOne = l.fetchList, l.fetchOne
	return k
}

// kinds returns the kinds of `drover get`, in the order of its help.
func kinds() []kind {
	return []kind{machineKind, environmentKind, policyKind, projectKind, triggerKind, releaseKind, deploymentKind,
		serverKind, candidateKind, accessKind, tokenKind}
}

func anyKind(kind) bool { return true }

// findKind returns the kind with a singular, plural or short name, ignoring case. The hint of its error lists only the
// accepted kinds.
func findKind(word string, accepted func(kind) bool) (kind, error) {
	var known []string
	for _, k := range kinds() {
		lower := strings.ToLower(word)
		if lower == k.name || lower == k.plural || slices.Contains(k.short, lower) {
			return k, nil
		}
		if accepted(k) {
			known = append(known, k.plural)
		}
	}
	f := &failure{code: exitUsage, kind: "usage", text: "unknown kind " + quoted(word),
		hint: "use " + domain.Enumerate(known, "or")}
	if best := strictyaml.Nearest(word, known); best != "" {
		f.hint = "did you mean " + quoted(best) + "?"
	}
	return kind{}, f
}

// findNamed returns the kind in the arguments KIND and NAME, with the arguments. NAME may begin with the kind, and both may
// be one argument, as -o name prints them: machine/web-01.
func findNamed(args []string) (kind, []string, error) {
	if before, name, found := strings.Cut(args[0], "/"); found && len(args) == 1 {
		args = []string{before, name}
	}
	k, err := findKind(args[0], anyKind)
	if err == nil && len(args) == 2 {
		args = []string{args[0], strings.TrimPrefix(args[1], k.name+"/")}
	}
	return k, args, err
}

// path returns the API path of one resource. A resource in a project is named PROJECT/NAME, or NAME with --project.
func (k kind) path(name, project string) (string, error) {
	if !k.inProject {
		return client.Path(k.plural, name), nil
	}
	if before, after, found := strings.Cut(name, "/"); found && project == "" {
		project, name = before, after
	}
	if project == "" {
		return "", usage("the %s needs a project: write PROJECT/%s, or add --project PROJECT", k.name, name)
	}
	return client.Path(k.plural, project, name), nil
}

// splitName splits PROJECT/NAME.
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
