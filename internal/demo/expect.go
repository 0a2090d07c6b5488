package demo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/explain"
)

// The names in the example.
const (
	serverName  = "server"
	environment = "production"
	project     = "site"
)

func (f *fleet) machine(ctx context.Context, name string) (m explain.Machine, err error) {
	_, err = f.client.Get(ctx, client.Path("machines", name), nil, &m)
	return m, err
}

// installed returns the release of the machine's last success, with a star if a later attempt failed.
func installed(m explain.Machine) string {
	for _, i := range m.Installed {
		switch {
		case i.Project == project && i.Dirty:
			return i.Release + "*"
		case i.Project == project:
			return i.Release
		}
	}
	return "nothing"
}

// wanted returns the release that the machine should have, and whether a hold decides that.
func wanted(m explain.Machine) (release string, held bool) {
	for _, w := range m.Wanted {
		if w.Project == project {
			return w.Release, w.Held
		}
	}
	return "nothing", false
}

func (f *fleet) why(ctx context.Context, machine string) (explain.Why, error) {
	var list explain.List[explain.Why]
	_, err := f.client.Get(ctx, "/why", url.Values{"machine": {machine}, "project": {project}}, &list)
	if err == nil && len(list.Items) != 1 {
		err = fmt.Errorf("why %s returned %d answers instead of one", machine, len(list.Items))
	}
	if err != nil {
		return explain.Why{}, err
	}
	return list.Items[0], nil
}

// deployments returns all deployments, newest first.
func (f *fleet) deployments(ctx context.Context) ([]explain.Deployment, error) {
	var list explain.List[explain.Deployment]
	_, err := f.client.Get(ctx, "/deployments", url.Values{"project": {project}}, &list)
	return list.Items, err
}

// automatic returns the automatic deployments of a release that have a part on a machine, oldest first.
func (f *fleet) automatic(ctx context.Context, machine, release string) ([]explain.Deployment, error) {
	all, err := f.deployments(ctx)
	all = slices.DeleteFunc(all, func(d explain.Deployment) bool {
		return d.Kind != "automatic" || d.Release != release || part(d, machine) == nil
	})
	slices.Reverse(all)
	return all, err
}

// part returns a machine's part of a deployment, or nil.
func part(d explain.Deployment, machine string) *explain.DeploymentMachine {
	for i := range d.Machines {
		if d.Machines[i].Name == machine {
			return &d.Machines[i]
		}
	}
	return nil
}

// counted counts the parts of a deployment by state: "3 succeeded, 1 failed".
func counted(d explain.Deployment) string {
	var texts []string
	for _, state := range []string{"queued", "released", "running", "succeeded", "failed", "skipped",
		"cancelled", "lost"} {
		n := 0
		for _, m := range d.Machines {
			if m.State == state {
				n++
			}
		}
		if n > 0 {
			texts = append(texts, fmt.Sprintf("%d %s", n, state))
		}
	}
	return strings.Join(texts, ", ")
}

// last returns the newest event of a type in a machine's stream, and false if the log has no event of that type.
func (f *fleet) last(ctx context.Context, machine, typeName string) (found explain.Event, ok bool, err error) {
	for after := ""; ; {
		var page explain.List[explain.Event]
		if _, err := f.client.Get(ctx, "/events", url.Values{"after": {after}, "limit": {"5000"}}, &page); err != nil {
			return found, ok, err
		}
		for _, e := range page.Items {
			if e.Stream == "machine/"+machine && e.Type == typeName {
				found, ok = e, true
			}
		}
		if after = page.Next; after == "" {
			return found, ok, nil
		}
	}
}

// ticks returns the number of ticks that the server has completed.
func (f *fleet) ticks(ctx context.Context) (int, error) {
	var text string
	if _, err := f.client.Get(ctx, "/metrics", nil, &text); err != nil {
		return 0, err
	}
	for line := range strings.Lines(text) {
		if count, ok := strings.CutPrefix(line, "drover_tick_duration_seconds_count "); ok {
			return strconv.Atoi(strings.TrimSpace(count))
		}
	}
	return 0, errors.New("the server does not report how many ticks it has completed")
}

// attempt is one line that a step wrote when it ran.
type attempt struct{ release, deployment string }

// attempts returns the lines that the steps on a machine wrote. They are evidence that does not come from the server.
func (f *fleet) attempts(machine string) ([]attempt, error) {
	text, err := os.ReadFile(f.site(machine, "attempts.txt"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the output of the steps on %s: %w", machine, err)
	}
	var all []attempt
	for line := range strings.Lines(string(text)) {
		release, deployment, _ := strings.Cut(strings.TrimSpace(line), " ")
		all = append(all, attempt{release, deployment})
	}
	return all, nil
}

// tried returns the releases of the attempts in order: "1.0 1.1 1.1".
func (f *fleet) tried(machine string) (string, error) {
	all, err := f.attempts(machine)
	var releases []string
	for _, a := range all {
		releases = append(releases, a.release)
	}
	return strings.Join(releases, " "), err
}

// page returns the title of the page that the machine serves: "1.1 on web-01".
func (f *fleet) page(machine string) string {
	text, err := os.ReadFile(f.site(machine, "index.html"))
	if err != nil {
		return "no page"
	}
	_, rest, _ := strings.Cut(string(text), "<h1>"+project+" ")
	title, _, _ := strings.Cut(rest, "</h1>")
	return title
}
