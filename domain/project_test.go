package domain

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestReleasesAreImmutable(t *testing.T) {
	w := shopWorld(t)
	release := CreateRelease{Project: "shop", Version: "1.4.3", Origin: By("ann")}
	require.Equal(
		t,
		[]Event{
			ReleaseCreated{
				Incarnation: w.Project("shop").Incarnation,
				Version:     "1.4.3",
				Steps:       []Step{{Name: "install", Run: "./install.sh"}},
				Variables:   map[string]string{"PORT": "80"},
				Origin:      By("ann"),
			},
		},
		w.do(release),
	)
	release.By = "bob"
	require.Empty(t, w.do(release))

	project := shopProject()
	project.Settings.MaxParallel = Count(9)
	w.do(project)
	require.Empty(t, w.do(release), "limits are not part of a release")

	for name, change := range map[string]func(*ProjectSettings){
		"steps":     func(s *ProjectSettings) { s.Steps = []Step{{Name: "install", Run: "./install.sh", Retries: 1}} },
		"variables": func(s *ProjectSettings) { s.Variables = map[string]string{"PORT": "81"} },
		"secrets":   func(s *ProjectSettings) { s.Secrets = []string{"KEY"} },
	} {
		changed := shopProject()
		change(&changed.Settings)
		w.do(changed)
		w.rejects(
			release,
			Conflict,
			"release 1.4.3 of project shop already exists with other content: "+name,
			"another version",
		)
		require.Equal(
			t,
			map[string]string{"PORT": "80"},
			w.Project("shop").Releases["1.4.3"].Variables,
			"a change of %s changed a release",
			name,
		)
	}
	w.do(shopProject())
	require.Empty(t, w.do(release))
	require.Equal(t, []string{"1", "2", "3", "1.4.3"}, w.Project("shop").Versions)
}

func TestCreateReleaseNeedsStepsAndAValidVersion(t *testing.T) {
	w := shopWorld(t)
	w.do(ApplyProject{Name: "blog"})
	w.rejects(CreateRelease{Project: "blog", Version: "1"}, Conflict, "blog has no steps to release")
	w.rejects(CreateRelease{Project: "nix", Version: "1"}, NotFound, `project "nix"`)
	for _, version := range []string{"", "a/b", "-1", "1 2", strings.Repeat("1", 129), "é"} {
		w.rejects(CreateRelease{Project: "shop", Version: version}, Invalid, "version")
	}
	w.do(CreateRelease{Project: "shop", Version: "1.4.3-rc.1+build_7"})
}

func TestApplyProjectWritesOnlyChanges(t *testing.T) {
	w := newWorld(t)
	apply := ApplyProject{
		Name:     "shop",
		Settings: ProjectSettings{Roles: []string{"web", "api", "web"}, Secrets: []string{"B", "A"}},
		Origin:   By("ann"),
	}
	defined := w.do(apply)
	require.Equal(
		t,
		[]Event{ProjectDefined{Settings: ProjectSettings{Roles: []string{"api", "web"}, Secrets: []string{"A", "B"},
			Unavailable: SkipUnavailable, Attempts: 3, Backoff: DefaultBackoff}, Origin: By("ann")}},
		defined,
	)
	require.Empty(t, w.do(apply))
	apply.Disabled = true
	require.Equal(t, []Event{ProjectDisabled{Origin: By("ann")}}, w.do(apply))
	require.Equal(t, []Event{ProjectEnabled{}}, w.do(SetProjectEnabled{Name: "shop", Enabled: true}))
	require.Empty(t, w.do(SetProjectEnabled{Name: "shop", Enabled: true}))
	w.do(DeleteProject{Name: "shop"})
	for _, c := range []Command{
		DeleteProject{Name: "shop"}, SetProjectEnabled{Name: "shop"}, LiftPin{Project: "shop"}, LiftHold{Project: "shop"},
		SetPin{Project: "shop"}, ApplyTrigger{Project: "shop", Name: "t"}, SetTriggerEnabled{Project: "shop"},
		DeleteTrigger{Project: "shop"},
	} {
		w.rejects(c, NotFound, `project "shop" does not exist`)
	}
	require.Equal(
		t,
		[]Event{ProjectDefined{Settings: ProjectSettings{}.WithDefaults()}, ProjectDisabled{}},
		w.do(ApplyProject{Name: "shop", Disabled: true}),
	)
	require.Empty(t, w.Project("shop").Settings.Roles, "a re-created project starts empty")
}

