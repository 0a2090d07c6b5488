package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/droverhq/drover/explain"
)

// pageSize is the number of items per request.
const pageSize = 1000

// listed writes the items of a kind in each format.
type listed[T any] struct {
	kind  kind
	id    func(T) string
	table func(list []T, wide bool) explain.Table
}

// pages calls take for each page until limit items were read. A limit of 0 means all.
func pages[T any](
	ctx context.Context,
	a *app,
	path string,
	q url.Values,
	limit int,
	take func(explain.List[T]) error,
) error {
	for count := 0; ; {
		asked := pageSize
		if limit > 0 {
			asked = min(asked, limit-count)
		}
		q.Set("limit", strconv.Itoa(asked))
		var page explain.List[T]
		if err := a.read(ctx, path, q, &page); err != nil {
			return err
		}
		count += len(page.Items)
		enough := page.Next == "" || page.Next == q.Get("next") || limit > 0 && count >= limit
		if page.Items == nil {
			page.Items = []T{}
		}
		if err := take(page); err != nil || enough {
			return err
		}
		q.Set("next", page.Next)
	}
}

// show writes a list page by page, so that the reader of the output can start, or stop, before all of it is read.
func (l listed[T]) show(ctx context.Context, a *app, q url.Values, limit int) error {
	p := &listWriter[T]{listed: l, app: a, filtered: len(q) > 0}
	if err := pages(ctx, a, "/"+l.kind.plural, q, limit, p.page); err != nil {
		return err
	}
	return p.end()
}

// one writes a single item.
func (l listed[T]) one(a *app, item T) error {
	if a.structured() {
		return a.value(item)
	}
	p := &listWriter[T]{listed: l, app: a}
	if err := p.page(explain.List[T]{Items: []T{item}}); err != nil {
		return err
	}
	return p.end()
}

// names returns the names of one page, for completion in a shell.
func (l listed[T]) names(q *completion, parameters url.Values) (all []string) {
	var list explain.List[T]
	if !q.get("/"+l.kind.plural, parameters, &list) {
		return nil
	}
	rows := l.table(list.Items, false).Rows
	for i, item := range list.Items {
		name := l.id(item)
		if l.kind.opaque {
			name += "\t" + explain.Line(strings.Join(rows[i][1:min(len(rows[i]), 6)], " "))
		}
		all = append(all, name)
	}
	return all
}

// listWriter writes a list page by page.
type listWriter[T any] struct {
	listed[T]
	*app
	// filtered reports whether the user asked for a part of the list.
	filtered bool
	count    int
	// last is the last page, without its items.
	last explain.List[T]
	// all are the rows of a table for a terminal: the widths of its columns are known at its end.
	all explain.Table
}

func (p *listWriter[T]) page(list explain.List[T]) error {
	var b strings.Builder
	err := p.write(&b, list.Items)
	p.count += len(list.Items)
	p.last = explain.List[T]{Next: list.Next, Position: list.Position}
	if list.SearchedAfter != "" {
		p.info("only the events after #%s were searched; --since or a narrower filter finds older ones", list.SearchedAfter)
	}
	if err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	return p.print(b.String())
}

func (p *listWriter[T]) write(b *strings.Builder, items []T) error {
	switch p.output {
	case formatJSON:
		for i, item := range items {
			text, err := json.MarshalIndent(item, "    ", "  ")
			if err != nil {
				return err
			}
			b.WriteString(pick(p.count+i == 0, "{\n  \"items\": [\n    ", ",\n    ") + string(text))
		}
	case formatYAML:
		for i, item := range items {
			text, err := toYAML([]T{item})
			if err != nil {
				return err
			}
			b.WriteString(pick(p.count+i == 0, "items:\n", "") + strings.TrimSuffix(string(text), "\n") + "\n")
		}
	case formatLines:
		for _, item := range items {
			text, err := json.Marshal(item)
			if err != nil {
				return err
			}
			b.WriteString(string(text) + "\n")
		}
	case formatName:
		for _, item := range items {
			b.WriteString(p.kind.name + "/" + p.id(item) + "\n")
		}
	default:
		return p.rows(b, p.table(items, p.output == formatWide))
	}
	return nil
}

// rows writes rows that are separated by tabs, and collects rows of a table for a terminal.
func (p *listWriter[T]) rows(b *strings.Builder, t explain.Table) error {
	if p.output == "" && !isTerminal(p.Out) {
		t.Header = nil
		return t.Write(b, 0)
	}
	if p.all.Rows = append(p.all.Rows, t.Rows...); len(t.Header) > len(p.all.Header) { // see explain.MachinesTable
		p.all.Header = t.Header
	}
	return nil
}

// end writes the rest of the output after the last item.
func (p *listWriter[T]) end() error {
	switch p.output {
	case formatJSON:
		foot := fmt.Sprintf("  \"next\": %s,\n  \"position\": %s\n}\n", asJSON(p.last.Next), asJSON(p.last.Position))
		return p.print(pick(p.count == 0, "{\n  \"items\": [],\n", "\n  ],\n") + foot)
	case formatYAML:
		text, err := toYAML(struct {
			Next     string `json:"next"`
			Position string `json:"position"`
		}{p.last.Next, p.last.Position})
		if err != nil {
			return fmt.Errorf("encode the answer: %w", err)
		}
		return p.print(pick(p.count == 0, "items: []\n", "") + string(text))
	case formatLines, formatName:
		return nil
	}
	if p.count == 0 {
		p.info(pick(p.filtered, "no %s match the filters", "no %s"), p.kind.plural)
	}
	if len(p.all.Rows) > 0 {
		d := tableWriter{style: p.style()}
		if err := p.printRaw(d.draw(p.all)); err != nil {
			return err
		}
	}
	if p.last.Next != "" {
		p.info("there are more; use a larger --limit")
	}
	return nil
}

// asJSON returns text as a JSON string.
func asJSON(text string) string {
	quoted, err := json.Marshal(text)
	if err != nil { // cannot happen
		return `""`
	}
	return string(quoted)
}

func pick(b bool, then, otherwise string) string {
	if b {
		return then
	}
	return otherwise
}
