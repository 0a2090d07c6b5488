package scenario

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
)

// names are the stand-ins for ids: deployments are d1, d2 and so on in the order in which they were queued,
// events are #1, #2, and servers, instances and sessions have names of their own.
type names struct {
	byID        map[string]string // also by the first eight digits, as history shows them
	byName      map[string]domain.ID
	deployments []domain.ID
	seen        eventlog.Position
}

func newNames() names { return names{byID: map[string]string{}, byName: map[string]domain.ID{}} }

func (n *names) add(id domain.ID, name string) {
	n.byID[id.String()], n.byID[id.String()[:8]] = name, name
	n.byName[name] = id
}

var anyID = regexp.MustCompile(`\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b|\b[0-9a-f]{8}\b`)

var anyName = regexp.MustCompile(`"[^"\\\\]+"`)

// restore puts ids in the place of the stand-ins that are whole strings of a JSON text.
func (n *names) restore(text string) string {
	return anyName.ReplaceAllStringFunc(text, func(quoted string) string {
		if id, ok := n.byName[quoted[1:len(quoted)-1]]; ok {
			return `"` + id.String() + `"`
		}
		return quoted
	})
}

// stream puts ids in the place of the stand-ins in a stream's name, such as part/d1/web-01.
func (n *names) stream(name string) string {
	words := strings.Split(name, "/")
	for i, word := range words {
		if id, ok := n.byName[word]; ok && i == 1 && words[0] == domain.PartStreams {
			words[i] = id.String()
		}
	}
	return strings.Join(words, "/")
}

// replace puts stand-ins in the place of the ids of a text.
func (n *names) replace(text string) string {
	return anyID.ReplaceAllStringFunc(text, func(id string) string {
		if name, ok := n.byID[id]; ok {
			return name
		}
		if len(id) == 8 {
			return id // a word
		}
		return "?"
	})
}

// learn gives names to what the log has got since the last time.
func (st *stage) learn() {
	for _, rec := range st.after(st.names.seen) {
		st.names.seen = rec.Position
		id := domain.ID(rec.ID)
		if rec.Type == domain.TypeName(domain.DeploymentQueued{}) {
			st.names.deployments = append(st.names.deployments, id)
			st.names.add(id, fmt.Sprintf("d%d", len(st.names.deployments)))
			continue
		}
		st.names.add(id, "#"+rec.Position.String())
	}
}

// deployment finds a deployment by its stand-in.
func (st *stage) deployment(word string) (domain.ID, error) {
	st.learn()
	for i, id := range st.names.deployments {
		if word == fmt.Sprintf("d%d", i+1) {
			return id, nil
		}
	}
	return domain.ID{}, st.wrong(fmt.Sprintf("deployments are d1, d2 and so on in the order they were queued; there are %d",
		len(st.names.deployments)), "there is no deployment %.40q", word)
}