func TestDecodedSettingsEqualTheAppliedSettings(t *testing.T) {
	w := newWorld(t)
	apply := ApplyProject{
		Name: "shop",
		Settings: ProjectSettings{
			Roles:     []string{},
			Variables: map[string]string{},
			Secrets:   []string{},
			Steps:     []Step{},
		},
	}
	typeName, data, err := Encode(w.do(apply)[0])
	require.NoError(t, err)
	back, err := Decode(typeName, data)
	require.NoError(t, err)
	w.streams[ProjectStream("shop")][0].event = back
	require.Empty(t, w.do(apply), "empty and omitted lists are equal after decoding")
}

func TestApplyTriggerRejectsInvalidSettings(t *testing.T) {
	w := shopWorld(t)
	good := TriggerSettings{Events: []Category{AvailableGroup}, Environments: []string{"*"}}
	many := make([]string, 201)
	for name, c := range map[string]struct {
		change func(*TriggerSettings)
		kind   RejectionKind
		words  string
	}{
		"no events": {func(s *TriggerSettings) { s.Events = nil }, Invalid, "has no events"},
		"only negative events": {func(s *TriggerSettings) {
			s.Events = []Category{Deleted, UnavailableGroup}
		}, Invalid, "only events that make a machine unavailable"},
		"unknown event": {func(s *TriggerSettings) {
			s.Events = []Category{Added, "MachineSang"}
		}, Invalid, `unknown event "MachineSang"`},
		"no environments": {func(s *TriggerSettings) { s.Environments = nil }, Invalid, "has no environments"},
		"unknown environment": {func(s *TriggerSettings) {
			s.Environments = []string{"production", "qa"}
		}, NotFound, `environment "qa" does not exist`},
		"environment with a slash": {func(s *TriggerSettings) {
			s.Environments = []string{"a/b"}
		}, Invalid, "'/' at character 2"},
		"201 environments": {func(s *TriggerSettings) {
			s.Environments = many
			for i := range many {
				many[i] = "e" + strings.Repeat("x", i%60) + string(rune('a'+i/60))
			}
		}, Invalid, "too many environments: 201"},
		"role with a space": {func(s *TriggerSettings) { s.Roles = []string{"a b"} }, Invalid, "role"},
	} {
		t.Run(name, func(t *testing.T) {
			s := good
			c.change(&s)
			w.rejects(ApplyTrigger{Project: "shop", Name: "t", Settings: s}, c.kind, c.words)
		})
	}
	for _, category := range []Category{Changed, HealthGroup, AllGroup, BecameWarning} {
		w.do(
			ApplyTrigger{
				Project:  "shop",
				Name:     "t",
				Settings: TriggerSettings{Events: []Category{category, Deleted}, Environments: []string{"production"}},
			},
		)
	}
	w.rejects(ApplyTrigger{Project: "shop", Name: "a/b", Settings: good}, Invalid, "trigger")
}

func TestProjectHasAtMostMaxTriggers(t *testing.T) {
	w := shopWorld(t)
	for i := len(w.Project("shop").Triggers); i < MaxTriggers; i++ {
		w.do(
			ApplyTrigger{
				Project:  "shop",
				Name:     fmt.Sprintf("t%d", i),
				Settings: TriggerSettings{Events: []Category{Added}, Environments: []string{"*"}},
			},
		)
	}
	one := ApplyTrigger{
		Project:  "shop",
		Name:     "more",
		Settings: TriggerSettings{Events: []Category{Added}, Environments: []string{"*"}},
	}
	w.rejects(one, Conflict, "project shop already has 1000 triggers", "several events")
	one.Name, one.Disabled = "t999", true
	w.do(one)
}

