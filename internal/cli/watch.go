package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/explain"
	"github.com/droverhq/drover/internal/clock"
)

const (
	// refreshEvery is the interval of refreshes without an event: verdicts can change with time alone.
	refreshEvery = 15 * time.Second
	// reconnectEvery is the interval of attempts to reach a server again.
	reconnectEvery = time.Second
	// refreshGap is the minimum pause between two refreshes; after a slow refresh the pause is longer.
	refreshGap = 200 * time.Millisecond
)

// content is the result of one fetch.
type content struct {
	// position is the log position of the content.
	position string
	// name is the text for an empty content: "no machines".
	name   string
	header []string
	items  []entry
}

// entry is one resource of a content.
type entry struct {
	key, name string   // name is the form of -o name
	row       []string // the table row; if nil, text is shown
	text      string   // already formatted
	value     any
}

// fetchFunc reads the watched resources at the position after, or later.
type fetchFunc func(ctx context.Context, after string) (content, error)

// watcher implements --watch. On a terminal it redraws all content, otherwise it appends what has changed.
type watcher struct {
	*app
	fetch  fetchFunc
	after  string
	shown  map[string]string
	sheet  tableWriter
	redraw bool
	lost   bool
	pause  time.Duration
}

func watchFlag(cmd *cobra.Command, watch *bool) {
	cmd.Flags().BoolVarP(watch, "watch", "w", false,
		"keep running and print changes: redraw on a terminal, otherwise append changed lines; with -o json or "+
			"jsonl one object per line")
}

// watch prints the result of fetch after every event until ctx is cancelled. If the connection is lost, it waits for a
// server.
func (a *app) watch(ctx context.Context, fetch fetchFunc) error {
	w := &watcher{app: a, fetch: fetch, shown: map[string]string{}, sheet: tableWriter{style: a.style()},
		redraw: isTerminal(a.Out) && supportsEscapes() && !a.structured() && a.output != formatName}
	if err := w.refresh(ctx); err != nil { // a missing resource is an error only in the first fetch
		return ignoreCancelled(ctx, err)
	}
	a.noRetry = true
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	positions, gone, broken := make(chan string, 1), make(chan error, 1), make(chan error, 1)
	c, err := a.connect(ctx)
	if err != nil {
		return err
	}
	c.OnDisconnect = func(err error) { offer(gone, err) }
	go func(after string) { broken <- follow(ctx, c, after, positions) }(w.after)
	for {
		timer := time.NewTimer(pickTime(w.lost, reconnectEvery, refreshEvery))
		select {
		case <-ctx.Done():
			return nil
		case err := <-broken:
			return ignoreCancelled(ctx, err)
		case err := <-gone:
			w.reportLost(err)
		case w.after = <-positions:
		case <-timer.C:
		}
		timer.Stop()
		if clock.Sleep(ctx, max(refreshGap, w.pause)) != nil {
			return nil
		}
		switch err := w.refresh(ctx); {
		case err == nil:
		case asFailure(err).kind == client.Unavailable:
			w.reportLost(err)
		default:
			return ignoreCancelled(ctx, err)
		}
	}
}

