package scenario

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
)

// names maps ids to names and back. Deployments are d1, d2 and so on in the order in which they were queued; events are
// #1, #2 and so on; servers, instances and sessions have names too.
type names struct {
	byID        map[string]string // also contains the first eight digits of each id, which history shows
	byName      map[string]domain.ID
	deployments []domain.ID
	seen        eventlog.Position
	// timed selects the names of moments for the output.
	timed   bool
	moments moments
}

func newNames() names {
	return names{byID: map[string]string{}, byName: map[string]domain.ID{}, moments: newMoments()}
}

func (n *names) add(id domain.ID, name string) {
	n.byID[id.String()], n.byID[id.String()[:8]] = name, name
	n.byName[name] = id
}

var anyID = regexp.MustCompile(`\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b|\b[0-9a-f]{8}\b`)

var anyName = regexp.MustCompile(`"[^"\\\\]+"`)

// restore replaces names with ids in a JSON text, where a name is a whole string.
func (n *names) restore(text string) string {
	return anyName.ReplaceAllStringFunc(text, func(quoted string) string {
		if id, ok := n.id(quoted[1 : len(quoted)-1]); ok {
			return `"` + id.String() + `"`
		}
		return quoted
	})
}

// id returns the id of a name.
func (n *names) id(name string) (domain.ID, bool) {
	if id, ok := n.moments.ids[name]; ok {
		return id, true
	}
	id, ok := n.byName[name]
	return id, ok
}

// stream replaces names with ids in the name of a stream, such as part/d1/web-01.
func (n *names) stream(name string) string {
	words := strings.Split(name, "/")
	for i, word := range words {
		if id, ok := n.id(word); ok && i == 1 && words[0] == domain.PartStreams {
			words[i] = id.String()
		}
	}
	return strings.Join(words, "/")
}

// replace replaces ids with names in a text.
func (n *names) replace(text string) string {
	if n.timed {
		text = n.moments.replacePositions(text)
	}
	return anyID.ReplaceAllStringFunc(text, func(id string) string {
		if name, ok := n.moments.byID[id]; ok && n.timed {
			return name
		}
		if name, ok := n.byID[id]; ok {
			return name
		}
		if len(id) == 8 {
			return id // not an id, but a word of eight hexadecimal digits
		}
		return "?"
	})
}

// learn names the events that the log has received since the last call.
func (r *runner) learn() {
	r.place()
	for _, rec := range r.after(r.names.seen) {
		r.names.seen = rec.Position
		id := domain.ID(rec.ID)
		if rec.Type == domain.TypeName(domain.DeploymentQueued{}) {
			r.names.deployments = append(r.names.deployments, id)
			r.names.add(id, fmt.Sprintf("d%d", len(r.names.deployments)))
			continue
		}
		r.names.add(id, "#"+rec.Position.String())
	}
}

// deployment returns the deployment with a name, such as d1 or d09:00:05.
func (r *runner) deployment(word string) (domain.ID, error) {
	r.learn()
	if id, ok := r.names.moments.ids[word]; ok && word[0] == 'd' {
		return id, nil
	}
	for i, id := range r.names.deployments {
		if word == fmt.Sprintf("d%d", i+1) {
			return id, nil
		}
	}
	return domain.ID{}, r.wrong(fmt.Sprintf("deployments are d1, d2 and so on in the order in which they were queued; "+
		"there are %d", len(r.names.deployments)), "unknown deployment %.40q", word)
}