func TestApplyTriggerWritesOnlyChanges(t *testing.T) {
	w := shopWorld(t)
	apply := ApplyTrigger{
		Project: "shop",
		Name:    "t",
		Settings: TriggerSettings{
			Events:       []Category{Deleted, Added, Deleted},
			Environments: []string{"staging", "production"},
		},
	}
	defined := w.do(apply)
	require.Equal(
		t,
		[]Event{
			TriggerDefined{
				Trigger: "t",
				Settings: TriggerSettings{
					Events:       []Category{Added, Deleted},
					Environments: []string{"production", "staging"},
				},
			},
		},
		defined,
	)
	apply.Settings.Events = []Category{Added, Deleted}
	require.Empty(t, w.do(apply), "the same set in another order")
	apply.Disabled = true
	require.Equal(t, []Event{TriggerDisabled{Trigger: "t"}}, w.do(apply))
	require.Empty(t, w.do(SetTriggerEnabled{Project: "shop", Name: "t"}))
	require.Equal(
		t,
		[]Event{TriggerEnabled{Trigger: "t", Origin: By("ann")}},
		w.do(SetTriggerEnabled{Project: "shop", Name: "t", Enabled: true, Origin: By("ann")}),
	)
	w.do(DeleteTrigger{Project: "shop", Name: "t"})
	w.rejects(DeleteTrigger{Project: "shop", Name: "t"}, NotFound, `no trigger "t"`)
	w.rejects(SetTriggerEnabled{Project: "shop", Name: "t"}, NotFound, `no trigger "t"`)
	require.Equal(t, []Event{TriggerDefined{Trigger: "t", Settings: TriggerSettings{Events: []Category{Added, Deleted},
		Environments: []string{
			"production",
			"staging",
		}}}, TriggerDisabled{Trigger: "t"}}, w.do(ApplyTrigger{Project: "shop", Name: "t",
		Settings: TriggerSettings{
			Events:       []Category{Added, Deleted},
			Environments: []string{"production", "staging"},
		}, Disabled: true}))
}

func TestTriggerSweepsOnlyWithAllPositiveEvents(t *testing.T) {
	w := shopWorld(t)
	positive := []Category{Added, BecameHealthy, BecameWarning, CameOnline, Changed, Enabled}
	withoutChanged := []Category{Added, BecameHealthy, BecameWarning, CameOnline, Enabled}
	for name, c := range map[string]struct {
		events []Category
		opens  []Category
		sweeps bool
	}{
		"the group of available":      {[]Category{AvailableGroup}, positive, true},
		"the group of all":            {[]Category{AllGroup}, positive, true},
		"one positive event":          {[]Category{CameOnline, WentOffline}, []Category{CameOnline}, false},
		"all positive events but one": {withoutChanged, withoutChanged, false},
	} {
		t.Run(name, func(t *testing.T) {
			w.do(
				ApplyTrigger{
					Project:  "shop",
					Name:     "t",
					Settings: TriggerSettings{Events: c.events, Environments: []string{"production"}},
				},
			)
			trigger := w.Project("shop").Triggers["t"]
			require.ElementsMatch(t, c.opens, trigger.Opens)
			require.Equal(t, c.sweeps, trigger.Sweeps)
			require.True(t, trigger.Matches(w.Machine("web-01"), []string{"web"}))
			require.False(t, trigger.Matches(w.Machine("db-01"), []string{"web"}))
			require.False(t, trigger.Matches(w.Machine("web-09"), nil))
			require.False(t, trigger.Matches(nil, nil))
		})
	}
}

