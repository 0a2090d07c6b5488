package explain

import (
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections/projectionstest"
	"github.com/droverhq/drover/triggers"
)

// constants returns the values of all constants of a named type in a file.
func constants(t *testing.T, file, typeName string) (values []string) {
	t.Helper()
	parsed, err := parser.ParseFile(gotoken.NewFileSet(), file, nil, 0)
	require.NoError(t, err)
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if name, ok := spec.Type.(*ast.Ident); ok && name.Name == typeName {
			for _, value := range spec.Values {
				text, err := strconv.Unquote(value.(*ast.BasicLit).Value)
				require.NoError(t, err)
				values = append(values, text)
			}
		}
		return true
	})
	require.NotEmpty(t, values)
	return values
}

func TestEveryReasonOfAVerdictHasASentence(t *testing.T) {
	l := shop(t)
	l.Add("machine/web-01", domain.MachineWentOffline{Connect: projectionstest.ID(l.Position), Session: session,
		Instance: instance, Reason: "silent"})
	l.Add("project/shop", domain.HoldSet{Machine: "web-01", Instance: instance, Reason: "lab", Origin: domain.By("ann")})
	for _, reason := range constants(t, "../triggers/rules.go", "Reason") {
		require.Contains(t, sentences, triggers.Reason(reason))
		sentence := Sentence(l.View, old, triggers.Verdict{Project: "shop", Machine: "web-01",
			Reason: triggers.Reason(reason), Release: "1.0", Triggers: []string{"joins"}}, nil)
		require.Regexp(t, `^[A-Z].*\.$`, sentence, reason)
		require.NotContains(t, sentence, "%!", reason)
	}
}

func TestEveryReasonOfAPartHasADescription(t *testing.T) {
	for _, reason := range constants(t, "../domain/reasons.go", "PartReason") {
		require.NotEqual(t, reason, domain.PartReason(reason).Text())
	}
}

