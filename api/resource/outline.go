package resource

import (
	"strconv"
	"strings"

	"github.com/droverhq/drover/domain"
)

// entry is one key of a document as it is written: exactly one of plain, quoted, names, below and items is meant.
type entry struct {
	key    string
	form   form
	text   string   // plain and quoted
	names  []string // names
	below  []entry  // keys
	items  [][]entry
	isZero bool // what it says is what a left-out key means
}

// form is how an entry is written.
type form int

const (
	plain  form = iota // a number, a truth, a duration, a percentage
	quoted             // text, quoted where it must be
	namesForm
	keysForm
	itemsForm
)

// outline is the spec of a document, key after key in the order of the reference.
func (d Document) outline() []entry {
	switch c := d.command.(type) {
	case domain.ApplyPolicy:
		return policyOutline(c.Settings)
	case domain.ApplyProject:
		return projectOutline(c.Settings, c.Disabled)
	case domain.ApplyTrigger:
		return []entry{
			textEntry("project", c.Project, ""),
			namesEntry("events", c.Settings.Events),
			namesEntry("environments", c.Settings.Environments),
			namesEntry("roles", c.Settings.Roles),
			truthEntry("redeploy", c.Settings.Redeploy),
			truthEntry("disabled", c.Disabled),
		}
	case domain.ApplyMachine:
		return []entry{
			textEntry("environment", c.Environment, ""),
			namesEntry("roles", c.Roles),
			textEntry("policy", c.Policy, domain.DefaultPolicy),
			truthEntry("disabled", c.Disabled),
		}
	}
	return nil
}

func policyOutline(s domain.PolicySettings) []entry {
	entries := []entry{
		spanEntry("offlineAfter", s.OfflineAfter, domain.DefaultOfflineAfter),
		spanEntry("lostAfter", s.LostAfter, domain.DefaultLostAfter),
	}
	if c := s.HealthCheck; c != nil {
		entries = append(entries, entry{key: "healthCheck", form: keysForm, below: []entry{
			spanEntry("every", c.Every, domain.DefaultHealthEvery),
			spanEntry("timeout", c.Timeout, domain.DefaultHealthTimeout),
			textEntry("script", c.Script, ""),
		}})
	}
	if c := s.CleanUp; c != nil {
		share := entry{key: "maxShare", text: strconv.Itoa(c.MaxShare) + "%", isZero: c.MaxShare == domain.DefaultMaxShare}
		entries = append(entries, entry{key: "cleanUp", form: keysForm, below: []entry{spanEntry("after", c.After, 0), share}})
	}
	return entries
}

func projectOutline(s domain.ProjectSettings, disabled bool) []entry {
	automatic := []entry{
		wholeEntry("attempts", s.Attempts, domain.DefaultAttempts),
		spanEntry("backoff", s.Backoff, domain.DefaultBackoff),
	}
	return []entry{
		namesEntry("roles", s.Roles),
		wholeEntry("maxParallel", s.MaxParallel, 0),
		wholeEntry("stopAfterFailures", s.StopAfterFailures, 0),
		textEntry("unavailableMachines", string(s.Unavailable), string(domain.SkipUnavailable)),
		{key: "automatic", form: keysForm, below: automatic, isZero: automatic[0].isZero && automatic[1].isZero},
		variablesEntry(s.Variables),
		namesEntry("secrets", s.Secrets),
		truthEntry("disabled", disabled),
		stepsEntry(s.Steps),
	}
}

func stepsEntry(steps []domain.Step) entry {
	e := entry{key: "steps", form: itemsForm, isZero: len(steps) == 0}
	for _, s := range steps {
		e.items = append(e.items, []entry{
			textEntry("name", s.Name, ""),
			textEntry("run", s.Run, ""),
			textEntry("folder", s.Folder, ""),
			spanEntry("timeout", s.Timeout, 0),
			wholeEntry("retries", s.Retries, 0),
		})
	}
	return e
}

func variablesEntry(variables map[string]string) entry {
	e := entry{key: "variables", form: keysForm, isZero: len(variables) == 0}
	names := make([]string, 0, len(variables))
	for name := range variables {
		names = append(names, name)
	}
	for _, name := range sorted(names) {
		e.below = append(e.below, entry{key: name, form: quoted, text: variables[name]})
	}
	return e
}

func textEntry(key, text, left string) entry {
	return entry{key: key, form: quoted, text: text, isZero: text == left}
}

func wholeEntry(key string, n, left int) entry {
	return entry{key: key, text: strconv.Itoa(n), isZero: n == left}
}

func truthEntry(key string, b bool) entry {
	return entry{key: key, text: strconv.FormatBool(b), isZero: !b}
}

func spanEntry(key string, d, left domain.Duration) entry {
	return entry{key: key, text: spanText(d), isZero: d == left}
}

func namesEntry[T ~string](key string, names []T) entry {
	e := entry{key: key, form: namesForm, isZero: len(names) == 0}
	for _, name := range names {
		e.names = append(e.names, string(name))
	}
	return e
}

// spanText is Go's text of a duration without its empty ends: 24h, not 24h0m0s.
func spanText(d domain.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
