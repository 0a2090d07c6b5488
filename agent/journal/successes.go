package journal

import (
	"cmp"
	"maps"
	"slices"

	"github.com/droverhq/drover/api/client"
)

// Success is a part that succeeded on this machine.
type Success struct {
	Deployment string `json:"deployment"`
	Release    string `json:"release,omitempty"`
	// Number is the number of the part's entry. Results can be confirmed in another order.
	Number int64 `json:"number,omitempty"`
}

// successes is the record of what succeeded on this machine, by project, oldest first. Unlike the memory of the log, it
// stays when the log gets another id.
type successes struct {
	// Partial means that an earlier version of drover, which kept no complete record, has used this folder.
	Partial  bool                 `json:"partial,omitempty"`
	Projects map[string][]Success `json:"projects,omitempty"`
}

// maxSuccesses is how many successes of a project are retained. The log normally counts the last one. It counts an
// earlier one if a later part had already started when it learned of the last one.
const maxSuccesses = 8

// add returns a copy with another success.
func (s successes) add(project string, success Success) successes {
	next := successes{Partial: s.Partial, Projects: maps.Clone(s.Projects)}
	if next.Projects == nil {
		next.Projects = map[string][]Success{}
	}
	list := slices.DeleteFunc(slices.Clone(s.Projects[project]), func(o Success) bool {
		return o.Deployment == success.Deployment
	})
	list = append(list, success)
	slices.SortStableFunc(list, func(a, b Success) int { return cmp.Compare(a.Number, b.Number) })
	next.Projects[project] = list[max(0, len(list)-maxSuccesses):]
	return next
}

// successesFrom returns the record for a folder that an earlier version of drover has used. The record is complete if
// the log has had one id only, because earlier versions forgot their successes when the id changed.
func successesFrom(memory client.Memory, runs []finishedRun) successes {
	s := successes{Partial: memory.Log != memory.Made}
	for project, deployment := range memory.Deployments {
		s = s.add(project, Success{Deployment: deployment})
	}
	for _, r := range runs {
		if r.State == "succeeded" {
			s = s.add(r.Project, Success{Deployment: r.Deployment})
		}
	}
	return s
}

// Remember stores that a part succeeded on this machine.
func (j *Journal) Remember(project string, success Success) error {
	j.mu.Lock()
	memory, runs, proven := j.memory, j.runs, j.proven.add(project, success)
	j.mu.Unlock()
	return j.store(memory, runs, proven)
}

// LastNumber returns the highest number of a success in the record. The entries of later parts must have higher numbers,
// also after a restart of the agent, when the journal may have no entry any more.
func (j *Journal) LastNumber() (last int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, list := range j.proven.Projects {
		for _, s := range list {
			last = max(last, s.Number)
		}
	}
	return last
}

// Remembered returns the successes of the record.
func (j *Journal) Remembered() client.Remembered {
	j.mu.Lock()
	defer j.mu.Unlock()
	p := client.Remembered{Projects: map[string]client.RememberedProject{}, Partial: j.proven.Partial}
	for project, list := range j.proven.Projects {
		proven := client.RememberedProject{Release: list[len(list)-1].Release}
		for _, s := range list {
			proven.Deployments = append(proven.Deployments, s.Deployment)
		}
		p.Projects[project] = proven
	}
	return p
}
