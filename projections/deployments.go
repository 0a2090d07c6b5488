package projections

import (
	"cmp"
	"slices"
	"time"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
)

// Deployment is the deployment of one release to one environment.
type Deployment struct {
	ID domain.ID
	// Project is the project for which this was queued. It may have been deleted since.
	Project     *Project `cbor:"-"`
	Release     string
	Content     *domain.Release `cbor:"-"` // nil if the release did not exist
	Environment string
	Facts       domain.DeploymentQueued
	Kind        domain.DeploymentKind
	Queued      eventlog.Position
	QueuedTime  time.Time

	Parts map[string]*Part `cbor:"-"`
	Order []string         // machine names, sorted
	// Wave is the current wave, from 1; 0 if the deployment has no waves.
	Wave int

	// Cancelled is set if a person, or the deletion of the project or environment, stopped the deployment. CancelledFor
	// is the first of these reasons.
	Cancelled    bool
	CancelledFor domain.PartReason
	// CancelledBy is the person who cancelled it; empty if nobody did.
	CancelledBy string
	// Superseded is set if a later environment-wide deployment replaced it.
	Superseded bool
	// SupersededBy is the first deployment by a person that replaced it, or a part of it on a machine; zero without one.
	SupersededBy domain.ID
	// Accepted is who accepted the deployment although it did not succeed; nil if nobody did.
	Accepted  *Acceptance
	Ended     bool
	State     domain.DeploymentState // queued, running, or how it ended
	EndedAt   eventlog.Position
	EndedTime time.Time

	// orphaned is set if the project or environment was deleted. Claimed parts finish, but have no further effect.
	orphaned  bool
	sequence  int // order of folding; a stream that was set aside adds its deployments late
	next      int // index in Order of the first part that may still be queued; no part returns to queued
	open      int // parts that have not ended
	failures  int // see countEnded
	succeeded int // parts
	missed    int // skipped parts in failures: they say nothing about the release, so they do not end a wave
	waves     waves
}

// Part is one machine's share of a deployment.
type Part struct {
	Deployment *Deployment `cbor:"-"`
	Machine    string
	State      domain.PartState
	Reason     domain.PartReason
	// Step, ExitCode and Detail are what the agent reported about the end.
	Step     string
	ExitCode int
	Detail   string
	// Released, Claimed and EndedAt are positions, 0 if it has not happened. Claimed is the claim that counts.
	Released, Claimed, EndedAt eventlog.Position
	StartedTime, EndedTime     time.Time
	Session, Instance          domain.ID
	// Roles are the roles of the machine when the claim counted. They determine its variables and secrets.
	Roles []string
	// SlotRoles are the roles of the machine when the part was released. The part takes a slot of each until it ends.
	SlotRoles []string
	// Wave is the wave in which the part was released; 0 before that, and without waves.
	Wave int
	// Previous is the machine's actual release when the claim counted.
	Previous string
	// Triggers and Causes are why the engine selected this machine; empty for a person's deployment.
	Triggers []string
	Causes   []Cause
	// Verdict is the reason of the verdict that queued it.
	Verdict string
	// Reported is set if the agent's own result is in the log.
	Reported bool
	// Verifying is the position of the success that began the verification, 0 before it.
	Verifying eventlog.Position
	// Steady is the position since which the machine has been online and not unhealthy while the part is verified; 0
	// while it is not.
	Steady eventlog.Position
	// SteadyFrom is the event at Steady; zero while Steady is 0.
	SteadyFrom domain.ID
	// Broken is why the verification has failed. A server records that next.
	Broken domain.PartReason
	// Kill is who asked the machine's agent to stop the claimed part; nil if nobody did.
	Kill *Kill
	// Replaced lists the deployments whose unclaimed part on the machine ended because this one was queued.
	Replaced []domain.ID

	added      eventlog.Position // Machine.Added of the machine that was meant
	candidates []Candidate       // candidates that this part closed; a failure opens them again
	record     *Record           // of the machine name, while the part is open
}

