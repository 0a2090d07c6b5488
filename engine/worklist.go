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
// call and parts whose deadline has passed. For any other part nothing was due when it was last examined, and nothing
// has changed since. It is a cache beside the view. The zero value works. touch must be called for every touched
// machine.
type worklist struct {
	active    map[*projections.Deployment]map[*projections.Part]struct{} // parts to examine
	deadlines map[*projections.Part]time.Duration                        // the current entry of each part in queue
	queue     deadlineQueue
}

// touch adds the open parts of the machines that View.Touched returned.
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

// decide makes the decisions of rollout.Decide. now is the time of what was measured, or slightly
// earlier.
func (w *worklist) decide(v *projections.View, measured rollout.Measured, now time.Duration) []domain.Decision {
	w.expire(now)
	maps.DeleteFunc(w.active, func(d *projections.Deployment, _ map[*projections.Part]struct{}) bool { return d.Ended })
	return rollout.DecideOn(v, measured, func(d *projections.Deployment) []*projections.Part {
		parts := slices.SortedFunc(maps.Keys(w.active[d]),
			func(a, b *projections.Part) int { return strings.Compare(a.Machine, b.Machine) })
		for _, part := range parts {
			if !part.Open() || !rollout.Due(v, part, measured) {
				w.park(v, part, measured, now)
				delete(w.active[d], part)
			}
		}
		return parts
	})
}

// expire adds the parts whose deadline has passed.
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

// park removes a part from the examination until a decision about it may be due without an event.
func (w *worklist) park(v *projections.View, part *projections.Part, measured rollout.Measured, now time.Duration) {
	left, bounded := rollout.TimeLeft(v, part, measured)
	if !bounded || left < 0 { // it does not wait for time to pass
		return
	}
	at := now + left + 1 // a part is due once its time left is exceeded
	if before, waits := w.deadlines[part]; waits && before <= at {
		return // the earlier deadline is kept
	}
	if w.deadlines == nil {
		w.deadlines = map[*projections.Part]time.Duration{}
	}
	w.deadlines[part] = at
	heap.Push(&w.queue, deadline{at, part})
}

// deadline is when a part must be examined.
type deadline struct {
	at   time.Duration
	part *projections.Part
}

// deadlineQueue implements heap.Interface, with the earliest deadline first.
type deadlineQueue []deadline

// Len, Less and Swap are methods of heap.Interface.
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
