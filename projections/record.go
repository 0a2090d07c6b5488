package projections

import "slices"

// Record is what the fold knows under the name of a machine. All that is kept for a machine points to it, so that only
// the name in an event is ever looked up.
//
// A record begins with the machine, or with the first part that is queued for its name, and ends when there is neither.
// A machine that is deleted while parts are open leaves its record, and the next machine of that name takes it over: it is
// another machine, and the parts of the former are still in its way until they have ended.
type Record struct {
	Name string
	// Machine is the one that has the name now; nil for none.
	Machine *Machine
	// Parts are the open ones, of all projects, in the order they were queued.
	Parts []*Part

	touched bool // it is in the view's list of these
}

// record finds what is known under a name, or makes one that nothing points to yet.
func (v *View) record(name string) *Record {
	if m := v.Machines[name]; m != nil {
		return m.record
	}
	if r := v.vacant[name]; r != nil {
		return r
	}
	return &Record{Name: name}
}

// add gives a machine the record of its name.
func (v *View) add(m *Machine) {
	if m.record = v.vacant[m.Name]; m.record == nil {
		m.record = &Record{Name: m.Name}
	}
	delete(v.vacant, m.Name)
	m.record.Machine, v.Machines[m.Name] = m, m
}

// remove leaves the record of a machine to its open parts.
func (v *View) remove(m *Machine) {
	delete(v.Machines, m.Name)
	m.record.Machine = nil
	if len(m.record.Parts) > 0 {
		v.vacant[m.Name] = m.record
	}
}

// openPart puts a part on the record of its machine's name.
func (v *View) openPart(part *Part) {
	r := v.record(part.Machine)
	part.record, r.Parts = r, append(r.Parts, part)
	if r.Machine == nil {
		v.vacant[r.Name] = r
	}
}

// closePart takes a part that ended off its record.
func (v *View) closePart(part *Part) {
	r := part.record
	r.Parts = slices.DeleteFunc(r.Parts, func(o *Part) bool { return o == part })
	if part.record = nil; len(r.Parts) > 0 {
		return
	}
	r.Parts = nil
	if r.Machine == nil {
		delete(v.vacant, r.Name)
	}
}

// OpenPartsOn are the open parts on a machine, of all projects, in the order they were queued.
func (v *View) OpenPartsOn(machine string) []*Part { return v.record(machine).Parts }

// MachineOf is the machine that has the name which a part was queued for, nil if there is none. Part.MeansMachine says
// whether it is the same one.
func (v *View) MachineOf(part *Part) *Machine {
	if part.record != nil {
		return part.record.Machine
	}
	return v.Machines[part.Machine]
}

func (v *View) touch(r *Record) {
	if !r.touched {
		r.touched = true
		v.touched = append(v.touched, r)
	}
}

// Touched returns the machines whose work may have changed since the last call, and forgets them; one that was deleted and
// added again may be there twice. It is no part of the view's value: it only saves its reader from asking about every machine.
func (v *View) Touched() []*Record {
	touched := v.touched
	v.touched = nil
	for _, r := range touched {
		r.touched = false
	}
	return touched
}
