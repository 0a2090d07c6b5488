package explain

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/projections/projectionstest"
	"github.com/droverhq/drover/triggers"
)

// situations are histories of web-01 in which a person can lift its hold, or enable it.
var situations = map[string]func(*projectionstest.History){
	"up to date": func(l *projectionstest.History) { l.Attempt("web-01", "1.0", domain.PartSucceeded, "") },
	"behind": func(l *projectionstest.History) {
		l.Attempt("web-01", "1.0", domain.PartSucceeded, "")
		l.Release("shop", "1.1")
		l.Want("1.1")
	},
	"ahead":   func(l *projectionstest.History) { named(l, "1.1") },
	"dirty":   func(l *projectionstest.History) { l.Attempt("web-01", "1.0", domain.PartFailed, domain.StepFailed) },
	"offline": func(l *projectionstest.History) { l.Disconnect("web-01") },
	"tried too often": func(l *projectionstest.History) {
		for range 5 {
			l.Attempt("web-01", "1.0", domain.PartFailed, domain.StepFailed)
		}
	},
	"during a rollout": func(l *projectionstest.History) { wide(l, "1.0") },
	"with a disabled trigger": func(l *projectionstest.History) {
		l.Add("project/shop", domain.TriggerDisabled{Trigger: "joins"})
	},
	"behind with a disabled trigger": func(l *projectionstest.History) {
		l.Attempt("web-01", "1.0", domain.PartSucceeded, "")
		l.Add("project/shop", domain.TriggerDisabled{Trigger: "joins"})
		l.Release("shop", "1.1")
		l.Want("1.1")
	},
	"with a trigger that redeploys": func(l *projectionstest.History) {
		l.Attempt("web-01", "1.0", domain.PartSucceeded, "")
		l.Add("project/shop", domain.TriggerDefined{Trigger: "joins", Settings: domain.TriggerSettings{Redeploy: true,
			Events: []domain.Category{domain.Enabled}, Environments: []string{"production"}}})
	},
	"with a trigger for another event": func(l *projectionstest.History) {
		l.Add("project/shop", domain.TriggerDefined{Trigger: "joins", Settings: domain.TriggerSettings{
			Events: []domain.Category{domain.BecameHealthy}, Environments: []string{"production"}}})
	},
	"in a disabled project": func(l *projectionstest.History) { l.Add("project/shop", domain.ProjectDisabled{}) },
}

// named deploys a new release to web-01, by name.
func named(l *projectionstest.History, release string) {
	l.Release("shop", release)
	d := l.Add("project/shop", domain.DeploymentQueued{Kind: domain.Narrowed, Environment: "production", Release: release,
		Machines: []domain.DeploymentMachine{{Name: "web-01"}}, Origin: domain.By("ann")})
	l.Claim(d, "web-01")
	l.End(d, "web-01", domain.PartSucceeded, "")
	l.Add("project/shop", domain.DeploymentEnded{Deployment: d, State: domain.DeploymentSucceeded})
}

// TestConsequenceIsWhatTheNextTickDecides compares the answer to a hypothetical question with the verdict after the
// command.
func TestConsequenceIsWhatTheNextTickDecides(t *testing.T) {
	judge := func(l *projectionstest.History, m *projections.Machine) triggers.Verdict {
		verdict := triggers.Judge(l.View, l.Projects["shop"], m, old)
		verdict.Causes = nil // the hypothetical event has no id
		return verdict
	}
	for name, arrange := range situations {
		t.Run("unhold a machine "+name, func(t *testing.T) {
			l := projectionstest.OneMachine(t)
			arrange(l)
			l.Add("project/shop", domain.HoldSet{Machine: "web-01", Instance: projectionstest.Instance})
			foreseen := judge(l, l.IfUnheld(l.Projects["shop"], l.Machines["web-01"]))
			require.NotNil(t, l.Machines["web-01"].Hold("shop"), "the question changed the view")
			l.Add("project/shop", domain.HoldLifted{Machine: "web-01"})
			require.Equal(t, judge(l, l.Machines["web-01"]), foreseen)
			requireTick(t, l, foreseen)
		})
		t.Run("enable a machine "+name, func(t *testing.T) {
			l := projectionstest.OneMachine(t)
			arrange(l)
			l.Add("machine/web-01", domain.MachineDisabled{})
			before := len(l.Candidates(l.Projects["shop"], l.Machines["web-01"]))
			foreseen := judge(l, l.IfEnabled(l.Projects["shop"], l.Machines["web-01"]))
			require.True(t, l.Machines["web-01"].Disabled, "the question changed the view")
			require.Len(t, l.Candidates(l.Projects["shop"], l.Machines["web-01"]), before, "the question changed the view")
			l.Add("machine/web-01", domain.MachineEnabled{})
			require.Equal(t, judge(l, l.Machines["web-01"]), foreseen)
			requireTick(t, l, foreseen)
		})
	}
}

