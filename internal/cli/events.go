package cli

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/explain"
)

func eventsVerb(a *app) *cobra.Command {
	var follow bool
	var after string
	var limit int
	cmd := verb{
		exits: readExits(exits{exitConflict: "the log ends before the position of --after, for example after a restore"}),
		use:   "events", short: "List events from the event log",
		long: "List the events of the log in order: every fact and every decision. With -o wide, each line also\n" +
			"describes the event in a sentence. With --follow, print new events until the command is\n" +
			"interrupted.",
		example: "drover events --after '#100'\n" +
			"drover events -f -o jsonl",
		run: func(ctx context.Context, _ []string) error {
			if follow && limit != 0 {
				return usage("--limit cannot be combined with --follow, which ends when it is interrupted")
			}
			if follow {
				return a.followEvents(ctx, position(after))
			}
			if limit < 0 {
				return usage("invalid --limit %d: use 1 or more, or 0 for all", limit)
			}
			return eventsListed.show(ctx, a, query("after", position(after)), limit)
		},
	}.command()
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "keep running and print new events")
	cmd.Flags().StringVar(&after, "after", "", "list only events after this `POSITION`, such as 120")
	cmd.Flags().IntVar(&limit, "limit", 0, "maximum number `N` of events to list; 0: all")
	return cmd
}

// eventsListed prints lists of events.
var eventsListed = listed[explain.Event]{kind: kind{name: "event", plural: "events"},
	id: func(e explain.Event) string { return e.Position }, table: explain.EventsTable}

// followEvents prints new events until ctx is cancelled.
func (a *app) followEvents(ctx context.Context, after string) error {
	c, err := a.connect(ctx)
	if err != nil {
		return err
	}
	d := tableWriter{style: a.style()}
	err = c.Follow(ctx, client.Path("events", "stream"), query("after", after), "", func(m client.Message) error {
		var e explain.Event
		if err := json.Unmarshal([]byte(m.Data), &e); err != nil {
			return fmt.Errorf("read event %s: %w", m.ID, err)
		}
		return a.showEvent(&d, e)
	})
	if ctx.Err() != nil {
		return nil // interrupted by the user
	}
	return err
}

func (a *app) showEvent(d *tableWriter, e explain.Event) error {
	shown := explain.EventsTable([]explain.Event{e}, a.output == formatWide)
	switch {
	case a.structured():
		return a.line(e)
	case a.output == formatName:
		return a.print("event/" + e.Position + "\n")
	case a.output == "" && !isTerminal(a.Out):
		return explain.Table{Rows: shown.Rows}.Write(a.Out, 0)
	}
	return a.printRaw(d.draw(shown))
}