func TestWhyExplainsTheVerdictAndWhatWouldChangeIt(t *testing.T) {
	checked := domain.PolicyDefined{Settings: domain.PolicySettings{HealthCheck: &domain.HealthCheck{Script: "true"}}}
	full := func(l *projectionstest.History) {
		l.Add("machine/web-01", domain.MachineConditionsChanged{Conditions: []domain.Condition{
			{Kind: domain.DiskFull, Detail: "/srv: no space"}}, Session: session})
	}
	for name, c := range map[string]struct {
		happens func(l *projectionstest.History)
		reason  string
		words   []string
	}{
		"due": {func(*projectionstest.History) {}, "behind", []string{"no known release",
			"should have release 1.0", "joins"}},
		"up to date": {func(l *projectionstest.History) { l.Attempt("web-01", "1.0", domain.PartSucceeded, "") },
			"up-to-date", []string{"web-01 has release 1.0"}},
		"disabled": {func(l *projectionstest.History) { l.Add("machine/web-01", domain.MachineDisabled{}) },
			"machine-unavailable", []string{"drover machine enable web-01"}},
		"project off": {func(l *projectionstest.History) { l.Add("project/shop", domain.ProjectDisabled{}) },
			"project-disabled", []string{"drover project enable shop"}},
		"trigger off": {func(l *projectionstest.History) {
			l.Add("project/shop",
				domain.TriggerDisabled{Trigger: "joins"})
		}, "trigger-disabled", []string{"drover trigger enable shop/joins"}},
		"missing environment": {func(l *projectionstest.History) {
			l.Add("machine/web-01",
				domain.MachineChanged{Environment: "moon"})
		}, "out-of-scope", []string{"moon, which does not exist"}},
		"other roles": {func(l *projectionstest.History) {
			l.Add("project/shop", domain.ProjectDefined{Settings: domain.ProjectSettings{Roles: []string{"db"}}})
		}, "out-of-scope", []string{"it has no roles", "requires role db"}},
		"held": {func(l *projectionstest.History) {
			l.Add("project/shop", domain.HoldSet{Machine: "web-01", Instance: instance, Origin: domain.By("ann"), Reason: "lab"})
		}, "held", []string{"at its current state", "by ann (lab)", "drover unhold web-01 --project shop"}},
		"running": {func(l *projectionstest.History) {
			l.Add("project/shop", domain.DeploymentQueued{Kind: domain.EnvironmentWide, Environment: "production",
				Release: "1.0", Origin: domain.By("ann")})
		}, "deployment-running", []string{"its part on web-01 is released"}},
		"almost ended": {func(l *projectionstest.History) {
			d := l.Add("project/shop", domain.DeploymentQueued{Kind: domain.EnvironmentWide, Environment: "production",
				Release: "1.0", Origin: domain.By("ann")})
			l.Add("part/"+d.String()+"/web-01", domain.PartClaimed{Project: "shop", Session: session, Instance: instance},
				domain.PartEnded{Project: "shop", State: domain.PartSucceeded, Session: session})
		}, "deployment-running", []string{"all of its parts have ended"}},
		"blocked": {func(l *projectionstest.History) { full(l) }, "machine-blocked", []string{
			"Machine web-01 starts no parts: its agent reports that the disk of its data folder is full (/srv: no space), since "}},
		"disabled and blocked": {func(l *projectionstest.History) {
			full(l)
			l.Add("machine/web-01", domain.MachineDisabled{})
		}, "machine-unavailable", []string{"to make it deployable. Machine web-01 starts no parts: its agent reports that the disk"}},
		"running on a blocked machine": {func(l *projectionstest.History) {
			full(l)
			l.Add("project/shop", domain.DeploymentQueued{Kind: domain.EnvironmentWide, Environment: "production",
				Release: "1.0", Origin: domain.By("ann")})
		}, "deployment-running", []string{"web-01 does not start its part, because its agent reports that the disk"}},
		"health unknown": {func(l *projectionstest.History) { l.Add("policy/default", checked) }, "health-unknown",
			[]string{"Policy default has a health check"}},
		"made unhealthy": {func(l *projectionstest.History) {
			l.Attempt("web-01", "1.0", domain.PartFailed, domain.StepFailed)
			l.Add("machine/web-01", domain.MachineHealthChanged{Status: domain.Unhealthy, Session: session})
		}, "made-unhealthy", []string{"since it tried release 1.0"}},
		"exhausted": {func(l *projectionstest.History) {
			for range 3 {
				l.Attempt("web-01", "1.0", domain.PartFailed, domain.StepFailed)
			}
		}, "retries-exhausted", []string{"3 times", "drover retry web-01 --project shop"}},
		"retry": {func(l *projectionstest.History) { l.Attempt("web-01", "1.0", domain.PartFailed, domain.StepFailed) },
			"retry", []string{"tried once"}},
		"retired": {func(l *projectionstest.History) {
			l.Add("project/shop", domain.HoldSet{Machine: "web-01", Release: "1.0", Instance: domain.ID{9}},
				domain.ReleaseRetired{Release: "1.0", Reason: "it leaks"})
		}, "release-retired", []string{"held at release 1.0, which is retired (it leaks)", "drover unhold web-01 --project shop",
			"drover release restore shop 1.0"}},
		"not released": {func(l *projectionstest.History) {
			l.Add("machine/web-01", domain.MachineChanged{Environment: "staging"})
		}, "nothing-released", []string{"drover deploy shop VERSION --to staging"}},
	} {
		l := shop(t)
		l.Add("environment/staging", domain.EnvironmentDefined{})
		l.Add("project/shop", domain.TriggerDefined{Trigger: "joins",
			Settings: domain.TriggerSettings{Events: []domain.Category{domain.AvailableGroup}, Environments: []string{"*"}}})
		c.happens(l)
		why := WhyOf(l.View, old, "shop", "web-01", l.Log, nil)
		require.Equal(t, c.reason, why.Reason, name)
		for _, words := range c.words {
			require.Contains(t, why.Sentence, words, name)
		}
	}
}

