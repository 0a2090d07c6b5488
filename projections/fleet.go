package projections

import (
	"fmt"
	"slices"
	"time"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
)

// Machine is a machine with the state that follows from several streams.
type Machine struct {
	domain.Machine
	// Added is the position at which this machine was added. A later machine of the same name has another one.
	Added     eventlog.Position
	AddedTime time.Time
	// PlacedTime is when it last changed its environment, roles or instance. It is only shown.
	PlacedTime time.Time `cbor:"StandsTime"`
	// Connected is the position at which its newest session began, 0 before the first.
	Connected eventlog.Position
	// Offline is the position at which it last went offline, 0 if it never did.
	Offline eventlog.Position
	// OfflineTime is the time of Offline. It is only shown.
	OfflineTime time.Time
	// HealthSince is the position at which its health last changed.
	HealthSince eventlog.Position
	// ConditionsSince are the positions since which the agent has reported each of Conditions.
	ConditionsSince map[domain.ConditionKind]Moment
	// HealthDetail is what the agent reported with its present health. It is only shown.
	HealthDetail string
	// HealthChanges are the times of the newest changes of its health, the oldest first. They are only shown.
	HealthChanges []time.Time
	// LostCheck is set while the machine has no health check but had one before, because the policy lost it or the
	// machine got another policy. Reports do not count then.
	LostCheck bool
	// Ready is the position at which it last became deployable or ended a claimed part.
	Ready eventlog.Position
	// ServerGone is set while it is offline because the server that held its session was gone. Its agent may be alive.
	ServerGone bool
	// Unknown is set while ServerGone is set and servers have not watched it for its policy's OfflineAfter since;
	// Unheard is how long they have. An unknown machine is not absent.
	Unknown bool
	Unheard time.Duration
	// Absence is how long servers have watched it being offline and not unknown.
	Absence time.Duration
	// Joined are the instances that joined with a token that is bound to this machine, since it last got another instance.
	// Each may take the place of the present one.
	Joined []domain.ID
	// JoinedBy is the instance that joined as this machine and has not been online yet; zero: none.
	JoinedBy domain.ID
	// Installed is the state of each project on this machine, by project name.
	Installed map[string]*Installed `cbor:"-"`
	// Claimed is the part that is running here; nil if none is.
	Claimed *Part `cbor:"-"`

	// busyAway is set if a part was open at any time since it last went offline.
	busyAway   bool
	candidates []*Candidate // open, ordered by project and trigger
	record     *Record
	indexed    indexKeys
	places     [machineIndexes]int
}

// Presence returns online, offline, or unknown before the first session.
func (m *Machine) Presence() string {
	switch {
	case m.Online:
		return "online"
	case m.Connected == 0:
		return "unknown"
	}
	return "offline"
}

// PolicyOf returns the policy of a machine: its own if that is defined, else the default policy.
func (v *View) PolicyOf(m *Machine) domain.PolicySettings { return v.policy(m.Policy) }

func (v *View) policy(name string) domain.PolicySettings {
	if p := v.Policies[name]; p != nil {
		return p.Settings
	}
	if p := v.Policies[domain.DefaultPolicy]; p != nil {
		return p.Settings
	}
	return domain.PolicySettings{}.WithDefaults()
}

// StrictestOfflineAfter returns the shortest OfflineAfter of any policy.
func (v *View) StrictestOfflineAfter() time.Duration {
	shortest := v.policy(domain.DefaultPolicy).OfflineAfter
	for _, p := range v.Policies {
		shortest = min(shortest, p.Settings.OfflineAfter)
	}
	return time.Duration(shortest)
}

// Deployable reports whether a part can run on the machine now, and if not, why.
func (v *View) Deployable(m *Machine) (bool, domain.PartReason) {
	return m.Deployable(v.checked(m))
}