// requireTick requires that the next tick deploys to web-01 if and only if the verdict is to deploy.
func requireTick(t *testing.T, l *projectionstest.History, foreseen triggers.Verdict) {
	t.Helper()
	deploys := slices.ContainsFunc(triggers.Decide(l.View, old),
		func(v triggers.Verdict) bool { return v.Machine == "web-01" && v.Kind == triggers.Deploy })
	require.Equal(t, foreseen.Kind == triggers.Deploy, deploys)
}

func TestWhyProposesNoCommandWithoutItsConsequence(t *testing.T) {
	of := func(l *projectionstest.History) Why { return WhyOf(l.View, old, "shop", "web-01", nil, nil) }
	l := projectionstest.OneMachine(t)
	named(l, "1.1") // this holds the machine
	require.Equal(t, "`drover unhold web-01 --project shop` makes due: shop on web-01: 1.1 → 1.0 at the next tick, an older release",
		of(l).Consequence)
	var text strings.Builder
	require.NoError(t, of(l).Text(&text))
	require.Contains(t, text.String(), of(l).Consequence)
	wide(l, "1.0")
	l.Add("machine/web-01", domain.MachineDisabled{})
	require.Empty(t, of(l).Consequence, "the sentence proposes nothing while a deployment is open")

	l = projectionstest.OneMachine(t)
	l.Add("machine/web-01", domain.MachineDisabled{})
	require.Equal(t, "For project shop, `drover machine enable web-01` makes due: shop on web-01: no known release → 1.0 "+
		"at the next tick", of(l).Consequence)
	l.Add("project/shop", domain.ProjectDisabled{})
	require.Equal(t, "`drover project enable shop` makes due in production: nothing at the next tick", of(l).Consequence)
	l.Add("machine/web-01", domain.MachineEnabled{})
	require.Equal(t, "`drover project enable shop` makes due in production: release 1.0 on 1 machine (web-01)",
		of(l).Consequence)

	l.Add("environment/staging", domain.EnvironmentDefined{})
	l.Add("machine/db-01", domain.MachineAdded{Environment: "staging"})
	l.Add("project/shop", domain.ProjectEnabled{})
	nothing := func() string { return WhyOf(l.View, old, "shop", "db-01", nil, nil).Consequence }
	require.Contains(t, nothing(), "`drover deploy shop VERSION --to staging` deploys to 1 machine at once")
	l.Add("project/shop", domain.DeploymentQueued{Kind: domain.EnvironmentWide, Environment: "staging", Release: "1.0"})
	require.Contains(t, nothing(), "of release 1.0 to staging is already open")

	l = projectionstest.OneMachine(t)
	for range 5 {
		l.Attempt("web-01", "1.0", domain.PartFailed, domain.StepFailed)
	}
	require.Equal(t, "`drover retry web-01 --project shop` deploys release 1.0 to it at once", of(l).Consequence)
	l.Disconnect("web-01")
	require.Empty(t, of(l).Consequence, "the sentence proposes no command")

	l = projectionstest.OneMachine(t)
	named(l, "1.1")
	l.Connect("web-01", projectionstest.Server, domain.ID{9})
	l.Add("project/shop", domain.ReleaseRetired{Release: "1.1", Reason: "it leaks"})
	require.Equal(t, "`drover unhold web-01 --project shop` makes due: shop on web-01: no known release → 1.0 at the next tick",
		of(l).Consequence)

	l = projectionstest.OneMachine(t)
	l.Release("shop", "2.0")
	d := l.Add("project/shop", domain.DeploymentQueued{Kind: domain.Narrowed, Environment: "production", Release: "2.0",
		Machines: []domain.DeploymentMachine{{Name: "web-01"}}, Origin: domain.By("ann")})
	l.Claim(d, "web-01")
	l.End(d, "web-01", domain.PartFailed, domain.StepFailed)
	retry := domain.Retry{Project: "shop", Machine: "web-01"}
	require.Equal(t, "2.0", retry.Release(l.World()))
	l.Add("project/shop", domain.ReleaseRetired{Release: "2.0", Reason: "it fails"})
	require.Equal(t, "1.0", retry.Release(l.World()))
}

// TestEveryProposedCommandHasAConsequence fails for a new sentence that proposes a command, until it says what that does.
func TestEveryProposedCommandHasAConsequence(t *testing.T) {
	l := full(t)
	for reason := range sentences {
		for name, m := range l.Machines {
			for project := range l.Projects {
				verdict := triggers.Verdict{Project: project, Machine: name, Reason: reason, Release: "1.0"}
				if strings.Contains(sentences[reason](subject{l.View, l.Projects[project], m, verdict, old, nil}), "run `drover") {
					require.NotNil(t, consequences[reason], reason)
				}
			}
		}
	}
}
