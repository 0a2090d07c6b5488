package sim

import (
	"slices"
	"time"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
)

// ledger is the reference model. It reads the raw log event by event and computes the state of machines and projects in
// the simplest way. It uses neither the fold nor the claim check: a test in package layout checks that. The exception is
// judgeClaim, which compares its result with the fold and accepts the result of the fold in one case that it cannot
// decide.
type ledger struct {
	cluster *cluster
	at      eventlog.Position
	id      domain.ID // of the current event
	watch   watch
	// checked contains the policies with a health check; checkedAt is the position of the last change of a policy.
	checked   map[string]bool
	checkedAt eventlog.Position
	// graces contains offlineAfter by policy.
	graces map[string]time.Duration
	// wants contains what each project and environment wants, and the position since which it does.
	wants map[projectEnvironment]want
	// fence is the newest version of the rules with which a server has started; fencedAt is the position of that start.
	fence        int
	fencedAt     eventlog.Position
	environments map[string]bool
	// aside counts the damaged events of each stream that is set aside.
	aside    map[string]int
	machines map[string]*machineState
	// cleanedUp contains the machines that a clean-up deleted, with their requests. The same instance gets them back.
	cleanedUp     map[string]*cleanedUpState
	projects      map[string]*projectState
	deployments   map[domain.ID]*deploymentState
	installations map[machineProject]*installation
	successes     map[causeKey]int
	causes        map[domain.ID]cause
	// requests contains the open requests, each with its newest event.
	requests map[request]asked
	// tokenPolicies contains the policy of each join token, and given the policy that an instance has to get under a name.
	tokenPolicies map[string]string
	given         map[joinedAs]string
	// origin is the origin of the current event. Its writer may not have read the events that others have written since
	// to other streams.
	origin origin
}

// machineProject identifies a machine and a project, each with its incarnation.
type machineProject struct {
	machine        string
	machineCreated eventlog.Position
	project        string
	projectCreated eventlog.Position
}

// installation is the state of one project on one machine.
type installation struct {
	release        string
	instance       domain.ID
	from           domain.ID // the deployment of that success
	dirty          bool
	last           *partState
	person         *deploymentState
	holds          holdsOf
	failures       int
	failedInstance domain.ID // the instance on which the failures happened
	failedRelease  string    // the release that failed
	failedAt       time.Duration
	// upToDateSince is the position at which the machine last stopped being behind; 0 while it is behind.
	upToDateSince eventlog.Position
}

// projectEnvironment identifies a project and an environment.
type projectEnvironment struct {
	project     *projectState
	environment string
}

// want is the release that an environment wants, and the position of the last change.
type want struct {
	release string
	since   eventlog.Position
}

// causeKey identifies a cause on a machine, for counting the successes that it led to.
type causeKey struct {
	machine        string
	machineCreated eventlog.Position
	project        string
	cause          domain.ID
}

// cause is an event of a machine. fresh is set if it can lead to a redeployment.
type cause struct {
	machine  string
	fresh    bool
	position eventlog.Position
}

func newLedger(p *cluster) *ledger {
	return &ledger{cluster: p, checked: map[string]bool{}, watch: watch{starts: map[domain.ID]eventlog.Position{}},
		environments: map[string]bool{}, aside: map[string]int{}, machines: map[string]*machineState{},
		projects: map[string]*projectState{}, deployments: map[domain.ID]*deploymentState{},
		installations: map[machineProject]*installation{}, successes: map[causeKey]int{}, causes: map[domain.ID]cause{},
		requests: map[request]asked{}, cleanedUp: map[string]*cleanedUpState{}, graces: map[string]time.Duration{},
		wants: map[projectEnvironment]want{}, tokenPolicies: map[string]string{}, given: map[joinedAs]string{}}
}

// installation returns the state of a project on a machine, and creates it if necessary.
func (l *ledger) installation(a *projectState, h *machineState) *installation {
	key := machineProject{h.Name, h.created, a.name, a.created}
	if l.installations[key] == nil {
		l.installations[key] = &installation{holds: holdsOf{}}
	}
	return l.installations[key]
}

