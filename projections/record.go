package projections

import (
	"iter"
	"slices"
)

// record is what the fold knows under the name of a machine. All that is kept for a machine points to it, so that only
// the name in an event is ever looked up.
//
// A record begins with the machine, or with the first part that is queued for its name, and ends when there is neither.
// A machine that is deleted while parts are open leaves its record, and the next machine of that name takes it over: it is
// another machine, and the parts of the former are still in its way until they have ended.
type record struct {
	name    string
	machine *Machine // that has the name now; nil for none
	parts   []*Part  // open ones, in the order they were queued
	// touched and begun say that the view's lists of that name have it.
	touched, begun bool
}

// record finds what is known under a name, or makes one that nothing points to yet.
func (v *View) record(name string) *record {
	if m := v.Machines[name]; m != nil {
		return m.record
	}
	if r := v.vacant[name]; r != nil {
		return r
	}
	return &record{name: name}
}

// add gives a machine the record of its name.
func (v *View) add(m *Machine) {
	if m.record = v.vacant[m.Name]; m.record == nil {
		m.record = &record{name: m.Name}
	}
	delete(v.vacant, m.Name)
	m.record.machine, v.Machines[m.Name] = m, m
}

// remove leaves the record of a machine to its open parts.
func (v *View) remove(m *Machine) {
	delete(v.Machines, m.Name)
	m.record.machine = nil
	if len(m.record.parts) > 0 {
		v.vacant[m.Name] = m.record
	}
}

// openPart puts a part on the record of its machine's name.
func (v *View) openPart(part *Part) {
	r := v.record(part.Machine)
	part.record, r.parts = r, append(r.parts, part)
	if r.machine == nil {
		v.vacant[r.name] = r
	}
}

// closePart takes a part that ended off its record.
func (v *View) closePart(part *Part) {
	r := part.record
	r.parts = slices.DeleteFunc(r.parts, func(o *Part) bool { return o == part })
	if part.record = nil; len(r.parts) > 0 {
		return
	}
	r.parts = nil
	if r.machine == nil {
		delete(v.vacant, r.name)
	}
}

// OpenPartsOn are the open parts on a machine, of all projects, in the order they were queued.
func (v *View) OpenPartsOn(machine string) []*Part { return v.record(machine).parts }

// MachineOf is the machine that has the name which a part was queued for, nil if there is none. Part.MeansMachine says
// whether it is the same one.
func (v *View) MachineOf(part *Part) *Machine {
	if part.record != nil {
		return part.record.machine
	}
	return v.Machines[part.Machine]
}

func (v *View) touch(r *record) {
	if !r.touched {
		r.touched = true
		v.touched = append(v.touched, r)
	}
}

// Touched are the machines whose work may have changed.
type Touched struct{ records []*record }

// Len is how many there are.
func (t Touched) Len() int { return len(t.records) }

// Names are the names of these machines, some of which are deleted.
func (t Touched) Names() map[string]struct{} {
	names := make(map[string]struct{}, len(t.records))
	for _, r := range t.records {
		names[r.name] = struct{}{}
	}
	return names
}

// OpenParts yields the parts that are open on them now.
func (t Touched) OpenParts() iter.Seq[*Part] {
	return func(yield func(*Part) bool) {
		for _, r := range t.records {
			for _, part := range r.parts {
				if !yield(part) {
					return
				}
			}
		}
	}
}

// Touched returns the machines whose work may have changed since the last call, and forgets them.
// It is no part of the view's value: it only saves its reader from asking about every machine.
func (v *View) Touched() Touched {
	touched := Touched{v.touched}
	v.touched = nil
	for _, r := range touched.records {
		r.touched = false
	}
	return touched
}

// begin notes that a machine has another session.
func (v *View) begin(m *Machine) {
	if !m.record.begun {
		m.record.begun = true
		v.begun = append(v.begun, m.record)
	}
}

// Begun returns the machines that began another session since the last call, less those that are deleted, and forgets
// them. Like Touched it is no part of the view's value.
func (v *View) Begun() []*Machine {
	machines := make([]*Machine, 0, len(v.begun))
	for _, r := range v.begun {
		if r.begun = false; r.machine != nil {
			machines = append(machines, r.machine)
		}
	}
	v.begun = nil
	return machines
}
