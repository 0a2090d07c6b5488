package engine

import (
	"container/heap"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/rollout"
)

// worklist makes the same decisions as rollout.Decide, but examines only parts whose machine was touched since the last
// call and parts whose deadline has passed. Nothing was due for any other part when it was last examined, and nothing has
// changed since. It is a cache beside the view. The zero value works; touch must be called for every touched machine.
type worklist struct {
	active    map[*projections.Deployment]map[*projections.Part]struct{} // parts to look at
	deadlines map[*projections.Part]time.Duration                        // the valid entry of queue for each part
	queue     deadlineQueue
}

// touch notes the machines whose work may have changed, see View.Touched.
func (w *worklist) touch(machines []*projections.Record) {
	for _, machine := range machines {
		for _, part := range machine.Parts {
			w.add(part)
		}
	}
}

func (w *worklist) add(part *projections.Part) {
	if w.active == nil {
		w.active = map[*projections.Deployment]map[*projections.Part]struct{}{}
	}
	if w.active[part.Deployment] == nil {
		w.active[part.Deployment] = map[*projections.Part]struct{}{}
	}
	w.active[part.Deployment][part] = struct{}{}
}

// decide is rollout.Decide. now is the moment that age counts from, or one shortly before.
func (w *worklist) decide(v *projections.View, age projections.Age, now time.Duration) []domain.Decision {
	w.expire(now)
	maps.DeleteFunc(w.active, func(d *projections.Deployment, _ map[*projections.Part]struct{}) bool { return d.Ended })
	return rollout.DecideOn(v, age, func(d *projections.Deployment) []*projections.Part {
		parts := slices.SortedFunc(maps.Keys(w.active[d]), func(a, b *projections.Part) int { return strings.Compare(a.Machine, b.Machine) })
		for _, part := range parts {
			if !part.Open() || rollout.EndReason(v, part, age) == "" {
				w.park(v, part, age, now)
				delete(w.active[d], part)
			}
		}
		return parts
	})
}

// expire wakes the parts whose deadline has passed.
func (w *worklist) expire(now time.Duration) {
	for len(w.queue) > 0 && w.queue[0].at <= now {
		next := heap.Pop(&w.queue).(deadline)
		if w.deadlines[next.part] == next.at {
			delete(w.deadlines, next.part)
			if next.part.Open() {
				w.add(next.part)
			}
		}
	}
}

// sleep leaves a part alone until the moment at which something may be due although nothing has happened.
func (w *worklist) park(v *projections.View, part *projections.Part, age projections.Age, now time.Duration) {
	left, bounded := rollout.TimeLeft(v, part, age)
	if !bounded || left < 0 { // it does not wait for time
		return
	}
	at := now + left + 1 // patience is over once it is exceeded
	if before, waits := w.deadlines[part]; waits && before <= at {
		return // it is lastLook at no later than it must be
	}
	if w.deadlines == nil {
		w.deadlines = map[*projections.Part]time.Duration{}
	}
	w.deadlines[part] = at
	heap.Push(&w.queue, deadline{at, part})
}

// deadline is when a part must be lastLook at.
type deadline struct {
	at   time.Duration
	part *projections.Part
}

// deadlineQueue is a heap for container/heap; the earliest deadline is the first.
type deadlineQueue []deadline

// Len, Less, Swap, Push and Pop are those of heap.Interface.
func (q deadlineQueue) Len() int           { return len(q) }
func (q deadlineQueue) Less(i, j int) bool { return q[i].at < q[j].at }
func (q deadlineQueue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }

// Push adds a deadline.
func (q *deadlineQueue) Push(x any) { *q = append(*q, x.(deadline)) }

// Pop removes the last deadline.
func (q *deadlineQueue) Pop() any {
	last := (*q)[len(*q)-1]
	(*q)[len(*q)-1] = deadline{}
	*q = (*q)[:len(*q)-1]
	return last
}
