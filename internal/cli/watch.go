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
	// lookAnew is when a watched thing is looked at although no event came: what waits can change with time alone.
	lookAnew = 15 * time.Second
	// lookForServer is how often a server that went away is looked for.
	lookForServer = time.Second
	// lookApart is the least time between two looks; after a long look it is longer.
	lookApart = 200 * time.Millisecond
)

// sight is what one look at a watched thing saw.
type sight struct {
	// position is where the log stood; what comes after it may change the sight.
	position string
	// name is what is said where nothing is seen: "no machines".
	name   string
	header []string
	items  []seen
}

// seen is one thing of a sight.
type seen struct {
	key, name string   // name as -o name writes it
	row       []string // nil: text is what is shown of it
	text      string   // drawn already
	value     any
}

// look looks at a thing as it is at the position after, or later.
type look func(ctx context.Context, after string) (sight, error)

// watching shows a thing whenever it has changed: all of it anew on a terminal, else what has changed, below the rest.
type watching struct {
	*shell
	look   look
	after  string
	shown  map[string]string
	sheet  sheet
	redraw bool
	lost   bool
	pause  time.Duration
}

func watchFlag(cmd *cobra.Command, watch *bool) {
	cmd.Flags().BoolVarP(watch, "watch", "w", false, "stay, and show it again whenever it changes: anew on a terminal, else the changed lines; with -o json or jsonl one object a line")
}

// watch shows a thing until the program is told to stop. Events say when to look; a server that goes away is waited for.
func (s *shell) watch(ctx context.Context, look look) error {
	w := &watching{shell: s, look: look, shown: map[string]string{}, sheet: sheet{style: s.style()},
		redraw: isTerminal(s.Out) && clever() && !s.structured() && s.output != formatName}
	if err := w.once(ctx); err != nil { // what is not there at first is a mistake
		return calm(ctx, err)
	}
	s.impatient = true
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	news, gone, broken := make(chan string, 1), make(chan error, 1), make(chan error, 1)
	c, err := s.connect(ctx)
	if err != nil {
		return err
	}
	c.OnDisconnect = func(err error) { offer(gone, err) }
	go func(after string) { broken <- follow(ctx, c, after, news) }(w.after)
	for {
		timer := time.NewTimer(pickTime(w.lost, lookForServer, lookAnew))
		select {
		case <-ctx.Done():
			return nil
		case err := <-broken:
			return calm(ctx, err)
		case err := <-gone:
			w.lose(err)
		case w.after = <-news:
		case <-timer.C:
		}
		timer.Stop()
		if clock.Sleep(ctx, max(lookApart, w.pause)) != nil {
			return nil
		}
		switch err := w.once(ctx); {
		case err == nil:
		case asFailure(err).kind == client.Unavailable:
			w.lose(err)
		default:
			return calm(ctx, err)
		}
	}
}

// calm is err, or nil where the program was told to stop: that is how watching ends.
func calm(ctx context.Context, err error) error {
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

// follow tells of each event's position on news; a newer one takes the place of one that nobody took.
func follow(ctx context.Context, c *client.Client, after string, news chan string) error {
	return c.Follow(ctx, client.Path("events", "stream"), query("after", after), "", func(m client.Message) error {
		select {
		case <-news:
		default:
		}
		offer(news, m.ID)
		return nil
	})
}

func offer[T any](to chan T, what T) {
	select {
	case to <- what:
	default:
	}
}

// lose tells once that no server is there.
func (w *watching) lose(err error) {
	if !w.lost {
		w.lost = true
		why := "it ended the connection"
		if err != nil {
			why = asFailure(err).text
		}
		w.say("the server has gone away: %s; waiting for it", why)
	}
}

// once looks, and shows what has changed.
func (w *watching) once(ctx context.Context) error {
	begun := time.Now()
	now, err := w.look(ctx, w.after)
	if err != nil {
		return err
	}
	w.pause = 2 * time.Since(begun)
	w.after = cmp.Or(now.position, w.after)
	if w.lost {
		w.lost = false
		w.say("the server is there again")
	}
	changed, left := w.compare(now)
	switch {
	case w.redraw:
		return w.screen(now)
	case len(w.shown) == 0 && len(left) == 0:
		w.say("%s", now.name)
	}
	return w.add(now.header, changed, left)
}

// compare finds what is other than it was shown, and the keys of what is not there any more.
func (w *watching) compare(now sight) (changed []seen, left []string) {
	there := map[string]bool{}
	for _, item := range now.items {
		there[item.key] = true
		text := item.text + strings.Join(item.row, "\t")
		if w.structured() {
			line, _ := json.Marshal(item.value) // what fails here fails again, and aloud, when it is written
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

// add writes what has changed below what stands there.
func (w *watching) add(header []string, changed []seen, left []string) error {
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
			err = w.drawn(item.text + "\n")
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
	return w.drawn(w.sheet.draw(t))
}

// screen draws all anew from the terminal's first line, as much as it has lines for.
func (w *watching) screen(now sight) error {
	d := sheet{style: w.style()}
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
	if _, most := size(w.Out); most != explain.Unlimited && len(lines) > most-1 {
		more := fmt.Sprintf("… %d more lines", len(lines)-most+2)
		lines = append(lines[:max(most-2, 0)], more)
	}
	return w.drawn("\x1b[H" + strings.Join(lines, "\x1b[K\n") + "\x1b[K\n\x1b[J")
}

// sight looks at a whole list.
func (l listed[T]) sight(ctx context.Context, s *shell, q url.Values, limit int) (sight, error) {
	now := sight{name: "no " + l.kind.plural}
	q.Del("next")
	err := pages(ctx, s, "/"+l.kind.plural, q, limit, func(page explain.List[T]) error {
		if now.position == "" {
			now.position = page.Position
		}
		l.see(&now, page.Items, s.output == formatWide)
		return nil
	})
	return now, err
}

// sightOf looks at one thing; one that is not there any more leaves an empty sight.
func (l listed[T]) sightOf(ctx context.Context, s *shell, path, after string) (sight, error) {
	var item T
	now := sight{name: "the " + l.kind.name + " is not there"}
	position, err := s.readAt(ctx, path, query("after", after), &item)
	if err != nil {
		if after != "" && asFailure(err).code == exitMissing {
			return now, nil
		}
		return now, err
	}
	now.position = position
	l.see(&now, []T{item}, s.output == formatWide)
	return now, nil
}

// see adds to a sight what may be shown of each item.
func (l listed[T]) see(now *sight, items []T, wide bool) {
	t := l.table(items, wide)
	now.header = t.Header
	for i, item := range items {
		now.items = append(now.items, seen{key: l.id(item), name: l.kind.name + "/" + l.id(item), row: t.Rows[i], value: item})
	}
}