// Kill is a person's request to stop a claimed part.
type Kill struct {
	Position eventlog.Position
	Time     time.Time
	Reason   string // may be empty
	domain.Origin
}

// Open reports whether the part has not ended.
func (p *Part) Open() bool {
	return p.Unclaimed() || p.State == domain.PartRunning || p.State == domain.PartVerifying
}

// Unclaimed reports whether the part is open and has not been claimed.
func (p *Part) Unclaimed() bool {
	return p.State == domain.PartQueued || p.State == domain.PartReleased
}

// IsFor reports whether m is the machine that the part was queued for, and not a later one of the same name.
func (p *Part) IsFor(m *Machine) bool { return m != nil && m.Added == p.added }

// Excludes reports whether the deployment excluded this machine by name.
func (d *Deployment) Excludes(machine string) bool {
	_, found := slices.BinarySearch(d.Facts.Exclude, machine)
	return found
}

// HasOpenWide reports whether an environment-wide deployment of the project is open in an environment.
func (p *Project) HasOpenWide(environment string) bool {
	return slices.ContainsFunc(p.wide, func(d *Deployment) bool { return d.Environment == environment && !d.orphaned })
}

// Unreleased returns the machines that may have a queued part, sorted. Some of their parts may have ended.
func (d *Deployment) Unreleased() []string { return d.Order[d.next:] }

// advanceNext skips the parts at the front that are no longer queued.
func (d *Deployment) advanceNext() {
	for d.next < len(d.Order) && d.Parts[d.Order[d.next]].State != domain.PartQueued {
		d.next++
	}
}

// HasUnclaimed reports whether a part of the deployment is open and has not been claimed.
func (d *Deployment) HasUnclaimed() bool {
	return slices.ContainsFunc(d.Order, func(name string) bool { return d.Parts[name].Unclaimed() })
}

// OpenParts counts the parts that have not ended.
func (d *Deployment) OpenParts() int { return d.open }

// OpenDeployments returns all deployments that have not ended, including those of deleted projects, in queue order.
func (v *View) OpenDeployments() []*Deployment { return v.open }

// queue creates a deployment. Its parts are the machines in scope at the position of the event.
func (v *View) queue(p *Project, e domain.DeploymentQueued, f Fact) {
	d := &Deployment{ID: f.id(), Project: p, Release: e.Release, Content: p.Releases[e.Release],
		Environment: e.Environment,
		Facts:       e, Kind: e.Kind, Queued: f.Position, QueuedTime: f.Time,
		Parts: make(map[string]*Part, len(e.Machines)), State: domain.DeploymentQueuedState}
	switch {
	case e.Kind == domain.EnvironmentWide:
		v.supersede(p, d, f)
		v.queueWide(p, d, f)
	case len(e.Roles) > 0:
		v.queueRoles(p, d, f)
	default:
		v.queueListed(p, d, f)
	}
	slices.Sort(d.Order)
	d.startWave(1)
	v.sequence++
	d.sequence = v.sequence
	v.Deployments[d.ID] = d
	v.list(d)
	v.releaseAtOnce(d)
	d.advanceNext()
	if d.Kind == domain.EnvironmentWide {
		v.settleEnvironment(p, d.Environment)
	}
}

// list adds a deployment to the lists of open ones.
func (v *View) list(d *Deployment) {
	p := d.Project
	v.open, p.Open = append(v.open, d), append(p.Open, d)
	if d.Kind == domain.EnvironmentWide {
		p.wide = append(p.wide, d)
	}
}

// supersede ends the unclaimed parts and the verifications of all earlier environment-wide deployments in the
// environment.
func (v *View) supersede(p *Project, d *Deployment, f Fact) {
	for _, older := range p.wide {
		if older.Environment == d.Environment {
			older.Superseded = true
			older.supersededBy(d)
			v.withdraw(older, nil, domain.Superseded, f)
			v.endVerifications(older, domain.Superseded, f)
		}
	}
}