func TestBackingOffSentenceShowsTheRemainingTime(t *testing.T) {
	l := shop(t)
	l.Attempt("web-01", "1.0", domain.PartFailed, domain.StepFailed)
	why := WhyOf(l.View, fresh, "shop", "web-01", l.Log, nil)
	require.Equal(t, "backing-off", why.Reason)
	require.Contains(t, why.Sentence, "due in 1m0s")
}

func TestWhyShowsTheHistoryOfDeletedMachine(t *testing.T) {
	l := shop(t)
	l.Add("machine/web-01", domain.MachineDeleted{Reason: "clean-up"})
	why := WhyOf(l.View, old, "shop", "web-01", l.Log, nil)
	require.Contains(t, why.Sentence, "Machine web-01 does not exist")
	require.Equal(t, "machine web-01 deleted (clean-up)", why.History[len(why.History)-1].Text)
	require.Contains(t, WhyOf(l.View, old, "nothing", "web-01", nil, nil).Sentence, "Project nothing does not exist")
}

// full returns a history with at least one event of every type that concerns a machine and a project.
func full(t *testing.T) *projectionstest.History {
	l := shop(t)
	until := time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)
	l.Add("machine/web-01", domain.AgentConnected{Server: server, Session: session, Instance: instance},
		domain.MachineChanged{Environment: "production", Roles: []string{"web"}},
		domain.MachineDisabled{Origin: domain.By("ann")}, domain.MachineEnabled{Origin: domain.By("ann")},
		domain.MachineHealthChanged{Status: domain.Warning, Detail: "disk 91 %", Session: session},
		domain.MachineConditionsChanged{Conditions: []domain.Condition{{Kind: domain.Leftovers}}, Session: session},
		domain.MachineCleanUpHeld{Absent: 4, Machines: 10},
		domain.MachineReimageAllowed{Until: until, Origin: domain.By("ann")},
		domain.MachineLostState{Session: session, Lost: []domain.LostSuccess{{Project: "shop", Release: "1.0"}}},
		domain.MachineMemoryAccepted{Origin: domain.By("ann")}, domain.MachineMemoryCleared{Session: session})
	l.Add("project/shop", domain.ProjectDisabled{}, domain.ProjectEnabled{}, domain.TriggerDisabled{Trigger: "joins"},
		domain.TriggerEnabled{Trigger: "joins"},
		domain.PinSet{Environment: "production", Release: "1.0", Until: &until, Origin: domain.By("ann")},
		domain.PinLifted{Environment: "production", Reason: "expired"},
		domain.HoldSet{Machine: "web-01", Instance: instance, Reason: "lab"},
		domain.HoldLifted{Machine: "web-01", Reason: "lifted"},
		domain.ReleaseRetired{Release: "0.9", Reason: "mistyped"}, domain.ReleaseRestored{Release: "0.9"})
	l.Attempt("web-01", "1.0", domain.PartFailed, domain.StepFailed)
	bounded := domain.DeploymentQueued{Kind: domain.Narrowed, Environment: "production", Release: "1.0",
		Machines: []domain.DeploymentMachine{{Name: "web-01"}}, MaxParallel: domain.Count(1)}
	first := l.Add("project/shop", bounded)
	l.Add("project/shop", domain.PartsWithdrawn{Deployment: first, Reason: domain.TooManyFailures},
		domain.DeploymentEnded{Deployment: first, State: domain.DeploymentCancelledState},
		domain.DeploymentAccepted{Deployment: first, Origin: domain.By("ann")})
	l.Add("project/shop", bounded)
	second := l.Add("project/shop", bounded)
	l.Add("project/shop", domain.PartsReleased{Deployment: second, Machines: []string{"web-01"}},
		domain.DeploymentCancelled{Deployment: second, Origin: domain.By("ann")})
	l.Add("project/shop", domain.TriggerDeleted{Trigger: "joins"})
	verified := bounded
	verified.HealthyFor = domain.Duration(time.Minute)
	third := l.Add("project/shop", verified)
	l.Claim(third, "web-01")
	l.End(third, "web-01", domain.PartSucceeded, "")
	l.Add(domain.PartStream(third, "web-01"), domain.PartVerified{Project: "shop", State: domain.PartSucceeded})
	l.Add("machine/web-01", domain.MachineWentOffline{Connect: l.Machines["web-01"].Connect, Session: session,
		Instance: instance, Reason: "silent"},
		domain.MachineDeleted{Reason: domain.CleanUpReason}, domain.MachineCleanUpUndone{Instance: instance})
	return l
}

