package sim

import (
	"slices"
	"time"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
)

// ledger is the reference: it reads the raw log, event by event, and knows the machines and projects in the
// plainest way. Of the fold it takes one thing, whether a claim counted, and holds that against its own rules.
type ledger struct {
	plant *plant
	at    eventlog.Position
	watch watch
	// checked are the policies that have a health check, checkedAt where one was last defined.
	checked   map[string]bool
	checkedAt eventlog.Position
	// fence is the newest version of the rules that a server has started with, fencedAt where it did.
	fence    int
	fencedAt eventlog.Position
	places   map[string]bool // environments that are defined
	// aside counts the damaged events of each stream that is set aside.
	aside  map[string]int
	hosts  map[string]*host
	apps   map[string]*app
	waves  map[domain.ID]*wave
	files  map[file]*record
	served map[served]int
	causes map[domain.ID]cause
	// requests are what events have made due, the last of them at this position.
	requests map[request]asked
	// origin is where the event that is noted now came from: what others wrote on other streams since its writer read
	// on, it may not have known.
	origin origin
}

// host is a machine as its own stream tells it.
type host struct {
	domain.Machine
	life eventlog.Position
	// running is the part that was claimed here and has not ended.
	running *share
	// away says since where it is offline; busy that a claimed part was open in that time.
	away eventlog.Position
	busy bool
	// absence is how long servers watched it being away, absentAt where that was long enough; watchedAt is how long
	// some server had been running when it went.
	absence, watchedAt time.Duration
	absentAt           eventlog.Position
	// moved is where its stream stands, healthSince where its health last changed.
	moved, healthSince eventlog.Position
}

// app is a project as its own stream tells it.
type app struct {
	name        string
	life        eventlog.Position
	incarnation domain.ID // that its releases name
	settings    domain.ProjectSettings
	disabled    bool
	gone        bool
	triggers    map[string]*rule
	releases    map[string][]domain.Step
	pins        map[string]string
	waves       []*wave // in the order they were queued
	// unsteady says that a trigger was switched, changed or deleted.
	unsteady bool
}

type rule struct {
	settings domain.TriggerSettings
	disabled bool
	since    eventlog.Position
}

// wave is a deployment.
type wave struct {
	domain.DeploymentQueued
	id     domain.ID
	app    *app
	queued eventlog.Position
	// covers are the machines of a person's deployment that nobody else may start on before it.
	covers    map[string]bool
	shares    map[string]*share
	cancelled bool
	// adrift says that its environment is gone.
	adrift bool
	ended  domain.DeploymentState
}

func (w *wave) person() bool { return w.Kind != domain.Automatic }

// share is a part whose claim counted.
type share struct {
	wave     *wave
	host     *host
	claimed  eventlog.Position
	instance domain.ID
	ended    bool
	result   domain.PartState
	reported bool
	before   string // what the disk had when the claim counted
}

// file is where the ledger keeps what one project did on one machine, both as they live now.
type file struct {
	machine  string
	host     eventlog.Position
	project  string
	appSince eventlog.Position
}

// record is what one project did on one machine.
type record struct {
	release  string
	instance domain.ID
	dirty    bool
	last     *share
	person   *wave
	keep     *keep
	fails    int
	failed   domain.ID // the instance that the fails are of
	failing  string    // and the release
	failedAt time.Duration
	// level is where the machine last ceased to be behind.
	level eventlog.Position
}

// keep is a hold.
type keep struct {
	instance domain.ID
	release  string
	wave     *wave             // nil for the verb
	set      eventlog.Position // of the verb
}

// served is for what the successes are counted that one cause led to.
type served struct {
	machine string
	host    eventlog.Position
	project string
	cause   domain.ID
}

// cause is a machine event, and whether it may ask for a redeployment.
type cause struct {
	machine  string
	fresh    bool
	position eventlog.Position
}

func newLedger(p *plant) *ledger {
	return &ledger{plant: p, checked: map[string]bool{}, watch: watch{starts: map[domain.ID]eventlog.Position{}}, places: map[string]bool{}, aside: map[string]int{}, hosts: map[string]*host{}, apps: map[string]*app{}, waves: map[domain.ID]*wave{},
		files: map[file]*record{}, served: map[served]int{}, causes: map[domain.ID]cause{}, requests: map[request]asked{}}
}