func TestProjectEvolveRejectsInvalidEvents(t *testing.T) {
	p := NewProject("shop")
	require.ErrorContains(
		t,
		p.Evolve(number(1), TriggerDefined{Trigger: "t", Settings: TriggerSettings{Events: []Category{"MachineSang"}}}),
		`"MachineSang"`,
	)
	require.ErrorContains(t, p.Evolve(number(1), DeploymentQueued{Kind: "odd"}), `"odd"`)
	require.ErrorContains(t, p.Evolve(number(1), DeploymentEnded{State: "odd"}), `"odd"`)
	require.NoError(t, p.Evolve(number(1), TriggerDisabled{Trigger: "unknown"}))
}

func TestCheckNameRejectsInvalidNames(t *testing.T) {
	for name, words := range map[string]string{
		"":                       "machine must not be empty",
		"a/b":                    `has '/' at character 2`,
		"a b":                    `has ' ' at character 2`,
		"-a":                     `has '-' at character 1`,
		".":                      `has '.' at character 1`,
		"a\x00":                  `at character 2`,
		"bär":                    `has 'ä' at character 2`,
		"a\xff":                  "at character 2",
		strings.Repeat("n", 64):  "has 64 characters",
		strings.Repeat("n", 300): "has 300 characters",
		strings.Repeat("é", 50):  `has 'é' at character 1`,
	} {
		r := CheckName("machine", name)
		require.NotNil(t, r, name)
		require.Contains(t, r.Error(), words)
		require.Less(t, len(r.Error()), 250)
		w := newWorld(t)
		w.do(ApplyEnvironment{Name: "production"})
		for _, c := range []Command{
			ApplyEnvironment{Name: name}, ApplyPolicy{Name: name}, ApplyProject{Name: name},
			ApplyMachine{Name: name, Environment: "production"},
		} {
			w.rejects(c, Invalid)
		}
	}
	for _, name := range []string{"a", "web-01", "Web_01.example", "1", strings.Repeat("n", 63)} {
		require.Nil(t, CheckName("machine", name))
	}
}

