package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections"
)

var (
	projects     = []string{"shop", "blog"}
	triggerNames = []string{"joins", "online", "again"}
	environments = []string{"production", "staging", "lab"}
)

// projectSettings returns the settings of a project in one of several variants.
func projectSettings(i, variant int) domain.ProjectSettings {
	settings := domain.ProjectSettings{
		Roles:             [][]string{{"web"}, nil, {"db", "web"}}[(i+variant)%3],
		MaxParallel:       []domain.Amount{{}, domain.Count(2), domain.Count(1), domain.Percent(40)}[variant%4],
		StopAfterFailures: []int{0, 0, 1, 2}[(variant/2)%4],
		Unavailable:       []domain.Unavailable{domain.SkipUnavailable, domain.FailUnavailable}[(variant/3)%2],
		HealthyFor:        domain.Duration([]time.Duration{0, 20 * time.Second, 0, 0, time.Minute}[variant%5]),
		Attempts:          2 + variant%2,
		Backoff:           domain.Duration(20 * time.Second),
		Steps:             []domain.Step{{Name: "install", Run: "true", Timeout: domain.Duration(time.Minute)}},
		Overrides:         overrides(variant),
	}
	if settings.StopAfterFailures == 0 && variant%3 == 1 {
		settings.MaxFailures = &[]domain.Amount{domain.Percent(40), domain.Count(1)}[variant%2]
	}
	return settings
}

// overrides returns overrides in one of several variants. The roles agree on the variable that both set.
func overrides(variant int) domain.Overrides {
	one, healthyFor := domain.Count(1+variant%2), domain.Duration(10*time.Second)
	workers := domain.Values{Variables: map[string]string{"WORKERS": "8"}}
	switch variant % 6 {
	case 1:
		return domain.Overrides{Environments: map[string]domain.Override{"production": {MaxParallel: &one}},
			Roles: map[string]domain.Override{"web": {Values: workers, MaxParallel: &one}, "db": {Values: workers}}}
	case 3:
		return domain.Overrides{Environments: map[string]domain.Override{"staging": {HealthyFor: &healthyFor}},
			Roles: map[string]domain.Override{"web": {MaxParallel: &one}, "db": {MaxParallel: &one}}}
	}
	return domain.Overrides{}
}

// trigger returns a trigger of a project in one of several variants.
func (p *cluster) trigger(i, t, variant int) domain.Command {
	events := [][]domain.Category{{domain.AvailableGroup}, {domain.CameOnline, domain.WentOffline},
		{domain.AvailableGroup}}
	if p.config.noSweep {
		events[0], events[2] = []domain.Category{domain.Changed, domain.BecameHealthy}, []domain.Category{domain.Enabled}
	}
	where := [][]string{{"*"}, {"production"}, {"production", "staging"}}
	return domain.ApplyTrigger{Project: projects[i], Name: triggerNames[t], Settings: domain.TriggerSettings{
		Events: events[t], Environments: where[variant%3], Roles: [][]string{nil, {"web"}}[(variant/3)%2],
		Redeploy: triggerNames[t] == "again"}}
}

// do sends a command; words is its form on the command line.
func (p *cluster) do(s *server, c domain.Command, words ...string) bool {
	if s.down {
		s = p.serving(0)
	}
	p.transcript.do(p.now, p.beginRequest(s), strings.Join(words, " "))
	by, preview := s.engine, p.foresee(s, c)
	_, ok := p.command(s, c)
	if ok {
		p.checkPreview(s, by, preview, strings.Join(words, " "))
	}
	return ok
}

const by = "person"

func (p *cluster) release(s *server, project string) {
	p.versions[project]++
	version := fmt.Sprintf("1.%d", p.versions[project])
	p.do(s, domain.CreateRelease{Project: project, Version: version, Origin: domain.By(by)}, "release create",
		project, version)
}

