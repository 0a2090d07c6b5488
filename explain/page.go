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

// Filter selects the items of a list. The zero value selects all.
type Filter struct {
	Project, Environment, Role, Machine string
	// State is one of the states of the list: MachineStates, DeploymentStates, CandidateStates, ServerStates or
	// TokenStates.
	State string
	// After is the Next field of the previous page; empty for the first page.
	After string
	// Limit is the largest number of items; 0 means no limit.
	Limit int
	// Sees is what the reader may see; nil means everything.
	Sees Sees
}

// The states that lists can be filtered by.
var (
	MachineStates    = []string{"online", "offline", "unknown", "behind", "deployable", "disabled", "held"}
	DeploymentStates = []string{"queued", "running", "succeeded", "failed", "cancelled"}
	CandidateStates  = []string{"wait", "none", "deploy"}
	ServerStates     = []string{"alive", "gone", "all"}
	TokenStates      = []string{"valid", "expired", "revoked", "all"}
)

// maxParts bounds the parts in one page of deployments, so that the page fits into one response.
const maxParts = 50_000

// page builds the items of a list from keys, in the order of the keys and up to the limit of the filter. build reports
// whether the item belongs to the list. weight may be nil; it returns how many parts the item adds to maxParts.
func page[T any](v *projections.View, f Filter, keys []string, build func(key string) (T, bool),
	weight func(T) int) List[T] {
	list := List[T]{Items: []T{}, Position: v.Position.String()}
	last, sum := "", 0
	for _, key := range keys {
		item, ok := build(key)
		if !ok || !Limit(f.Sees, &item) {
			continue
		}
		if weight != nil {
			sum += weight(item)
		}
		if len(list.Items) > 0 && (len(list.Items) == f.Limit || sum > maxParts) {
			list.Next = last
			break
		}
		list.Items = append(list.Items, item)
		last = key
	}
	return list
}

// firstOf returns the first item of a list that matches.
func firstOf[T any](list List[T], match func(T) bool) (item T, ok bool) {
	if i := slices.IndexFunc(list.Items, match); i >= 0 {
		return list.Items[i], true
	}
	return item, false
}

// namesAfter returns the keys of m that sort after the given one.
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

// orEmpty returns a copy of names that is never nil.
func orEmpty(names []string) []string {
	if names == nil {
		return []string{}
	}
	return slices.Clone(names)
}

// at formats a position as "#12".
func at(p eventlog.Position) string { return "#" + p.String() }

// causesOf formats causes as "#12 MachineCameOnline".
func causesOf(causes []projections.Cause) []string {
	texts := []string{}
	for _, c := range causes {
		texts = append(texts, fmt.Sprintf("%s %s", at(c.Position), c.Category))
	}
	return texts
}

// moment returns t in UTC, or nil if t is zero.
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

// projectsOf returns all projects, sorted by name.
func projectsOf(v *projections.View) []*projections.Project {
	list := make([]*projections.Project, 0, len(v.Projects))
	for _, p := range v.Projects {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b *projections.Project) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// inScope reports whether a machine belongs to a project, in the environment that the machine is in.
func inScope(p *projections.Project, m *projections.Machine) bool {
	return domain.InScope(&m.Machine, m.Environment, p.Settings.Roles, nil)
}
