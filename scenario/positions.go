package scenario

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
)

// moments names events and deployments by their time: #09:00:05 is the first event of that second, #09:00:05+1 the next
// one, and d09:00:05 the first deployment that was queued in it. A line that is added to a file changes no other name,
// except those of the same second.
type moments struct {
	names     []string // of the event at each position, from 1, without #
	positions map[string]eventlog.Position
	ids       map[string]domain.ID
	byID      map[string]string // also contains the first eight digits of each id
	count     map[string]int
}

func newMoments() moments {
	return moments{positions: map[string]eventlog.Position{}, ids: map[string]domain.ID{}, byID: map[string]string{},
		count: map[string]int{}}
}

// next returns a name that is not used yet: the moment, or the moment with a number.
func (m *moments) next(name string) string {
	n := m.count[name]
	m.count[name]++
	if n == 0 {
		return name
	}
	return fmt.Sprintf("%s+%d", name, n)
}

func (m *moments) add(rec eventlog.Recorded) {
	moment := formatTime(rec.Time.Sub(day))
	name := m.next(moment)
	m.names = append(m.names, name)
	m.positions[name] = rec.Position
	id, shown := domain.ID(rec.ID), "#"+name
	if rec.Type == domain.TypeName(domain.DeploymentQueued{}) {
		shown = m.next("d" + moment)
	}
	m.ids[shown] = id
	m.byID[id.String()], m.byID[id.String()[:8]] = shown, shown
}

// place names the events that the log has received since the last call. After a restore it starts again.
func (r *runner) place() {
	m := &r.names.moments
	if r.head() < eventlog.Position(len(m.names)) {
		*m = newMoments()
	}
	for _, rec := range r.after(eventlog.Position(len(m.names))) {
		m.add(rec)
	}
}

// anyPosition also matches positions that have been replaced already.
var anyPosition = regexp.MustCompile(`#\d+(:\d\d:\d\d)?`)

// replacePositions replaces the positions of events with their moments.
func (m *moments) replacePositions(text string) string {
	return anyPosition.ReplaceAllStringFunc(text, func(word string) string {
		position, err := eventlog.ParsePosition(word[1:])
		if err != nil || position == 0 || position > eventlog.Position(len(m.names)) {
			return word
		}
		return "#" + m.names[position-1]
	})
}

// position parses #12, 12 or #09:00:05+1. ok is false if the log has no such event.
func (r *runner) position(text string) (p eventlog.Position, ok bool) {
	r.learn()
	text = strings.TrimPrefix(text, "#")
	if p, ok = r.names.moments.positions[text]; ok {
		return p, true
	}
	p, err := eventlog.ParsePosition(text)
	return p, err == nil
}

// positions selects how the output of this file names events and deployments.
func (r *runner) positions(b *block) ([]string, error) {
	_, values, err := r.header(b, 0, "by")
	if err != nil {
		return nil, err
	}
	if by := values["by"]; by != "time" && by != "count" {
		return nil, r.wrong("usage: "+blockOf("positions").usage, "invalid by=%.40s", by)
	}
	r.names.timed = values["by"] == "time"
	return nil, nil
}