func TestEveryRelevantEventTypeHasAHistoryLine(t *testing.T) {
	l := full(t)
	lines := history(l.View, "shop", "web-01", l.Log, nil)
	described := map[string]bool{"ProjectDeleted": true} // it deletes the project
	for _, line := range lines {
		described[line.Type] = true
		require.NotContains(t, line.Text, "%!", line.Type)
	}
	for _, name := range domain.TypeNames() {
		switch strings.Split(name, ".")[0] {
		case "machine", "project", "trigger", "release", "deployment", "pin", "hold", "part":
			require.True(t, described[domain.NameOfType(name)], name)
		}
	}
}

func TestHistoryOmitsOtherMachines(t *testing.T) {
	l := full(t)
	l.Add("machine/web-02", domain.MachineAdded{Environment: "production"})
	l.Add("project/shop", domain.HoldSet{Machine: "web-02"}, domain.PinSet{Environment: "staging", Release: "1.0"})
	before := history(l.View, "shop", "web-01", l.Log[:len(l.Log)-3], nil)
	require.Equal(t, before, history(l.View, "shop", "web-01", l.Log, nil))
	for range 60 {
		l.Add("machine/web-01", domain.MachineDisabled{}, domain.MachineEnabled{})
	}
	require.Len(t, history(l.View, "shop", "web-01", l.Log, nil), MaxHistory)
}

func TestWhyTextShowsTheVerdictItsCausesAndTheHistory(t *testing.T) {
	l := shop(t)
	var b strings.Builder
	require.NoError(t, WhyOf(l.View, old, "shop", "web-01", l.Log, nil).Text(&b))
	require.Equal(t, `machine  web-01
project  shop
wanted   1.0
actual   none
verdict  deploy: behind
         Machine web-01 has no known release and should have release 1.0; trigger joins requested it, and the next tick deploys it.
causes   #7 MachineAdded
         #8 MachineCameOnline
history
  #2  09:00:02  ProjectDefined     project defined
  #3  09:00:03  TriggerDefined     trigger joins defined
  #4  09:00:04  ReleaseCreated     release 1.0 created
  #5  09:00:05  DeploymentQueued   deployment e0000000 of 1.0 to production queued while this machine was not in scope, by ann
  #7  09:00:07  MachineAdded       machine web-01 added to production, roles none, by agent
  #8  09:00:08  MachineCameOnline  machine web-01 came online, instance 00000100, session 00010000
`, b.String())
}

// TestDueIfEnabledReturnsMachinesThatWaitForIt guards what `drover trigger enable` prints before it enables anything.
func TestDueIfEnabledReturnsMachinesThatWaitForIt(t *testing.T) {
	wanted := []Due{{Project: "shop", Environment: "production", Release: "1.0", Machines: []string{"web-01"}}}
	l := shop(t)
	l.Add("project/shop", domain.TriggerDisabled{Trigger: "joins"})
	require.Empty(t, DueNow(l.View, old))
	require.Equal(t, wanted, DueIfEnabled(l.View, old, "shop", "joins"))

	l = shop(t)
	l.Add("project/shop", domain.TriggerDefined{Trigger: "joins", Settings: domain.TriggerSettings{
		Events: []domain.Category{domain.CameOnline}, Environments: []string{"production"}}}) // no sweep serves it
	l.Add("project/shop", domain.TriggerDisabled{Trigger: "joins"})
	require.Equal(t, wanted, DueIfEnabled(l.View, old, "shop", "joins"))
	l.Add("project/shop", domain.TriggerEnabled{Trigger: "joins"}, domain.ProjectDisabled{})
	require.Equal(t, wanted, DueIfEnabled(l.View, old, "shop", ""))
}