func (v *View) foldMachine(name string, f Fact) error {
	switch e := f.Event.(type) {
	case domain.MachineAdded:
		return v.addMachine(name, f)
	case domain.MachineCleanUpUndone:
		v.undoCleanUp(name, e, f)
		return nil
	}
	m := v.Machines[name]
	if m == nil {
		if _, deleted := f.Event.(domain.MachineDeleted); deleted {
			v.cleanUps.forget(name)
		}
		return nil // any other fact that arrives after the machine's deletion has no effect
	}
	before, absent, resumes, checked := m.Machine, m.Offline > 0, m.resumes(f.Event), v.checked(m)
	wasReady, _ := v.Deployable(m)
	if err := m.Evolve(f.id(), f.Event); err != nil {
		return err
	}
	v.noteCheck(m, checked, f.Position)
	_, health := f.Event.(domain.MachineHealthChanged)
	void := health && m.LostCheck
	if void {
		m.Health = domain.HealthUnknown // a late result of the removed check
	}
	v.touch(m.record)
	v.notePositions(m, before, f)
	v.index.update(m)
	if ready, _ := v.Deployable(m); ready && !wasReady {
		m.Ready = f.Position
	}
	if moved(before, m.Machine) {
		m.PlacedTime = f.Time
	}
	var affected []*Project
	if _, enabled := f.Event.(domain.MachineEnabled); enabled || moved(before, m.Machine) {
		affected = v.affectedProjects(before, m.Machine)
	}
	switch e := f.Event.(type) {
	case domain.MachineDeleted:
		if byAgent := e.ByItsAgent(); byAgent || e.Reason == domain.CleanUpReason && e.Origin == (domain.Origin{}) {
			v.cleanUps.add(m, checked, byAgent)
		}
		v.deleteMachine(m)
		return nil
	case domain.MachineWentOffline, domain.MachineHealthChanged, domain.MachineCameOnline, domain.MachineChanged:
		v.observe(m, f)
	case domain.MachineEnabled:
		m.resetAllAttempts()
	}
	if e, ok := f.Event.(domain.MachineLostState); ok {
		affected = v.loseState(m, e, f)
	}
	switch {
	case void:
	case resumes:
		v.openCandidates(m, f, false, func(p *Project) bool { return p.mayWantAnother(m) })
	default:
		v.openCandidates(m, f, redeployDue(m, before, f, absent), anyProject)
	}
	v.settleMachine(m, affected)
	return nil
}

// noteCheck records that the machine has lost its health check, or has got one, compared with before. Results of a
// removed check do not count, and the first result of a new one is recorded whatever the last report was.
func (v *View) noteCheck(m *Machine, before bool, at eventlog.Position) {
	switch now := v.checked(m); {
	case before && !now:
		m.Health, m.Reported, m.HealthSince, m.LostCheck = domain.HealthUnknown, domain.HealthUnknown, at, true
	case !before && now:
		m.Reported, m.LostCheck = domain.HealthUnknown, false
	}
}

// notePositions records the positions at which presence and health changed.
func (v *View) notePositions(m *Machine, before domain.Machine, f Fact) {
	if m.Instance != before.Instance {
		v.replaceAgent(m, before.Instance)
		m.Joined = nil
	}
	if m.Connect != before.Connect {
		m.Connected, m.Absence = f.Position, 0
		m.ServerGone, m.Unknown, m.Unheard = false, false, 0
	}
	if before.Online && !m.Online {
		m.noteOffline(f.Event, f.Position, f.Time)
	}
	if m.Health != before.Health {
		m.HealthSince, m.HealthDetail = f.Position, ""
		if e, ok := f.Event.(domain.MachineHealthChanged); ok {
			m.HealthDetail = e.Detail
		}
		m.HealthChanges = append(m.HealthChanges[max(0, len(m.HealthChanges)+1-maxHealthChanges):], f.Time)
	}
	m.noteConditions(f)
}

const (
	// maxHealthChanges is how many times of HealthChanges are retained.
	maxHealthChanges = 20
	// FlapsWithin is the time in which FlapsFrom changes of the health mean that it flaps.
	FlapsWithin = 10 * time.Minute
	// FlapsFrom is from how many changes on the health flaps.
	FlapsFrom = 5
)