func TestProjectSettingsCheckRejectsInvalidSettings(t *testing.T) {
	step := func(change func(*Step)) ProjectSettings {
		s := Step{Name: "install", Run: "true"}
		change(&s)
		return ProjectSettings{Steps: []Step{s}}
	}
	long := func(n int, text string) []Step {
		steps := make([]Step, n)
		for i := range steps {
			steps[i] = Step{Name: "s" + strings.Repeat("x", i), Run: text}
		}
		return steps
	}
	for name, c := range map[string]struct {
		settings ProjectSettings
		words    string
	}{
		"negative maxParallel":    {ProjectSettings{MaxParallel: Count(-1)}, "invalid maxParallel -1"},
		"negative healthyFor":     {ProjectSettings{HealthyFor: -1}, "invalid healthyFor -1ns"},
		"healthyFor of two years": {ProjectSettings{HealthyFor: 2 * MaxAnyDuration}, "invalid healthyFor 17568h"},
		"negative maxFailures":    {ProjectSettings{MaxFailures: &Amount{Number: -1}}, "invalid maxFailures -1"},
		"maxFailures above 100%":  {ProjectSettings{MaxFailures: &Amount{101, true}}, "invalid maxFailures 101%"},
		"both limits on failures": {ProjectSettings{MaxFailures: &Amount{}, StopAfterFailures: 1},
			"stopAfterFailures and maxFailures are both set"},
		"negative stopAfterFailures":  {ProjectSettings{StopAfterFailures: -1}, "invalid stopAfterFailures -1"},
		"unknown unavailableMachines": {ProjectSettings{Unavailable: "wait"}, "use skip or fail"},
		"101 attempts":                {ProjectSettings{Attempts: 101}, "invalid automatic.attempts 101"},
		"negative attempts":           {ProjectSettings{Attempts: -1}, "invalid automatic.attempts -1"},
		"backoff above the limit": {ProjectSettings{Backoff: Duration(2 * time.Hour)},
			"invalid automatic.backoff 2h0m0s"},
		"invalid role": {ProjectSettings{Roles: []string{"a/b"}}, "role"},
		"reserved variable name": {ProjectSettings{Variables: map[string]string{"DROVER_X": ""}},
			"reserved for drover"},
		"invalid variable name": {ProjectSettings{Variables: map[string]string{"1A": ""}},
			`invalid variable name "1A"`},
		"invalid secret name": {ProjectSettings{Secrets: []string{"A-B"}}, `invalid secret name "A-B"`},
		"variable with a NUL byte": {ProjectSettings{Variables: map[string]string{"A": "\x00"}},
			"the value of variable A is not valid text"},
		"variable and secret with one name": {ProjectSettings{Variables: map[string]string{"A": ""}, Secrets: []string{"A"}},
			"A is both a variable and a secret"},
		"501 secrets": {ProjectSettings{Secrets: make([]string, 501)},
			"too many variables and secrets: 501"},
		"101 steps": {ProjectSettings{Steps: make([]Step, 101)}, "too many steps: 101"},
		"two steps with one name": {ProjectSettings{Steps: []Step{{Name: "a", Run: "b"}, {Name: "a", Run: "c"}}},
			"duplicate step a"},
		"step without a name":   {step(func(s *Step) { s.Name = "" }), "steps[0]"},
		"step without a script": {step(func(s *Step) { s.Run = "" }), "step install has no script"},
		"script of 3 MB": {step(func(s *Step) { s.Run = strings.Repeat("echo 12\n", 3<<17) }),
			"step install is 3145728 bytes long (use at most 131072; store large files where the machine can download them)"},
		"script that is not UTF-8": {step(func(s *Step) {
			s.Run = "\xff"
		}), "the script of step install is not valid text"},
		"negative timeout": {step(func(s *Step) { s.Timeout = -1 }), "invalid timeout"},
		"101 retries":      {step(func(s *Step) { s.Retries = 101 }), "invalid retries 101"},
		"folder of 5000 bytes": {step(func(s *Step) {
			s.Folder = strings.Repeat("/a", 2500)
		}), "invalid folder of step install"},
		"folder that is not UTF-8":  {step(func(s *Step) { s.Folder = "\xff" }), "invalid folder of step install"},
		"large scripts":             {ProjectSettings{Steps: long(4, strings.Repeat("x", 100<<10))}, "take 409"},
		"scripts that grow as JSON": {ProjectSettings{Steps: long(3, strings.Repeat("\x01", 100<<10))}, "take 18"},
		"many long folders": {ProjectSettings{Steps: func() []Step {
			steps := long(60, "true")
			for i := range steps {
				steps[i].Folder = strings.Repeat("\"", 4096)
			}
			return steps
		}()}, "steps, variables and secrets take"},
	} {
		t.Run(name, func(t *testing.T) {
			r := c.settings.Check()
			require.NotNil(t, r)
			require.Equal(t, Invalid, r.Kind)
			require.Contains(t, r.Error(), c.words)
			require.Less(t, len(r.Error()), 400)
		})
	}
	require.Nil(t, sampleSettings().Check())
	require.Nil(t, ProjectSettings{Steps: long(3, strings.Repeat("x", MaxStepBytes-1000))}.Check())
}

// maxAppend is the largest append that the log accepts, in bytes.
const maxAppend = 512 << 10

