package rollout

import (
	"container/heap"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections"
)

// Rounds decides what Decide does, and looks only at the parts whose machine was touched since it last looked and at those
// whose time has come. A part that it leaves alone is one that nothing was to be said of, and of which nothing has
// changed. It is a cache beside the view: the zero value works, and is told of every machine that a new view touched.
type Rounds struct {
	restless map[*projections.Deployment]map[*projections.Part]struct{}
	waking   map[*projections.Part]time.Duration // what of alarms counts
	alarms   alarms
}

// Touched notes the machines whose work may have changed, see View.Touched.
func (r *Rounds) Touched(machines []*projections.Record) {
	for _, machine := range machines {
		for _, part := range machine.Parts {
			r.wake(part)
		}
	}
}

func (r *Rounds) wake(part *projections.Part) {
	if r.restless == nil {
		r.restless = map[*projections.Deployment]map[*projections.Part]struct{}{}
	}
	if r.restless[part.Deployment] == nil {
		r.restless[part.Deployment] = map[*projections.Part]struct{}{}
	}
	r.restless[part.Deployment][part] = struct{}{}
}

// Decide is the function of that name. now is the moment that age counts from, or one shortly before.
func (r *Rounds) Decide(v *projections.View, age Age, now time.Duration) []domain.Decision {
	r.ring(now)
	maps.DeleteFunc(r.restless, func(d *projections.Deployment, _ map[*projections.Part]struct{}) bool { return d.Ended })
	return decide(v, age, func(d *projections.Deployment) []*projections.Part {
		parts := slices.SortedFunc(maps.Keys(r.restless[d]), func(a, b *projections.Part) int { return strings.Compare(a.Machine, b.Machine) })
		for _, part := range parts {
			if !part.Open() || due(v, part, age) == "" {
				r.rest(v, part, age, now)
				delete(r.restless[d], part)
			}
		}
		return parts
	})
}

// ring wakes the parts whose time has come.
func (r *Rounds) ring(now time.Duration) {
	for len(r.alarms) > 0 && r.alarms[0].at <= now {
		a := heap.Pop(&r.alarms).(alarm)
		if r.waking[a.part] == a.at {
			delete(r.waking, a.part)
			if a.part.Open() {
				r.wake(a.part)
			}
		}
	}
}

// rest leaves a part alone until the time at which something may be said of it though nothing has happened.
func (r *Rounds) rest(v *projections.View, part *projections.Part, age Age, now time.Duration) {
	left, bounded := patience(v, part, age)
	if !bounded || left < 0 { // it is not time that it waits for
		return
	}
	at := now + left + 1 // patience ends after it is over, not with it
	if before, waits := r.waking[part]; waits && before <= at {
		return // it is looked at no later than it must be
	}
	if r.waking == nil {
		r.waking = map[*projections.Part]time.Duration{}
	}
	r.waking[part] = at
	heap.Push(&r.alarms, alarm{at, part})
}

// alarm is when a part is to be looked at.
type alarm struct {
	at   time.Duration
	part *projections.Part
}

// alarms are a heap, for container/heap: the next one is the first.
type alarms []alarm

// Len is that of heap.Interface, as the next ones are.
func (a alarms) Len() int           { return len(a) }
func (a alarms) Less(i, j int) bool { return a[i].at < a[j].at }
func (a alarms) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }

// Push adds an alarm.
func (a *alarms) Push(x any) { *a = append(*a, x.(alarm)) }

// Pop takes the last one off.
func (a *alarms) Pop() any {
	last := (*a)[len(*a)-1]
	(*a)[len(*a)-1] = alarm{}
	*a = (*a)[:len(*a)-1]
	return last
}
