package cli

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/explain"
)

func eventsVerb(s *shell) *cobra.Command {
	var follow bool
	var after string
	var limit int
	cmd := verb{
		exits: asks(exits{exitConflict: "the log ends before the position of --after: was it restored from a backup?"}),
		use:   "events", short: "Show what happened",
		long:    "Show what happened: every fact and every decision, in the order of the log.",
		example: "drover events --after '#100'\ndrover events -f -o jsonl",
		run: func(ctx context.Context, _ []string) error {
			if follow {
				return s.followEvents(ctx, position(after))
			}
			if limit < 0 {
				return usage("--limit %d is none; use 1 or more, or 0 for all", limit)
			}
			return s.events(ctx, position(after), limit)
		},
	}.command()
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "stay, and show what happens next")
	cmd.Flags().StringVar(&after, "after", "", "only after this `POSITION`")
	cmd.Flags().IntVar(&limit, "limit", 0, "at most `N`; 0: all")
	return cmd
}

// events reads page after page, and shows each when it is there. An event's page goes on after the
// position of its last one.
func (s *shell) events(ctx context.Context, after string, limit int) error {
	all := explain.List[explain.Event]{Items: []explain.Event{}}
	whole := s.output == formatJSON || s.output == formatYAML
	for shown := 0; limit == 0 || shown < limit; {
		size := pageSize
		if limit > 0 {
			size = min(size, limit-shown)
		}
		var page explain.List[explain.Event]
		if err := s.read(ctx, client.Path("events"), query("after", after, "limit", fmt.Sprint(size)), &page); err != nil {
			return err
		}
		if whole {
			all.Items = append(all.Items, page.Items...)
		} else if err := s.showEvents(page.Items, shown == 0); err != nil {
			return err
		}
		all.Next, all.Position = page.Next, page.Position
		shown += len(page.Items)
		if len(page.Items) < size {
			break
		}
		after = page.Items[len(page.Items)-1].Position
	}
	if whole {
		return s.value(all)
	}
	return nil
}

func (s *shell) showEvents(items []explain.Event, first bool) error {
	switch s.output {
	case formatLines, formatJSON, formatYAML:
		return each(items, func(e explain.Event) error { return s.line(e) })
	case formatName:
		return each(items, func(e explain.Event) error { return s.print("event/" + e.Position + "\n") })
	}
	t := explain.EventsTable(items)
	if !first {
		t.Header = nil
	}
	return s.table(t)
}

// followEvents shows event after event until the program is told to stop.
func (s *shell) followEvents(ctx context.Context, after string) error {
	c, err := s.connect(ctx)
	if err != nil {
		return err
	}
	first := true
	err = c.Follow(ctx, client.Path("events", "stream"), query("after", after), "", func(m client.Message) error {
		var e explain.Event
		if err := json.Unmarshal([]byte(m.Data), &e); err != nil {
			return fmt.Errorf("read event %s: %w", m.ID, err)
		}
		err := s.showEvents([]explain.Event{e}, first)
		first = false
		return err
	})
	if ctx.Err() != nil {
		return nil // told to stop: that is how following ends
	}
	return err
}
