package cli

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/explain"
	"github.com/droverhq/drover/internal/config"
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
	list      func(ctx context.Context, s *shell, query url.Values, limit int) error
	one       func(ctx context.Context, s *shell, path string) error
	// all shows every key of one.
	all func(ctx context.Context, s *shell, path string) error
}

// pageSize is how many items are asked for at once.
const pageSize = 1000

// kindOf gives a kind its list and its table. id is the name of an item, as `get KIND NAME` takes it.
func kindOf[T any](k kind, id func(T) string, table func(list []T, wide bool) explain.Table) kind {
	k.list = func(ctx context.Context, s *shell, q url.Values, limit int) error {
		list, err := pages[T](ctx, s, "/"+k.plural, q, limit)
		if err != nil {
			return err
		}
		return showList(s, k, id, table, list)
	}
	k.one = func(ctx context.Context, s *shell, path string) error {
		var item T
		if err := s.read(ctx, path, nil, &item); err != nil {
			return err
		}
		if s.structured() {
			return s.value(item)
		}
		return showList(s, k, id, table, explain.List[T]{Items: []T{item}})
	}
	k.all = func(ctx context.Context, s *shell, path string) error {
		var item T
		if err := s.read(ctx, path, nil, &item); err != nil {
			return err
		}
		text, err := toYAML(item)
		if err != nil {
			return fmt.Errorf("encode the answer: %w", err)
		}
		return s.print(string(text))
	}
	return k
}

// pages asks for page after page until limit items are there; limit 0 is all.
func pages[T any](ctx context.Context, s *shell, path string, q url.Values, limit int) (explain.List[T], error) {
	all := explain.List[T]{Items: []T{}}
	for {
		size := pageSize
		if limit > 0 {
			size = min(size, limit-len(all.Items))
		}
		q.Set("limit", strconv.Itoa(size))
		var page explain.List[T]
		if err := s.read(ctx, path, q, &page); err != nil {
			return all, err
		}
		all.Items = append(all.Items, page.Items...)
		all.Next, all.Position = page.Next, page.Position
		if page.Next == "" || len(page.Items) == 0 || limit > 0 && len(all.Items) >= limit {
			return all, nil
		}
		q.Set("next", page.Next)
	}
}

func showList[T any](s *shell, k kind, id func(T) string, table func([]T, bool) explain.Table, list explain.List[T]) error {
	switch s.output {
	case formatJSON, formatYAML:
		return s.value(list)
	case formatLines:
		return each(list.Items, func(item T) error { return s.line(item) })
	case formatName:
		return each(list.Items, func(item T) error { return s.print(k.name + "/" + id(item) + "\n") })
	}
	if len(list.Items) == 0 {
		s.say("no %s", k.plural)
	}
	if err := s.table(table(list.Items, s.output == formatWide)); err != nil {
		return err
	}
	if list.Next != "" {
		s.say("there are more; use a larger --limit")
	}
	return nil
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
	if best := config.Nearest(word, known); best != "" {
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