// version selects a release of a project, mostly the newest, or creates one.
func (p *cluster) version(s *server, project string, n int) string {
	if n%4 == 0 {
		p.release(s, project)
	}
	newest := p.versions[project]
	if n%5 == 4 && newest > 1 {
		newest--
	}
	return fmt.Sprintf("1.%d", newest)
}

func (p *cluster) pick(st step) (s *server, project, environment string) {
	return p.serving(st.a), projects[st.a/4%2], environments[st.a/8%len(environments)]
}

func (p *cluster) deployWide(st step) {
	s, project, environment := p.pick(st)
	version := p.version(s, project, st.b)
	c := domain.Deploy{Project: project, Release: version, Environment: environment, Origin: domain.By(by)}
	words := []string{"deploy", project, version, "--to", environment}
	if st.b%7 == 3 {
		n := []domain.Amount{{}, domain.Count(1), domain.Count(2), domain.Percent(60)}[st.b/7%4]
		c.MaxParallel = &n
		words = append(words, "--max-parallel", n.String())
	}
	if st.b%9 == 2 {
		c.OnlyBehind = true
		words = append(words, "--only-behind")
	}
	if st.b%11 == 5 {
		n := 1
		c.StopAfterFailures = &n
		words = append(words, "--stop-after-failures", "1")
	}
	if st.b%11 == 7 {
		n := []domain.Amount{{}, domain.Count(1), domain.Percent(50)}[st.b/11%3]
		c.MaxFailures = &n
		words = append(words, "--max-failures", n.String())
	}
	if st.b%5 == 2 {
		c.Waves = []domain.Waves{{domain.Count(1)}, {domain.Count(1), domain.Percent(50)}, {domain.Percent(40)}}[st.b/5%3]
		words = append(words, "--waves", c.Waves.String())
		if st.b%2 == 0 {
			c.WavePause = domain.Duration(40 * time.Second)
			words = append(words, "--pause", "40s")
		}
	}
	p.do(s, c, words...)
}

// some selects one to three machines of an environment.
func (p *cluster) some(environment string, n int) []string {
	var there []string
	for _, name := range p.names {
		if m := p.audit.Machines[name]; m != nil && m.Environment == environment {
			there = append(there, name)
		}
	}
	var picked []string
	for i := range min(1+n%3, len(there)) {
		picked = append(picked, there[(n/3+i)%len(there)])
	}
	slices.Sort(picked)
	return picked
}

func (p *cluster) deployNarrowed(st step) {
	s, project, environment := p.pick(st)
	machines := p.some(environment, st.b/20)
	if len(machines) == 0 {
		return
	}
	version := p.version(s, project, st.b)
	words := []string{"deploy", project, version, "--to", environment}
	for _, m := range machines {
		words = append(words, "--machine", m)
	}
	c := domain.Deploy{Project: project, Release: version, Environment: environment, Machines: machines,
		Origin: domain.By(by)}
	if st.b%6 == 1 {
		one := domain.Count(1)
		c.MaxFailures, words = &one, append(words, "--max-failures", "1")
	}
	p.do(s, c, words...)
}

func (p *cluster) deployExcluding(st step) {
	s, project, environment := p.pick(st)
	machines := p.some(environment, st.b/20)
	version := p.version(s, project, st.b)
	words := []string{"deploy", project, version, "--to", environment}
	for _, m := range machines {
		words = append(words, "--exclude", m)
	}
	p.do(s, domain.Deploy{Project: project, Release: version, Environment: environment, Exclude: machines,
		Origin: domain.By(by)}, words...)
}

func (p *cluster) rollback(st step) {
	s, project, environment := p.pick(st)
	p.do(s, domain.Rollback{Project: project, Environment: environment, Origin: domain.By(by)}, "rollback",
		project, "--to", environment)
}

func (p *cluster) retry(st step) {
	s, project, _ := p.pick(st)
	m := p.machine(st.b)
	p.do(s, domain.Retry{Project: project, Machine: m, Origin: domain.By(by)}, "retry", m, "--project", project)
}