// Flaps returns how often the health changed within FlapsWithin until its last change, if it flaps, and the time of that
// change. It returns 0 if the health does not flap, or has not changed in the last FlapsWithin of the log.
func (v *View) Flaps(m *Machine) (times int, last time.Time) {
	if len(m.HealthChanges) < FlapsFrom {
		return 0, last
	}
	last = m.HealthChanges[len(m.HealthChanges)-1]
	for _, at := range m.HealthChanges {
		if last.Sub(at) <= FlapsWithin {
			times++
		}
	}
	if times < FlapsFrom || v.Time.Sub(last) > FlapsWithin {
		return 0, last
	}
	return times, last
}

// moved reports whether the change may affect the scope or the state of a project on the machine.
func moved(before, after domain.Machine) bool {
	return before.Environment != after.Environment || before.Instance != after.Instance ||
		!slices.Equal(before.Roles, after.Roles)
}

func (v *View) addMachine(name string, f Fact) error {
	if v.Machines[name] != nil {
		return fmt.Errorf("machine %s is added twice", name)
	}
	m := &Machine{Machine: domain.Machine{Name: name}, Added: f.Position, AddedTime: f.Time, PlacedTime: f.Time,
		Installed: map[string]*Installed{}}
	if err := m.Evolve(f.id(), f.Event); err != nil {
		return err
	}
	if e, ok := f.Event.(domain.MachineAdded); ok && e.Keeps {
		v.keepChoices(m)
	}
	v.cleanUps.forget(name)
	v.add(m)
	m.JoinedBy = joinerOf(f.Event)
	v.takePlaces(m)
	v.index.update(m)
	v.touch(m.record)
	for project := range m.Installed {
		v.index.setDeadline(deadlineKey{project: project, machine: name}, m.holdOf(project, domain.ManualHold).Until)
	}
	v.openCandidates(m, f, true, anyProject)
	v.settleMachine(m, v.projectsFor(m.Roles))
	return nil
}

// deleteMachine removes the machine and its candidates. Its open parts remain until a server ends them.
func (v *View) deleteMachine(m *Machine) {
	for _, c := range slices.Clone(m.candidates) {
		v.close(c)
	}
	for _, p := range v.index.toEvaluate {
		delete(p.sweep, m.Name)
		v.index.updateProject(p)
	}
	for project := range m.Installed {
		v.index.setDeadline(deadlineKey{project: project, machine: m.Name}, nil)
	}
	v.releasePlaces(m.Name, m.agent())
	v.index.remove(m)
	v.remove(m)
	m.record, m.indexed, m.places = &Record{Name: m.Name}, indexKeys{}, [machineIndexes]int{}
}

func (v *View) foldEnvironment(name string, f Fact) {
	switch f.Event.(type) {
	case domain.EnvironmentDefined:
		v.Environments[name] = &Environment{}
	case domain.EnvironmentDeleted:
		delete(v.Environments, name)
		for _, p := range v.Projects {
			v.leaveEnvironment(p, name, f)
		}
	}
}

// leaveEnvironment cancels the open deployments of a project in a deleted environment, and clears the project's state
// there.
func (v *View) leaveEnvironment(p *Project, name string, f Fact) {
	for _, d := range p.Open {
		if d.Environment == name {
			d.orphaned = true
			d.cancel(domain.EnvironmentGone)
			v.withdraw(d, nil, domain.EnvironmentGone, f)
			v.endVerifications(d, domain.EnvironmentGone, f)
		}
	}
	delete(p.Environments, name)
	delete(p.WantedSince, name)
	v.index.setDeadline(deadlineKey{project: p.Name, environment: name}, nil)
	v.settleProject(p)
}

func (v *View) foldPolicy(name string, f Fact) error {
	checked := make(map[*Machine]bool, len(v.Machines)) // before this event
	for _, m := range v.Machines {
		checked[m] = v.checked(m)
	}
	switch e := f.Event.(type) {
	case domain.PolicyDefined:
		settings := e.Settings.WithDefaults()
		if r := settings.Check(); r != nil {
			return r
		}
		v.Policies[name] = &Policy{Settings: settings}
	case domain.PolicyDeleted:
		delete(v.Policies, name)
	}
	for _, m := range v.Machines {
		v.noteCheck(m, checked[m], f.Position)
		v.observe(m, f)
		if m.Policy == name || name == domain.DefaultPolicy {
			v.touch(m.record)
		}
	}
	for _, kept := range v.cleanUps.byName {
		v.noteCheck(kept.Machine, kept.checked, f.Position)
		kept.checked = v.checked(kept.Machine)
	}
	return nil
}

