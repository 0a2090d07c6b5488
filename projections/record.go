package projections

import "slices"

// Record is everything that the fold knows under one machine name. Other parts of the view point to it, so a name is
// looked up only where an event carries it.
//
// A record exists while there is a machine of the name or an open part for it. If a machine is deleted while parts are
// open, its record remains. A later machine of the same name reuses the record. It is a different machine, but the open
// parts of the former one block it until they end.
type Record struct {
	Name string
	// Machine is the current machine of the name, nil if none exists.
	Machine *Machine
	// Parts are the open parts of all projects, in the order they were queued.
	Parts []*Part

	touched bool // listed in View.touched
}

// record returns the record of a name, or a new one that is not stored yet.
func (v *View) record(name string) *Record {
	if m := v.Machines[name]; m != nil {
		return m.record
	}
	if r := v.vacant[name]; r != nil {
		return r
	}
	return &Record{Name: name}
}

// add stores a new machine and connects it with the record of its name.
func (v *View) add(m *Machine) {
	if m.record = v.vacant[m.Name]; m.record == nil {
		m.record = &Record{Name: m.Name}
	}
	delete(v.vacant, m.Name)
	m.record.Machine, v.Machines[m.Name] = m, m
}

// remove deletes a machine. Its record remains, marked vacant, while parts are open.
func (v *View) remove(m *Machine) {
	delete(v.Machines, m.Name)
	m.record.Machine = nil
	if len(m.record.Parts) > 0 {
		v.vacant[m.Name] = m.record
	}
}

// openPart adds a part to the record of its machine name.
func (v *View) openPart(part *Part) {
	r := v.record(part.Machine)
	part.record, r.Parts = r, append(r.Parts, part)
	if r.Machine == nil {
		v.vacant[r.Name] = r
	}
}

// closePart removes an ended part from its record, and deletes the record if it is empty.
func (v *View) closePart(part *Part) {
	r := part.record
	r.Parts = slices.DeleteFunc(r.Parts, func(o *Part) bool { return o == part })
	if part.record = nil; len(r.Parts) > 0 {
		return
	}
	r.Parts = nil
	delete(v.vacant, r.Name) // if it is vacant
}

// OpenPartsOn returns the open parts of all projects on a machine, in the order they were queued.
func (v *View) OpenPartsOn(machine string) []*Part { return v.record(machine).Parts }

// MachineOf returns the current machine of the name that a part was queued for, nil if none exists.
// Part.IsFor reports whether it is still the same machine.
func (v *View) MachineOf(part *Part) *Machine {
	if part.record != nil {
		return part.record.Machine
	}
	return v.Machines[part.Machine]
}

// Touch marks the work of a machine as possibly changed.
func (v *View) Touch(machine string) { v.touch(v.record(machine)) }

func (v *View) touch(r *Record) {
	if !r.touched {
		r.touched = true
		v.touched = append(v.touched, r)
	}
}

// Touched returns the machines whose work may have changed since the last call, and clears the list. A name that was
// deleted and added again may appear twice. The list is not part of the view's value: it only saves callers from
// checking every machine.
func (v *View) Touched() []*Record {
	touched := v.touched
	v.touched = nil
	for _, r := range touched {
		r.touched = false
	}
	return touched
}