// deployRole deploys to the machines with a role.
func (p *cluster) deployRole(st step) {
	s, project, environment := p.pick(st)
	version, role := p.version(s, project, st.b), []string{"web", "db"}[st.b/20%2]
	p.do(s, domain.Deploy{Project: project, Release: version, Environment: environment, Roles: []string{role},
		Origin: domain.By(by)}, "deploy", project, version, "--to", environment, "--role", role)
}

// repair retries the failed or skipped parts of one of the last deployments of a project.
func (p *cluster) repair(st step) {
	s, project, _ := p.pick(st)
	a := p.ledger.projects[project]
	if a == nil || len(a.deployments) == 0 {
		return
	}
	w := a.deployments[len(a.deployments)-1-st.b/4%min(6, len(a.deployments))]
	c := domain.RetryDeployment{Deployment: w.id, Failed: st.b%4 != 1, Skipped: st.b%4 > 0, Origin: domain.By(by)}
	words := []string{"retry", p.transcript.deployment(w.id)}
	if c.Failed {
		words = append(words, "--failed")
	}
	if c.Skipped {
		words = append(words, "--skipped")
	}
	p.do(s, c, words...)
}

// accept accepts one of the last deployments of a project.
func (p *cluster) accept(st step) {
	s, project, _ := p.pick(st)
	a := p.ledger.projects[project]
	if a == nil || len(a.deployments) == 0 {
		return
	}
	w := a.deployments[len(a.deployments)-1-st.b%min(4, len(a.deployments))]
	p.do(s, domain.AcceptDeployment{Deployment: w.id, Origin: domain.By(by)}, "accept", p.transcript.deployment(w.id))
}

// cancel cancels one of the open deployments.
func (p *cluster) cancel(st step) {
	s := p.serving(st.a)
	open := p.audit.OpenDeployments()
	if len(open) == 0 {
		return
	}
	d := open[st.b%len(open)]
	p.do(s, domain.CancelDeployment{Deployment: d.ID, Origin: domain.By(by)}, "cancel", p.transcript.deployment(d.ID))
}

// stopParts cancels one of the open deployments, or one that was cancelled before, and asks its running parts to stop.
// The agents of the simulation ignore that, as those of earlier versions do.
func (p *cluster) stopParts(st step) {
	s := p.serving(st.a)
	open := p.audit.OpenDeployments()
	if i := slices.IndexFunc(open, func(d *projections.Deployment) bool { return d.Cancelled }); i >= 0 && st.a%4 > 0 {
		open = open[i : i+1]
	}
	if len(open) == 0 {
		return
	}
	d := open[st.b%len(open)]
	p.do(s, domain.CancelDeployment{Deployment: d.ID, Kill: true, Origin: domain.By(by)}, "cancel",
		p.transcript.deployment(d.ID), "--kill")
}

// until returns an expiry for a pin or hold: none, soon or later.
func (p *cluster) until(s *server, n int) (*time.Time, []string) {
	d := []time.Duration{0, time.Minute, 20 * time.Minute}[n%3]
	if d == 0 {
		return nil, nil
	}
	until := s.Now().Add(d)
	return &until, []string{"--for", d.String()}
}

func (p *cluster) pin(st step) {
	s, project, environment := p.pick(st)
	version := fmt.Sprintf("1.%d", 1+st.b%max(1, p.versions[project]))
	until, words := p.until(s, st.b/16)
	p.do(s, domain.SetPin{Project: project, Release: version, Environment: environment,
		Until: until, Origin: domain.By(by)}, append([]string{"pin", project, version, "--in", environment}, words...)...)
}

func (p *cluster) unpin(st step) {
	s, project, environment := p.pick(st)
	p.do(s, domain.LiftPin{Project: project, Environment: environment, Origin: domain.By(by)}, "unpin", project,
		"--in", environment)
}