// supersededBy records the first deployment that replaced this one, or a part of it.
func (d *Deployment) supersededBy(later *Deployment) {
	if d.SupersededBy.IsZero() {
		d.SupersededBy = later.ID
	}
}

// Replacement returns the deployment that replaced this one; nil if it was not replaced, or if that deployment is pruned.
func (v *View) Replacement(d *Deployment) *Deployment {
	if d.Superseded || d.State == domain.DeploymentCancelledState && !d.Cancelled {
		return v.Deployments[d.SupersededBy]
	}
	return nil
}

// replace ends the other unclaimed parts and verifications of the project on a machine for which a person's deployment
// adds a part. It is folded and not written to the log: which parts are unclaimed is certain only at the deployment's own
// position, and one append could not name them all. The new part is added first. Otherwise no person's part would be open
// in between, and candidates that wait for it would be closed.
func (v *View) replace(part *Part, f Fact) {
	for _, older := range slices.Clone(part.record.Parts) {
		switch {
		case older == part || older.Deployment.Project != part.Deployment.Project:
		case older.Unclaimed():
			v.end(older, domain.PartCancelled, domain.Superseded, f)
			older.Deployment.supersededBy(part.Deployment)
			part.Replaced = append(part.Replaced, older.Deployment.ID)
		case older.State == domain.PartVerifying:
			v.endVerification(older, domain.PartCancelled, domain.Superseded, f)
			older.Deployment.supersededBy(part.Deployment)
			part.Replaced = append(part.Replaced, older.Deployment.ID)
		}
	}
}

func (v *View) queueWide(p *Project, d *Deployment, f Fact) {
	for _, m := range v.MachinesIn(d.Environment) {
		if !domain.InScope(&m.Machine, d.Environment, p.Settings.Roles, nil) {
			continue
		}
		switch {
		case d.Excludes(m.Name):
			v.holdActual(d, m, domain.ExcludedHold, f)
			continue
		case d.Facts.OnlyBehind && v.HasRelease(p, m, d.Release):
			m.resetAttempts(p.Name)
			continue
		}
		part, held := v.addPart(d, m.Name), m.heldByPerson(p.Name)
		if !held {
			v.replace(part, f)
		}
		m.resetAttempts(p.Name)
		if held {
			v.skipHeld(part, f)
		}
	}
	for _, kept := range v.cleanUps.byName {
		if domain.InScope(&kept.Machine.Machine, d.Environment, p.Settings.Roles, nil) && !d.Excludes(kept.Name) {
			kept.resetAttempts(p.Name)
		}
	}
}

// queueListed adds the parts of the machines that a deployment lists. A name that is listed twice is one part.
func (v *View) queueListed(p *Project, d *Deployment, f Fact) {
	for _, named := range d.Facts.Machines {
		switch {
		case d.Parts[named.Name] != nil:
		case d.repairs():
			v.queueRepair(p, d, named, f)
		default:
			v.queueNamed(p, d, named, f)
		}
	}
}

// queueNamed adds the part of a machine that a person or the engine named. A part of the engine closes the machine's
// candidates.
func (v *View) queueNamed(p *Project, d *Deployment, named domain.DeploymentMachine, f Fact) {
	part := v.addPart(d, named.Name)
	m := part.record.Machine
	part.Triggers, part.Verdict = named.Triggers, named.Reason
	if d.Kind != domain.Automatic {
		v.replace(part, f)
	}
	if m == nil {
		return
	}
	if d.Kind != domain.Automatic {
		m.resetAttempts(p.Name)
		v.settle(p, m)
		return
	}
	for _, trigger := range named.Triggers {
		v.consume(p, part, m, trigger)
	}
	slices.SortStableFunc(part.Causes, func(a, b Cause) int { return cmp.Compare(a.Position, b.Position) })
	v.settle(p, m)
}

