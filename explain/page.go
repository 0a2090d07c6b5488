package explain

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections"
)

// Filter picks what a list holds. Its zero value is all.
type Filter struct {
	Project, Environment, Role, Machine string
	// State is one of the list's own: MachineStates, DeploymentStates, ServerStates.
	State string
	// After is the Next of the list before; empty: from the beginning.
	After string
	// Limit is the largest number of items; 0: no limit.
	Limit int
}

// The states that lists can be filtered by.
var (
	MachineStates    = []string{"online", "offline", "unknown", "behind", "deployable", "disabled", "held"}
	DeploymentStates = []string{"queued", "running", "succeeded", "failed", "cancelled"}
	CandidateStates  = []string{"wait", "none", "deploy"}
	ServerStates     = []string{"alive", "gone", "all"}
)

// maxParts bounds the parts in one page of deployments, so that a page stays one answer.
const maxParts = 50_000

// page builds the items of a list from keys, in their order, as far as the limit goes. build says
// whether the thing is one of the list; weight, which may be nil, how much of maxParts it takes.
func page[T any](v *projections.View, limit int, keys []string, build func(key string) (T, bool), weight func(T) int) List[T] {
	list := List[T]{Items: []T{}, Position: v.Position.String()}
	last, sum := "", 0
	for _, key := range keys {
		item, ok := build(key)
		if !ok {
			continue
		}
		if weight != nil {
			sum += weight(item)
		}
		if len(list.Items) > 0 && (len(list.Items) == limit || sum > maxParts) {
			list.Next = last
			break
		}
		list.Items = append(list.Items, item)
		last = key
	}
	return list
}

// only is the first item of a list that is the one meant.
func only[T any](list List[T], is func(T) bool) (item T, ok bool) {
	if i := slices.IndexFunc(list.Items, is); i >= 0 {
		return list.Items[i], true
	}
	return item, false
}

// namesAfter are the keys of m that follow after, sorted.
func namesAfter[V any](m map[string]V, after string) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		if after == "" || name > after {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// orEmpty is names, never nil.
func orEmpty(names []string) []string {
	if names == nil {
		return []string{}
	}
	return slices.Clone(names)
}

// at writes a position as people and scenarios do, "#12".
func at(p eventlog.Position) string { return "#" + p.String() }

// causesOf writes causes as "#12 MachineCameOnline".
func causesOf(causes []projections.Cause) []string {
	texts := []string{}
	for _, c := range causes {
		texts = append(texts, fmt.Sprintf("%s %s", at(c.Position), c.Category))
	}
	return texts
}

// moment is t, or nil where it has not come.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	return moment(*t)
}

// projectsOf are all projects, by name.
func projectsOf(v *projections.View) []*projections.Project {
	list := make([]*projections.Project, 0, len(v.Projects))
	for _, p := range v.Projects {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b *projections.Project) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// inScope says whether a project looks at a machine where it stands.
func inScope(p *projections.Project, m *projections.Machine) bool {
	return domain.InScope(&m.Machine, m.Environment, p.Settings.Roles, nil)
}