// record finds or begins what a project did on a machine.
func (l *ledger) record(a *app, h *host) *record {
	key := file{h.Name, h.life, a.name, a.life}
	if l.files[key] == nil {
		l.files[key] = &record{}
	}
	return l.files[key]
}

// inScope is scope in the plainest words.
func inScope(h *host, environment string, roles []string) bool {
	if h == nil || h.Environment != environment {
		return false
	}
	return len(roles) == 0 || slices.ContainsFunc(roles, func(r string) bool { return slices.Contains(h.Roles, r) })
}

// release is what the environment wants but for pins: of the environment-wide deployments that succeeded the
// one queued last.
func (a *app) release(environment string) (release string) {
	for _, w := range a.waves {
		if w.Kind == domain.EnvironmentWide && w.Environment == environment && !w.adrift && w.ended == domain.DeploymentSucceeded {
			release = w.Release
		}
	}
	return release
}

func (a *app) wantedIn(environment string) string {
	if pin, ok := a.pins[environment]; ok {
		return pin
	}
	return a.release(environment)
}

func (l *ledger) wanted(a *app, h *host) string {
	if k := l.record(a, h).keep; k != nil {
		return k.release
	}
	return a.wantedIn(h.Environment)
}

func (l *ledger) actual(a *app, h *host) string {
	if r := l.record(a, h); r.instance == h.Instance {
		return r.release
	}
	return ""
}

func (l *ledger) behind(a *app, h *host) bool {
	r, wanted := l.record(a, h), l.wanted(a, h)
	dirty := r.dirty && r.last != nil && r.last.instance == h.Instance
	return wanted != "" && (dirty || l.actual(a, h) != wanted)
}

// madeUnhealthy says that the machine is unhealthy since it tried what it should have.
func (l *ledger) madeUnhealthy(a *app, h *host) bool {
	last := l.record(a, h).last
	return h.Health == domain.Unhealthy && last != nil && last.instance == h.Instance && last.wave.Release == l.wanted(a, h) && h.healthSince > last.claimed
}

// heldHere says that automation must leave the machine alone.
func (l *ledger) heldHere(a *app, h *host) bool {
	k := l.record(a, h).keep
	return k != nil && (k.instance == h.Instance || k.release == "")
}

// note reads one event.
func (l *ledger) note(rec eventlog.Recorded, fact domain.Event) {
	l.at, l.origin = rec.Position, l.plant.origins[rec.ID]
	if fact == nil {
		l.noteDamage(rec)
		return
	}
	l.checkFence(rec, fact)
	switch kind, name := domain.SplitStream(rec.Stream); kind {
	case domain.MachineStreams:
		l.noteMachine(name, rec, fact)
	case domain.ProjectStreams:
		l.noteProject(name, rec, fact)
	case domain.ReleaseStreams:
		l.noteRelease(name, fact)
	case domain.EnvironmentStreams:
		l.noteEnvironment(name, fact)
	case domain.PartStreams:
		l.notePart(name, rec, fact)
	case domain.WatchStream:
		l.noteWatch(rec, fact)
	case domain.PolicyStreams:
		if e, ok := fact.(domain.PolicyDefined); ok {
			l.checked[name], l.checkedAt = e.Settings.HealthCheck != nil, rec.Position
		}
	case domain.ServerStreams:
		l.noteStart(rec, fact)
	}
	l.noteLevels()
	l.settle()
}

// noteLevels remembers since when each machine that is not behind is not.
func (l *ledger) noteLevels() {
	for _, a := range l.apps {
		for _, h := range l.hosts {
			r := l.record(a, h)
			if l.behind(a, h) {
				r.level = 0
			} else if r.level == 0 {
				r.level = l.at
			}
		}
	}
}

// noteEnvironment lets a name that is used again start empty.
func (l *ledger) noteEnvironment(name string, fact domain.Event) {
	if _, ok := fact.(domain.EnvironmentDefined); ok {
		l.places[name] = true
		return
	}
	delete(l.places, name)
	for _, a := range l.apps {
		delete(a.pins, name)
		for _, w := range a.waves {
			if w.Environment == name {
				w.adrift, w.cancelled = true, true
			}
		}
	}
}