// consume closes a candidate that the part deploys to and stores it in the part. A sweep has no candidate: the part
// stores a new one, so that a failure is retried.
func (v *View) consume(p *Project, part *Part, m *Machine, trigger string) {
	c := &Candidate{Project: p, Trigger: trigger, Machine: m.Name, Opened: part.Deployment.Queued}
	if i, open := m.search(p.Name, trigger); open {
		c = m.candidates[i]
		v.close(c)
	}
	part.candidates = append(part.candidates, *c)
	for _, cause := range c.Causes {
		if !slices.Contains(part.Causes, cause) {
			part.Causes = append(part.Causes, cause)
		}
	}
}

func (v *View) addPart(d *Deployment, machine string) *Part {
	part := &Part{Deployment: d, Machine: machine, State: domain.PartQueued}
	v.openPart(part)
	if m := part.record.Machine; m != nil {
		part.added = m.Added
		m.busyAway = m.busyAway || !m.Online
	}
	d.Parts[machine] = part
	d.Order = append(d.Order, machine)
	d.open++
	v.touch(part.record)
	return part
}

// releaseAtOnce releases as many parts as there are free slots, at the position of the queue event.
func (v *View) releaseAtOnce(d *Deployment) {
	for _, name := range d.Order {
		if d.FreeSlots() == 0 || d.WaveSlots() == 0 {
			return
		}
		if part := d.Parts[name]; part.State == domain.PartQueued && d.RolesAllow(v.MachineOf(part), nil) {
			v.release(part, d.Queued)
		}
	}
}

// slotKey is the key of Project.released for a role.
func slotKey(environment, role string) string { return environment + "/" + role }

// RolesAllow reports whether each role of the machine that has a limit has a free slot. taken are the slots, by role, that
// the caller takes in addition.
func (d *Deployment) RolesAllow(m *Machine, taken map[string]int) bool {
	return m == nil || len(d.Facts.RoleSlots) == 0 || !slices.ContainsFunc(m.Roles, func(role string) bool {
		limit, limited := d.Facts.RoleSlots[role]
		return limited && d.Project.released[slotKey(d.Environment, role)]+taken[role] >= limit
	})
}

// Slots returns the limit that maxParallel sets, or 0 for no limit. A percentage is one of the machines of the
// deployment when it was queued.
func (d *Deployment) Slots() int { return d.Facts.MaxParallel.SlotsOf(len(d.Order)) }

// FreeSlots returns how many more parts of the deployment may be released now. Without maxParallel it is a large
// number.
func (d *Deployment) FreeSlots() int {
	slots := d.Slots()
	if slots == 0 {
		return 1 << 30
	}
	return max(0, slots-d.Project.released[d.Environment])
}

func (v *View) release(part *Part, at eventlog.Position) {
	part.State, part.Released, part.Wave = domain.PartReleased, at, part.Deployment.Wave
	if part.Wave > 0 {
		part.Deployment.waves.joins()
	}
	if m := v.MachineOf(part); m != nil {
		part.SlotRoles = m.Roles
	}
	part.takeSlots(1)
	v.touch(part.record)
}

// takeSlots adds n to the slots that the part takes: one of its environment, and one of each role of its machine.
func (p *Part) takeSlots(n int) {
	released := p.Deployment.Project.released
	released[p.Deployment.Environment] += n
	for _, role := range p.SlotRoles {
		released[slotKey(p.Deployment.Environment, role)] += n
	}
}