// retire retires one of the releases of a project, or restores a retired one.
func (p *cluster) retire(st step) {
	s, project, _ := p.pick(st)
	version := fmt.Sprintf("1.%d", 1+st.b/4%max(1, p.versions[project]))
	if a := p.ledger.projects[project]; a != nil && st.b%4 == 0 && len(a.retired) > 0 {
		version = slices.Sorted(maps.Keys(a.retired))[st.b/4%len(a.retired)]
		p.do(s, domain.RestoreRelease{Project: project, Release: version, Origin: domain.By(by)}, "release restore", project,
			version)
		return
	}
	p.do(s, domain.RetireRelease{Project: project, Release: version, Reason: "wrong", Origin: domain.By(by)},
		"release retire", project, version, "--reason", "wrong")
}

func (p *cluster) hold(st step) {
	s, project, _ := p.pick(st)
	m := p.machine(st.b)
	until, words := p.until(s, st.b/16)
	p.do(s, domain.SetHold{Project: project, Machine: m, Until: until, Origin: domain.By(by)},
		append([]string{"hold", m, "--project", project}, words...)...)
}

func (p *cluster) unhold(st step) {
	s, project, _ := p.pick(st)
	m := p.machine(st.b)
	p.do(s, domain.LiftHold{Project: project, Machine: m, Origin: domain.By(by)}, "unhold", m, "--project", project)
}

// onOff returns the verb that enables or disables.
func onOff(on bool) string {
	if on {
		return "enable"
	}
	return "disable"
}

func (p *cluster) switchProject(st step) {
	s, project, _ := p.pick(st)
	on := st.b%3 > 0
	p.do(s, domain.SetProjectEnabled{Name: project, Enabled: on, Origin: domain.By(by)}, "project", onOff(on), project)
}

func (p *cluster) switchTrigger(st step) {
	s, project, _ := p.pick(st)
	t, on := triggerNames[st.b/3%len(triggerNames)], st.b%3 > 0
	p.do(s, domain.SetTriggerEnabled{Project: project, Name: t, Enabled: on, Origin: domain.By(by)}, "trigger",
		onOff(on), project+"/"+t)
}

func (p *cluster) changeProject(st step) {
	i := st.a / 4 % 2
	if p.audit.Projects[projects[i]] != nil {
		p.apply(p.serving(st.a), domain.ApplyProject{Name: projects[i], Settings: projectSettings(i, st.b)})
	}
}

func (p *cluster) changePolicy(st step) { p.apply(p.serving(st.a), p.checkedPolicy(st.b%2 == 0)) }

func (p *cluster) changeTrigger(st step) {
	i, t := st.a/4%2, st.b%len(triggerNames)
	switch {
	case p.audit.Projects[projects[i]] == nil || triggerNames[t] == "again" && p.config.noRedeploy:
	case st.b%5 == 4:
		p.do(p.serving(st.a), domain.DeleteTrigger{Project: projects[i], Name: triggerNames[t], Origin: domain.By(by)},
			"delete trigger", projects[i]+"/"+triggerNames[t])
	default:
		p.apply(p.serving(st.a), p.trigger(i, t, st.b/5))
	}
}

// dropProject deletes a project, or creates it again.
func (p *cluster) dropProject(st step) {
	i := st.a / 4 % 2
	if p.audit.Projects[projects[i]] == nil {
		p.buildProject(p.serving(st.a), i, st.b)
		return
	}
	if st.b%2 == 1 {
		p.do(p.serving(st.a), domain.DeleteProject{Name: projects[i], Origin: domain.By(by)}, "delete project", projects[i])
	}
}

// switchEnvironment deletes the environment with the fewest machines, or creates it again.
func (p *cluster) switchEnvironment(st step) {
	s, name := p.serving(st.a), environments[2]
	if p.audit.Environments[name] == nil {
		p.apply(s, domain.ApplyEnvironment{Name: name})
		return
	}
	p.do(s, domain.DeleteEnvironment{Name: name, Origin: domain.By(by)}, "delete environment", name)
}