func (l *ledger) noteMachine(name string, rec eventlog.Recorded, fact domain.Event) {
	h := l.hosts[name]
	if _, ok := fact.(domain.MachineAdded); ok {
		h = &host{Machine: domain.Machine{Name: name}, life: rec.Position}
		l.hosts[name] = h
	}
	if h == nil {
		return
	}
	before := h.Machine
	switch fact.(type) {
	case domain.MachineAdded, domain.MachineChanged, domain.MachineDeleted:
		l.checkCleanUp(h, fact)
	}
	_ = h.Evolve(domain.ID(rec.ID), fact)
	fresh := false
	switch fact.(type) {
	case domain.MachineAdded, domain.MachineChanged:
		fresh = true
	case domain.MachineEnabled:
		fresh = true
		l.forgiveHost(h)
	case domain.MachineCameOnline:
		fresh = before.Instance != h.Instance || h.away > 0 && !h.busy
	case domain.MachineDeleted:
		delete(l.hosts, name)
	}
	if e, ok := fact.(domain.MachineWentOffline); ok && before.Online && !h.Online {
		l.plant.checkOffline(name, e)
	}
	l.noteAway(h, before)
	if h.moved = rec.Position; h.Health != before.Health {
		h.healthSince = rec.Position
	}
	if l.hosts[name] == h {
		l.ask(h, fact)
	}
	l.causes[domain.ID(rec.ID)] = cause{name, fresh, rec.Position}
}

func (l *ledger) forgiveHost(h *host) {
	for _, a := range l.apps {
		l.record(a, h).fails = 0
	}
}

// noteRelease notes a release of a project that is there under the name and is the one that was meant.
func (l *ledger) noteRelease(name string, fact domain.Event) {
	project, incarnation, _, _ := domain.ParseReleaseStream(name)
	if a, e := l.apps[project], fact.(domain.ReleaseCreated); a != nil && a.incarnation == incarnation {
		a.releases[e.Version] = e.Steps
	}
}

func (l *ledger) noteProject(name string, rec eventlog.Recorded, fact domain.Event) {
	a := l.apps[name]
	if e, ok := fact.(domain.ProjectDefined); ok && a == nil {
		a = &app{name: name, life: rec.Position, incarnation: domain.ID(rec.ID), settings: e.Settings, triggers: map[string]*rule{}, releases: map[string][]domain.Step{}, pins: map[string]string{}}
		l.apps[name] = a
	}
	if a == nil {
		l.noteDeployment(rec, fact)
		return
	}
	switch e := fact.(type) {
	case domain.ProjectDefined:
		a.settings = e.Settings
	case domain.ProjectEnabled:
		a.disabled = false
	case domain.ProjectDisabled:
		a.disabled = true
	case domain.ProjectDeleted:
		a.gone = true
		delete(l.apps, name)
	case domain.PinSet:
		a.pins[e.Environment] = e.Release
		l.forgive(a, e.Environment)
	case domain.PinLifted:
		delete(a.pins, e.Environment)
		l.forgive(a, e.Environment)
	case domain.HoldSet:
		if h := l.hosts[e.Machine]; h != nil {
			l.record(a, h).keep = &keep{instance: e.Instance, release: e.Release, set: rec.Position}
		}
	case domain.HoldLifted:
		l.noteLift(a, e)
	case domain.DeploymentQueued:
		l.noteQueued(a, e, rec)
	default:
		a.noteTrigger(rec.Position, fact)
		l.noteDeployment(rec, fact)
	}
}

func (a *app) noteTrigger(at eventlog.Position, fact domain.Event) {
	switch e := fact.(type) {
	case domain.TriggerDefined:
		if a.triggers[e.Trigger] == nil {
			a.triggers[e.Trigger] = &rule{since: at}
		} else {
			a.unsteady = true
		}
		a.triggers[e.Trigger].settings = e.Settings
	case domain.TriggerEnabled:
		a.triggers[e.Trigger].disabled = false
	case domain.TriggerDisabled:
		a.triggers[e.Trigger].disabled, a.unsteady = true, true
	case domain.TriggerDeleted:
		a.unsteady = true
		delete(a.triggers, e.Trigger)
	}
}