// foldDeployment folds an event about a queued deployment, whether or not its project still exists.
func (v *View) foldDeployment(f Fact) {
	switch e := f.Event.(type) {
	case domain.PartsReleased:
		v.releaseMore(e, f)
	case domain.PartsWithdrawn:
		if d := v.Deployments[e.Deployment]; d != nil {
			v.withdraw(d, e.Machines, e.Reason, f)
		}
	case domain.DeploymentCancelled:
		if d := v.Deployments[e.Deployment]; d != nil && !d.Ended {
			v.kill(d, e, f)
			v.cancel(d, e, f)
		}
	case domain.DeploymentAccepted:
		v.accept(e, f)
	case domain.DeploymentEnded:
		v.endDeployment(e, f)
	}
}

// kill records that a person asked to stop the parts that are claimed at this position. The first request counts: its
// sender is the one that the agent reports.
func (v *View) kill(d *Deployment, e domain.DeploymentCancelled, f Fact) {
	if !e.Kill {
		return
	}
	for _, name := range d.Order {
		part := d.Parts[name]
		if part.State == domain.PartRunning && part.Kill == nil && (e.Machine == "" || e.Machine == name) {
			part.Kill = &Kill{Position: f.Position, Time: f.Time, Reason: e.Reason, Origin: e.Origin}
			v.touch(part.record)
		}
	}
}

// cancel folds the first cancellation of a deployment. A later one only kills: a person may have ended the holds that
// the first one set.
func (v *View) cancel(d *Deployment, e domain.DeploymentCancelled, f Fact) {
	if d.Cancelled {
		return
	}
	d.CancelledBy = e.By
	d.cancel(domain.DeploymentStopped)
	v.withdraw(d, nil, domain.DeploymentStopped, f)
	v.endVerifications(d, domain.DeploymentStopped, f)
	if d.Kind == domain.Automatic && !d.Project.Gone {
		v.holdCancelled(d, f)
	}
}

func (d *Deployment) cancel(reason domain.PartReason) {
	if !d.Cancelled {
		d.Cancelled, d.CancelledFor = true, reason
	}
}

func (v *View) releaseMore(e domain.PartsReleased, f Fact) {
	d := v.Deployments[e.Deployment]
	if d == nil {
		return
	}
	d.startWave(e.Wave)
	for _, name := range e.Machines {
		if part := d.Parts[name]; part != nil && part.State == domain.PartQueued {
			v.release(part, f.Position)
		}
	}
	d.advanceNext()
}

// withdraw ends the named parts, or all if machines is nil, that are unclaimed at this position.
func (v *View) withdraw(d *Deployment, machines []string, reason domain.PartReason, f Fact) {
	if machines == nil {
		machines = d.Order
	}
	for _, name := range machines {
		if part := d.Parts[name]; part != nil && part.Unclaimed() {
			v.end(part, domain.PartCancelled, reason, f)
		}
	}
}

func (v *View) endDeployment(e domain.DeploymentEnded, f Fact) {
	d := v.Deployments[e.Deployment]
	if d == nil || d.Ended {
		return
	}
	p := d.Project
	d.Ended, d.State, d.EndedAt, d.EndedTime = true, e.State, f.Position, f.Time
	p.Open, p.wide = without(p.Open, d), without(p.wide, d)
	v.open = without(v.open, d)
	v.holdAfter(d, f)
	v.countTolerated(d)
	switch {
	case p.Gone:
	case d.Kind == domain.EnvironmentWide:
		d.confirmWanted(f.Position)
		v.settleEnvironment(p, d.Environment)
	default:
		v.settleNamed(p, d)
	}
	v.retain(d)
}

// without returns the list without d, or nil if nothing is left.
func without(list []*Deployment, d *Deployment) []*Deployment {
	return orNil(slices.DeleteFunc(list, func(o *Deployment) bool { return o == d }))
}

func (v *View) settleEnvironment(p *Project, environment string) {
	for _, m := range v.MachinesIn(environment) {
		v.settle(p, m)
	}
}

func (v *View) settleNamed(p *Project, d *Deployment) {
	for _, name := range d.Order {
		if m := v.Machines[name]; m != nil {
			v.settle(p, m)
		}
	}
}