func TestLargestProjectFitsIntoOneAppend(t *testing.T) {
	settings := ProjectSettings{Variables: map[string]string{}}.WithDefaults()
	for _, text := range []string{"x", "\"", "\n", "\x01", "\u2028", "<"} {
		size := 1
		for n := MaxStepBytes; n > 0; n /= 2 { // a binary search for the largest accepted size
			settings.Steps = []Step{
				{Name: "a", Run: strings.Repeat(text, size+n)},
				{Name: "b", Run: strings.Repeat(text, size+n)},
				{Name: "c", Run: strings.Repeat(text, size+n)},
			}
			if settings.Check() == nil {
				size += n
			}
		}
		for i := range settings.Steps {
			settings.Steps[i].Run = strings.Repeat(text, size)
		}
		require.Nil(t, settings.Check())
		w := newWorld(t)
		apply := ApplyProject{Name: "shop", Settings: settings, Origin: By(strings.Repeat("b", 100)), Disabled: true}
		for _, events := range [][]Event{w.do(apply), w.do(CreateRelease{Project: "shop", Version: "1"})} {
			sum := 0
			for _, e := range events {
				_, data, err := Encode(e)
				require.NoError(t, err)
				sum += len(data)
			}
			require.LessOrEqual(t, sum, maxAppend, "%d times %q", 3*size, text)
		}
	}
}

func TestPolicySettingsCheckRejectsInvalidSettings(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*PolicySettings)
		words  string
	}{
		"short offlineAfter": {func(s *PolicySettings) {
			s.OfflineAfter = Duration(999 * time.Millisecond)
		}, "invalid offlineAfter 999ms"},
		"long offlineAfter": {func(s *PolicySettings) {
			s.OfflineAfter = MaxAnyDuration + 1
		}, "offlineAfter"},
		"negative lostAfter": {func(s *PolicySettings) { s.LostAfter = -1 }, "lostAfter"},
		"check without a script": {func(s *PolicySettings) {
			s.HealthCheck.Script = ""
		}, "healthCheck has no script"},
		"check of 65 KB": {func(s *PolicySettings) {
			s.HealthCheck.Script = strings.Repeat("x", 64<<10+1)
		}, "invalid healthCheck.script of 65537 bytes"},
		"check that is not UTF-8": {func(s *PolicySettings) {
			s.HealthCheck.Script = "\xff"
		}, "healthCheck.script"},
		"check with a short interval": {func(s *PolicySettings) { s.HealthCheck.Every = 1 }, "healthCheck.every"},
		"check with a negative timeout": {func(s *PolicySettings) {
			s.HealthCheck.Timeout = -1
		}, "healthCheck.timeout"},
		"clean-up after less than a minute": {func(s *PolicySettings) {
			s.CleanUp.After = Duration(59 * time.Second)
		}, "invalid cleanUp.after 59s"},
		"share above 100 %": {func(s *PolicySettings) {
			s.CleanUp.MaxShare = 101
		}, "invalid cleanUp.maxShare 101%"},
		"negative share": {func(s *PolicySettings) { s.CleanUp.MaxShare = -1 }, "cleanUp.maxShare"},
	} {
		t.Run(name, func(t *testing.T) {
			s := PolicySettings{
				HealthCheck: &HealthCheck{Script: "./ok"},
				CleanUp:     &CleanUp{After: Duration(time.Hour)},
			}.WithDefaults()
			require.Nil(t, s.Check())
			c.change(&s)
			r := s.Check()
			require.NotNil(t, r)
			require.Contains(t, r.Error(), c.words)
		})
	}
}

func TestLongestRunCountsEveryAttemptAndDoesNotOverflow(t *testing.T) {
	minute := Duration(time.Minute)
	require.Equal(t, 3*minute+DefaultStepTimeout, LongestRun([]Step{{Timeout: minute, Retries: 2}, {}}))
	require.Zero(t, LongestRun(nil))
	steps := make([]Step, MaxSteps)
	for i := range steps {
		steps[i] = Step{Timeout: MaxAnyDuration, Retries: MaxAttempts}
	}
	before := Duration(0)
	for i := range steps {
		longest := LongestRun(steps[:i+1])
		require.GreaterOrEqual(t, longest, before, "%d steps", i+1)
		before = longest
	}
	require.Greater(t, before, 50*MaxAnyDuration)
	require.Less(t, before, Duration(math.MaxInt64)-10*MaxAnyDuration, "a server adds lostAfter to it")
}