func (l *ledger) noteLift(a *app, e domain.HoldLifted) {
	if h := l.hosts[e.Machine]; h != nil {
		r := l.record(a, h)
		r.keep = nil
		if e.Reason == domain.Lifted {
			r.fails = 0
		}
	}
}

// forgive begins the count of attempts anew: a person took the matter up.
func (l *ledger) forgive(a *app, environment string) {
	for _, h := range l.hosts {
		if h.Environment == environment {
			l.record(a, h).fails = 0
		}
	}
}

func (l *ledger) noteQueued(a *app, e domain.DeploymentQueued, rec eventlog.Recorded) {
	if l.waves[domain.ID(rec.ID)] != nil {
		l.plant.breaks("law 12: a record is never used again", "%s was queued twice", domain.ID(rec.ID))
	}
	w := &wave{DeploymentQueued: e, id: domain.ID(rec.ID), app: a, queued: rec.Position, covers: map[string]bool{}, shares: map[string]*share{}}
	if w.person() {
		l.checkPerson(w)
	} else {
		l.checkAutomatic(w)
	}
	a.waves = append(a.waves, w)
	l.waves[w.id] = w
	for _, named := range e.Machines {
		if h := l.hosts[named.Name]; h != nil && w.person() {
			w.covers[named.Name] = true
			l.record(a, h).fails = 0
		}
	}
	if e.Kind != domain.EnvironmentWide {
		return
	}
	l.checkScope(w)
	for _, h := range l.hosts {
		r := l.record(a, h)
		switch {
		case !inScope(h, e.Environment, a.settings.Roles):
		case slices.Contains(e.Exclude, h.Name):
			if r.keep == nil {
				r.keep = &keep{h.Instance, l.actual(a, h), w, 0}
			}
		default:
			r.fails = 0
			w.covers[h.Name] = r.keep == nil || r.keep.wave != nil
		}
	}
}

// noteDeployment reads what happens to a deployment, be its project there or not.
func (l *ledger) noteDeployment(rec eventlog.Recorded, fact domain.Event) {
	switch e := fact.(type) {
	case domain.PartsWithdrawn:
		if w := l.waves[e.Deployment]; w != nil && e.Reason == domain.NotClaimed && !w.app.gone {
			for _, name := range e.Machines {
				if h := l.hosts[name]; h != nil && w.shares[name] == nil {
					l.fail(w, h, h.Instance)
				}
			}
		}
	case domain.DeploymentCancelled:
		if w := l.waves[e.Deployment]; w != nil && w.ended == "" {
			w.cancelled = true
			if !w.person() && !w.app.gone {
				l.keepCancelled(w)
			}
		}
	case domain.DeploymentEnded:
		if w := l.waves[e.Deployment]; w != nil && w.ended == "" {
			w.ended = e.State
			l.checkEnd(w)
			if w.person() && !w.app.gone && !w.adrift {
				l.keepAfter(w)
			}
		}
	}
}

func (l *ledger) keepCancelled(w *wave) {
	for _, named := range w.Machines {
		h := l.hosts[named.Name]
		if s := w.shares[named.Name]; h == nil || s != nil && s.result == domain.PartSucceeded {
			continue
		}
		if r := l.record(w.app, h); r.keep == nil {
			r.keep = &keep{h.Instance, l.actual(w.app, h), w, 0}
		}
	}
}

// keepAfter sets and ends holds when a person's deployment has ended.
func (l *ledger) keepAfter(w *wave) {
	if w.ended == domain.DeploymentSucceeded && w.Kind == domain.EnvironmentWide {
		for _, h := range l.hosts {
			r := l.record(w.app, h)
			if r.keep != nil && r.keep.wave != nil && r.keep.wave.queued < w.queued && h.Environment == w.Environment && !slices.Contains(w.Exclude, h.Name) {
				r.keep = nil
			}
		}
		return
	}
	for _, s := range w.shares {
		r := l.record(w.app, s.host)
		verb := r.keep != nil && r.keep.wave == nil
		switch {
		case l.hosts[s.host.Name] != s.host || r.person != nil && r.person.queued > w.queued:
		case w.ended != domain.DeploymentSucceeded:
			if !verb {
				l.keepDisk(s, r, l.left(s))
			}
		case s.result != domain.PartSucceeded || verb:
		case w.Release == w.app.wantedIn(w.Environment):
			r.keep = nil
		default:
			l.keepDisk(s, r, w.Release)
		}
	}
}