// ignoreCancelled returns nil if ctx is cancelled, because that is how a user ends --watch, and otherwise err.
func ignoreCancelled(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func pickTime(b bool, then, otherwise time.Duration) time.Duration {
	if b {
		return then
	}
	return otherwise
}

// follow sends the position of each event to positions. A newer position replaces one that was not received yet.
func follow(ctx context.Context, c *client.Client, after string, positions chan string) error {
	return c.Follow(ctx, client.Path("events", "stream"), query("after", after), "", func(m client.Message) error {
		select {
		case <-positions:
		default:
		}
		offer(positions, m.ID)
		return nil
	})
}

// offer sends a value unless the channel is full.
func offer[T any](to chan T, what T) {
	select {
	case to <- what:
	default:
	}
}

// reportLost prints once that the connection to the server is lost.
func (w *watcher) reportLost(err error) {
	if !w.lost {
		w.lost = true
		why := "the server closed the connection"
		if err != nil {
			why = asFailure(err).text
		}
		w.info("connection to the server lost: %s; waiting for a server", why)
	}
}

// refresh fetches the content and prints what has changed.
func (w *watcher) refresh(ctx context.Context) error {
	begun := time.Now()
	now, err := w.fetch(ctx, w.after)
	if err != nil {
		return err
	}
	w.pause = 2 * time.Since(begun)
	w.after = cmp.Or(now.position, w.after)
	if w.lost {
		w.lost = false
		w.info("connected again")
	}
	changed, left := w.compare(now)
	switch {
	case w.redraw:
		return w.screen(now)
	case len(w.shown) == 0 && len(left) == 0:
		w.info("%s", now.name)
	}
	return w.add(now.header, changed, left)
}

// compare returns the entries that differ from what was shown, and the keys of entries that no longer exist.
func (w *watcher) compare(now content) (changed []entry, left []string) {
	there := map[string]bool{}
	for _, item := range now.items {
		there[item.key] = true
		text := item.text + strings.Join(item.row, "\t")
		if w.structured() {
			line, _ := json.Marshal(item.value) // an error here occurs again when the entry is written
			text = string(line)
		}
		if before, known := w.shown[item.key]; !known || before != text {
			w.shown[item.key] = text
			changed = append(changed, item)
		}
	}
	for key := range w.shown {
		if !there[key] {
			left = append(left, key)
			delete(w.shown, key)
		}
	}
	return changed, left
}

// add appends what has changed to the output.
func (w *watcher) add(header []string, changed []entry, left []string) error {
	t := explain.Table{Header: header}
	for _, item := range changed {
		var err error
		switch {
		case w.output == formatYAML:
			err = w.document(item.value)
		case w.structured():
			err = w.line(item.value)
		case w.output == formatName:
			err = w.print(item.name + "\n")
		case item.row == nil:
			err = w.printRaw(item.text + "\n")
		default:
			t.Rows = append(t.Rows, item.row)
		}
		if err != nil {
			return err
		}
	}
	for _, key := range left {
		if w.structured() {
			if err := w.line(map[string]any{"name": key, "gone": true}); err != nil {
				return err
			}
			continue
		}
		t.Rows = append(t.Rows, []string{key, "gone"})
	}
	switch {
	case len(t.Rows) == 0:
		return nil
	case w.output == "" && !isTerminal(w.Out):
		t.Header = nil
		return t.Write(w.Out, 0)
	}
	return w.printRaw(w.sheet.draw(t))
}

// screen redraws the terminal from its first line, cut to its height.
func (w *watcher) screen(now content) error {
	d := tableWriter{style: w.style()}
	t := explain.Table{Header: now.header}
	text := ""
	for _, item := range now.items {
		text += item.text
		if item.row != nil {
			t.Rows = append(t.Rows, item.row)
		}
	}
	switch {
	case len(now.items) == 0:
		text = now.name + "\n"
	case len(t.Rows) > 0:
		text += d.draw(t)
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if _, most := terminalSize(w.Out); most != explain.Unlimited && len(lines) > most-1 {
		more := fmt.Sprintf("… %d more lines", len(lines)-most+2)
		lines = append(lines[:max(most-2, 0)], more)
	}
	return w.printRaw("\x1b[H" + strings.Join(lines, "\x1b[K\n") + "\x1b[K\n\x1b[J")
}

// fetchList reads a whole list.
func (l listed[T]) fetchList(ctx context.Context, a *app, q url.Values, limit int) (content, error) {
	now := content{name: "no " + l.kind.plural}
	q.Del("next")
	err := pages(ctx, a, "/"+l.kind.plural, q, limit, func(page explain.List[T]) error {
		if now.position == "" {
			now.position = page.Position
		}
		l.addItems(&now, page.Items, a.output == formatWide)
		return nil
	})
	return now, err
}

// fetchOne reads one resource. A resource that was deleted after the first fetch gives an empty content.
func (l listed[T]) fetchOne(ctx context.Context, a *app, path, after string) (content, error) {
	var item T
	now := content{name: "the " + l.kind.name + " does not exist"}
	position, err := a.readAt(ctx, path, query("after", after), &item)
	if err != nil {
		if after != "" && asFailure(err).code == exitMissing {
			return now, nil
		}
		return now, err
	}
	now.position = position
	l.addItems(&now, []T{item}, a.output == formatWide)
	return now, nil
}

// addItems adds items to a content.
func (l listed[T]) addItems(now *content, items []T, wide bool) {
	t := l.table(items, wide)
	now.header = t.Header
	for i, item := range items {
		now.items = append(now.items, entry{key: l.id(item), name: l.kind.name + "/" + l.id(item), row: t.Rows[i],
			value: item})
	}
}
