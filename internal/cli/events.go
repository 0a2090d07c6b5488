package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/explain"
)

// eventFlags are the flags of events.
type eventFlags struct {
	follow                                     bool
	after, since, until                        string
	machine, project, environment, kind, actor string
	limit, tail                                int
}

func eventsVerb(a *app) *cobra.Command {
	var f eventFlags
	cmd := verb{
		exits: readExits(exits{exitMissing: "the machine, project or environment of a filter does not exist, and no event is about it",
			exitConflict: "the log ends before the position of --after, for example after a restore"}),
		use: "events", short: "List events from the event log",
		long: "List the events of the log in order: every fact and every decision, each described in a sentence.\n" +
			"The newest event is last. With -o wide, each line also has the data of the event. With --follow,\n" +
			"print new events until the command is interrupted.\n\n" +
			"With several filters, an event must match all of them. An event about a machine or a deployment\n" +
			"belongs to the environment that the machine is in now, or that the deployment went to.",
		example: "drover events --tail 20\n" +
			"drover events --since 1h --project shop\n" +
			"drover events --machine web-01 --type MachineWentOffline\n" +
			"drover events --after '#100'\n" +
			"drover events -f -o jsonl",
	}.command()
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return a.events(cmd.Context(), f, cmd.Flags().Changed("tail"))
	}
	flags := cmd.Flags()
	flags.BoolVarP(&f.follow, "follow", "f", false, "keep running and print new events")
	flags.StringVar(&f.after, "after", "", "list only events after this `POSITION`, such as 120")
	flags.IntVar(&f.limit, "limit", 0, "maximum number `N` of events to list, from the oldest; 0: all")
	flags.IntVar(&f.tail, "tail", 0, "list only the newest `N` events, at most 5000")
	flags.StringVar(&f.since, "since", "", "list only events since this `TIME`, such as 2026-01-02T15:04:05Z, or 1h for an hour ago")
	flags.StringVar(&f.until, "until", "", "list only events until this `TIME`")
	flags.StringVarP(&f.machine, "machine", "m", "", "list only events about this `MACHINE`")
	flags.StringVarP(&f.project, "project", "p", "", "list only events about this `PROJECT`")
	flags.StringVarP(&f.environment, "environment", "e", "", "list only events about this `ENVIRONMENT`")
	flags.StringVar(&f.kind, "type", "", "list only events of this `TYPE` or category, such as MachineCameOnline")
	flags.StringVar(&f.actor, "actor", "", "list only events that this person or token caused, by `NAME` or id")
	for _, pair := range [][]string{{"tail", "limit"}, {"tail", "follow"}, {"since", "follow"}, {"until", "follow"}} {
		cmd.MarkFlagsMutuallyExclusive(pair...)
	}
	return cmd
}

// maxTail is how many events the API returns at once.
const maxTail = 5000

// events lists or follows events. tailed reports whether --tail was given.
func (a *app) events(ctx context.Context, f eventFlags, tailed bool) error {
	switch {
	case f.follow && f.limit != 0:
		return usage("--limit cannot be combined with --follow, which ends when it is interrupted")
	case f.limit < 0:
		return usage("invalid --limit %d: use 1 or more, or 0 for all", f.limit)
	case tailed && (f.tail < 1 || f.tail > maxTail):
		return usage("invalid --tail %d: use 1 to %d", f.tail, maxTail)
	}
	since, err := instant("since", f.since)
	if err != nil {
		return err
	}
	until, err := instant("until", f.until)
	if err != nil {
		return err
	}
	q := query("after", position(f.after), "since", since, "until", until, "machine", strings.TrimPrefix(f.machine, "machine/"), "project", f.project,
		"environment", f.environment, "type", f.kind, "actor", f.actor)
	switch {
	case f.follow:
		return a.followEvents(ctx, q)
	case f.tail > 0:
		q.Set("newest", "true")
		f.limit = f.tail
	}
	if err := a.checkAbout(ctx, q); err != nil {
		return err
	}
	return eventsListed.show(ctx, a, q, f.limit)
}

// checkAbout returns an error if a filter names a machine, a project or an environment that does not exist, and no event is
// about it: a misspelled name must not look like a machine to which nothing has happened.
func (a *app) checkAbout(ctx context.Context, q url.Values) error {
	return a.checkNames(ctx, q, []string{"machine", "project", "environment"}, func(filter string) bool {
		var about explain.List[explain.Event]
		err := a.read(ctx, client.Path("events"), query(filter, q.Get(filter), "limit", "1", "newest", "true"), &about)
		return err != nil || len(about.Items) > 0
	})
}

// instant returns the time of a flag as the API takes it. Empty text stays empty.
func instant(flag, text string) (string, error) {
	if at, ok := moment(text); ok || text == "" {
		return at, nil
	}
	return "", usage("invalid --%s %.40q: use a time such as 2026-01-02T15:04:05Z, or a duration such as 1h for an hour ago",
		flag, text)
}

// eventsListed prints lists of events.
var eventsListed = listed[explain.Event]{kind: kind{name: "event", plural: "events"},
	id: func(e explain.Event) string { return e.Position }, table: explain.EventsTable}

// followEvents prints new events until ctx is cancelled.
func (a *app) followEvents(ctx context.Context, q url.Values) error {
	c, err := a.connect(ctx)
	if err != nil {
		return err
	}
	d := tableWriter{style: a.style()}
	err = c.Follow(ctx, client.Path("events", "stream"), q, "", func(m client.Message) error {
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