// left is what a share left on its disk.
func (l *ledger) left(s *share) string {
	switch {
	case s.host.Instance == s.instance:
		return l.actual(s.wave.app, s.host)
	case s.result == domain.PartSucceeded:
		return s.wave.Release
	}
	return s.before
}

// keepDisk holds the disk that a share ran on. A new disk gets what the old one had; if that was nothing, it is free.
func (l *ledger) keepDisk(s *share, r *record, release string) {
	if s.host.Instance == s.instance || release != "" {
		r.keep = &keep{s.instance, release, s.wave, 0}
	}
}

func (l *ledger) notePart(name string, rec eventlog.Recorded, fact domain.Event) {
	id, machine, _ := domain.ParsePartStream(name)
	w := l.waves[id]
	if w == nil {
		return
	}
	switch e := fact.(type) {
	case domain.PartClaimed:
		if d := l.plant.audit.Deployments[id]; d != nil && d.Parts[machine] != nil && d.Parts[machine].Claimed == rec.Position {
			l.noteClaim(w, machine, e)
		}
	case domain.PartEnded:
		if s := w.shares[machine]; s != nil {
			l.noteEnd(s, e)
		}
	}
}

// noteClaim takes note of a claim that counted, if it was right that it did.
func (l *ledger) noteClaim(w *wave, machine string, e domain.PartClaimed) {
	h := l.hosts[machine]
	l.checkClaim(w, h, machine, e)
	if h == nil || l.plant.broken != nil {
		return
	}
	s := &share{wave: w, host: h, claimed: l.at, instance: e.Instance, result: domain.PartRunning, before: l.actual(w.app, h)}
	w.shares[machine], h.running, h.busy = s, s, true
	r := l.record(w.app, h)
	r.last = s
	if !w.person() {
		return
	}
	if r.person == nil || r.person.queued < w.queued {
		r.person = w
	}
	switch k := r.keep; {
	case k == nil:
	case k.wave == nil && w.Kind == domain.Narrowed && k.set < w.queued, k.wave != nil && k.wave.queued < w.queued:
		r.keep = nil
	}
}

func (l *ledger) noteEnd(s *share, e domain.PartEnded) {
	byAgent := e.ByAgent()
	here := l.hosts[s.host.Name] == s.host && !s.wave.app.gone
	r := l.record(s.wave.app, s.host)
	switch {
	case !s.ended:
		s.ended, s.result, s.reported = true, e.State, byAgent
		if s.host.running == s {
			s.host.running = nil
		}
		if here {
			l.outcome(s, r)
		}
	case byAgent && !s.reported:
		s.reported = true
		if here && e.State == domain.PartSucceeded && r.last == s && s.instance == s.host.Instance {
			l.success(s, r)
		}
	}
}

func (l *ledger) outcome(s *share, r *record) {
	if s.result == domain.PartSucceeded {
		l.success(s, r)
		if r.keep != nil && r.keep.wave == s.wave && !s.wave.person() {
			r.keep = nil
		}
		l.countCauses(s)
		l.serve(s)
		return
	}
	r.dirty = true
	if !s.wave.person() {
		l.fail(s.wave, s.host, s.instance)
	}
}

func (l *ledger) success(s *share, r *record) {
	r.release, r.instance, r.dirty, r.fails = s.wave.Release, s.instance, false, 0
}

// fail counts an attempt that did not succeed.
func (l *ledger) fail(w *wave, h *host, instance domain.ID) {
	r := l.record(w.app, h)
	if r.failed != instance || r.failing != w.Release {
		r.fails = 0
	}
	r.fails, r.failed, r.failing, r.failedAt = r.fails+1, instance, w.Release, l.plant.now
}

// attempts are those at what is wanted now, on this instance.
func (l *ledger) attempts(a *app, h *host) int {
	r := l.record(a, h)
	if r.failed != h.Instance || r.failing != l.wanted(a, h) {
		return 0
	}
	return r.fails
}