// checked reports whether the machine's policy has a health check. Without one, the last result no longer counts,
// because no agent would ever replace it.
func (v *View) checked(m *Machine) bool { return v.PolicyOf(m).HealthCheck != nil }

func (v *View) foldToken(id string, f Fact) {
	if f.Stream == domain.ServerKeyStream {
		if e, ok := f.Event.(domain.ServerKeyCreated); ok {
			v.ServerKey = &ServerKey{Public: e.Public, Secret: e.Secret, Created: f.Position}
		}
		return
	}
	t := v.Tokens[id]
	if t == nil {
		t = &domain.Token{ID: id}
		v.Tokens[id] = t
	}
	t.Evolve(f.Event)
	switch e := f.Event.(type) {
	case domain.TokenCreated:
		t.Created = f.Time
	case domain.TokenUsed:
		t.Joined = f.Time
		if !slices.Contains(v.joined[e.Instance], t) {
			v.joined[e.Instance] = append(v.joined[e.Instance], t)
		}
		if m := v.Machines[e.Machine]; m != nil && t.Settings.Machine == e.Machine && m.Instance != e.Instance &&
			!slices.Contains(m.Joined, e.Instance) {
			m.Joined = append(m.Joined, e.Instance)
		}
		v.usePlace(t, e, f)
	case domain.TokenRevoked:
		for _, use := range t.Used {
			v.touch(v.record(use.Machine)) // its agent must be notified
		}
	}
}

// TokensOf returns the tokens that an instance joined with, in the order of first use.
func (v *View) TokensOf(instance domain.ID) []*domain.Token { return v.joined[instance] }

func (v *View) foldServer(f Fact) {
	e, ok := f.Event.(domain.ServerStarted)
	if !ok {
		return
	}
	_, name := domain.SplitStream(f.Stream)
	id, err := domain.ParseID(name)
	if err != nil {
		return
	}
	v.Servers[id] = &Server{ID: id, Event: f.id(), Started: f.Position, Time: f.Time, Facts: e}
	v.Watch.starts[f.id()] = f.Position
	if e.DecisionVersion > v.Fence.Decision {
		if v.Fence.Decision > 0 {
			v.Fence.Raised = f.Position
		}
		v.Fence.Decision = e.DecisionVersion
	}
}

// Watch is how far servers have watched the fleet. The absence of machines is counted by it.
type Watch struct {
	// Last is the id of the newest WatchPassed event, zero before the first.
	Last domain.ID
	// Position is the position of Last.
	Position eventlog.Position
	starts   map[domain.ID]eventlog.Position // by the id of ServerStarted
}

func (v *View) foldWatch(f Fact) {
	switch e := f.Event.(type) {
	case domain.WatchPassed:
		v.addAbsence(e, f)
	case domain.StreamCleared:
		v.clear(e.Stream)
	case domain.LogRestored:
		v.Restores = append(v.Restores, Restore{Was: e.Was, ID: f.id(), Position: f.Position})
		for _, m := range v.Machines {
			m.MemoryExcepted = slices.Contains(e.Except, m.Name)
			v.touch(m.record)
		}
	}
}

// addAbsence adds a span to the absence of each machine that was offline during all of it. A span counts only if it
// begins at the previous one or at a later start of a server; any other span would overlap.
func (v *View) addAbsence(e domain.WatchPassed, f Fact) {
	since, ok := v.Watch.Position, e.Since == v.Watch.Last
	if !ok {
		since, ok = v.Watch.starts[e.Since], v.Watch.starts[e.Since] > v.Watch.Position
	}
	if !ok {
		return
	}
	v.Watch.Last, v.Watch.Position = f.id(), f.Position
	for _, machines := range v.index.offline.lists {
		for _, m := range machines {
			if m.Offline < since {
				m.noteWatched(time.Duration(e.Span), time.Duration(v.PolicyOf(m).OfflineAfter))
			}
		}
	}
}