// inScope is an independent version of domain.InScope.
func inScope(h *machineState, environment string, roles []string) bool {
	if h == nil || h.Environment != environment {
		return false
	}
	return len(roles) == 0 || slices.ContainsFunc(roles, func(r string) bool { return slices.Contains(h.Roles, r) })
}

func (l *ledger) wanted(a *projectState, h *machineState) string {
	if k := l.installation(a, h).holds.strongest(); k != nil {
		return k.release
	}
	return a.wantedIn(h.Environment)
}

func (l *ledger) actual(a *projectState, h *machineState) string {
	if r := l.installation(a, h); r.instance == h.Instance {
		return r.release
	}
	return ""
}

func (l *ledger) behind(a *projectState, h *machineState) bool {
	r, wanted := l.installation(a, h), l.wanted(a, h)
	dirty := r.dirty && r.last != nil && r.last.instance == h.Instance
	return wanted != "" && (dirty || l.actual(a, h) != wanted)
}

// wantsRetired reports whether a hold wants a release that is retired, so that automation waits.
func (l *ledger) wantsRetired(a *projectState, h *machineState) bool {
	return a.retired[l.wanted(a, h)]
}

// madeUnhealthy reports whether the machine has been unhealthy since it tried the wanted release.
func (l *ledger) madeUnhealthy(a *projectState, h *machineState) bool {
	last := l.installation(a, h).last
	return h.Health == domain.Unhealthy && last != nil && last.instance == h.Instance &&
		last.deployment.Release == l.wanted(a, h) && h.healthSince > last.claimed
}

// heldHere reports whether automation must leave the machine alone.
func (l *ledger) heldHere(a *projectState, h *machineState) bool {
	k := l.installation(a, h).holds.strongest()
	return k != nil && (k.instance == h.Instance || k.release == "")
}

// apply reads one event.
func (l *ledger) apply(rec eventlog.Recorded) {
	l.at, l.id, l.origin = rec.Position, domain.ID(rec.ID), l.cluster.origins[rec.ID]
	fact, err := domain.Decode(rec.Type, rec.Data)
	if err != nil {
		l.aside[rec.Stream]++
		return
	}
	l.checkFence(rec, fact)
	switch kind, name := domain.SplitStream(rec.Stream); kind {
	case domain.MachineStreams:
		l.applyMachine(name, rec, fact)
	case domain.ProjectStreams:
		l.applyProject(name, rec, fact)
	case domain.ReleaseStreams:
		l.applyRelease(name, fact)
	case domain.EnvironmentStreams:
		l.applyEnvironment(name, fact)
	case domain.PartStreams:
		l.applyPart(name, rec, fact)
	case domain.WatchStream:
		l.applyWatch(rec, fact)
	case domain.PolicyStreams:
		if e, ok := fact.(domain.PolicyDefined); ok {
			had := l.checked[name]
			l.checked[name], l.checkedAt = e.Settings.HealthCheck != nil, rec.Position
			l.graces[name] = time.Duration(e.Settings.OfflineAfter)
			for h := range l.everyMachine() {
				if h.Policy == name {
					l.noteCheck(h, had)
					l.observe(h, fact)
				}
			}
		}
	case domain.TokenStreams:
		l.applyToken(name, fact)
	case domain.ServerStreams:
		l.applyStart(rec, fact)
	}
	l.updateWants()
	l.updateUpToDate()
	l.settle()
}

// updateWants records what environments want since when.
func (l *ledger) updateWants() {
	for _, a := range l.projects {
		for _, environment := range environments {
			key := projectEnvironment{a, environment}
			if now := a.wantedIn(environment); now != l.wants[key].release {
				l.wants[key] = want{now, l.at}
			}
		}
	}
}

// updateUpToDate records since when each machine has been up to date.
func (l *ledger) updateUpToDate() {
	for _, a := range l.projects {
		for _, h := range l.machines {
			r := l.installation(a, h)
			if l.behind(a, h) {
				r.upToDateSince = 0
			} else if r.upToDateSince == 0 {
				r.upToDateSince = l.at
			}
		}
	}
}
