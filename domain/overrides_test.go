package domain

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func variables(pairs ...string) Values {
	v := Values{Variables: map[string]string{}}
	for i := 0; i < len(pairs); i += 2 {
		v.Variables[pairs[i]] = pairs[i+1]
	}
	return v
}

// layered is a release in which each level sets something.
func layered() *Release {
	return &Release{Version: "1.0", Variables: map[string]string{"A": "project", "B": "project", "C": "project", "D": "project"},
		Secrets: []string{"KEY"},
		Roles: map[string]Values{"api": variables("B", "role", "C", "role"), "web": variables("B", "role", "W", "8"),
			"batch": {Variables: map[string]string{"W": "32"}, Secrets: []string{"Q"}}},
		Environments: map[string]Values{"production": {Variables: map[string]string{"C": "environment"}, Secrets: []string{"A"}},
			"lab": variables("KEY", "not secret", "W", "1")},
		Overridden: map[string]string{"D": "release"}}
}

func TestEnvironmentOverridesRoleAndBothOverrideTheProject(t *testing.T) {
	describe := func(environment string, roles ...string) string {
		values, disagreements := layered().Values(environment, roles)
		var lines []string
		for _, v := range values {
			text := v.Text
			if v.Secret {
				text = "(secret)"
			}
			lines = append(lines, fmt.Sprintf("%s=%s (%s)", v.Name, text, v.From))
		}
		for _, d := range disagreements {
			lines = append(lines, d.String())
		}
		return strings.Join(lines, "\n")
	}
	require.Equal(t, "A=project (project)\nB=project (project)\nC=project (project)\nD=release (release 1.0)\n"+
		"KEY=(secret) (project)", describe("staging", "db"))
	require.Equal(t, "A=(secret) (environment production)\nB=role (role api)\nC=environment (environment production)\n"+
		"D=release (release 1.0)\nKEY=(secret) (project)\nW=8 (role web)", describe("production", "web", "api"))
	require.Equal(t, "A=project (project)\nB=role (role web)\nC=project (project)\nD=release (release 1.0)\n"+
		"KEY=(secret) (project)\nQ=(secret) (role batch)\nits roles batch and web disagree on W", describe("staging", "web", "batch"))
	require.Equal(t, "A=project (project)\nB=role (role web)\nC=project (project)\nD=release (release 1.0)\n"+
		"KEY=not secret (environment lab)\nQ=(secret) (role batch)\nW=1 (environment lab)", describe("lab", "web", "batch"))
}

func TestRolesDisagreeOnlyOnWhatNothingOverrides(t *testing.T) {
	r := layered()
	require.Equal(t, &Disagreement{"W", [2]string{"batch", "web"}}, r.Disagreement("production", []string{"web", "batch"}))
	require.Nil(t, r.Disagreement("production", []string{"web", "api"}), "both set B to the same value")
	require.Nil(t, r.Disagreement("production", []string{"web", "db"}))
	require.Nil(t, r.Disagreement("lab", []string{"web", "batch"}), "the environment sets W")
	r.Overridden["W"] = "2"
	require.Nil(t, r.Disagreement("production", []string{"web", "batch"}), "the release sets W")
	secret := &Release{Roles: map[string]Values{"a": variables("K", ""), "b": {Secrets: []string{"K"}}}}
	require.NotNil(t, secret.Disagreement("e", []string{"a", "b"}), "a secret is not an empty variable")
}

func TestAMachineGetsEitherAVariableOrASecret(t *testing.T) {
	require.Equal(t, Values{Variables: map[string]string{"B": "role", "C": "environment", "D": "release", "W": "8"},
		Secrets: []string{"A", "KEY"}}, layered().For("production", []string{"api", "web"}))
	require.Equal(t, []string(nil), layered().For("lab", nil).Secrets)
	plain := &Release{Variables: map[string]string{"A": "1"}, Secrets: []string{"K"}}
	require.Equal(t, Values{plain.Variables, plain.Secrets}, plain.For("production", []string{"web"}))
}

func overriding(o Overrides) ApplyProject {
	p := shopProject()
	p.Settings.Overrides = o
	return p
}

func inEnvironments(all map[string]Override) ApplyProject {
	return overriding(Overrides{Environments: all})
}

func TestReleaseCopiesTheOverridesOfItsProject(t *testing.T) {
	w := shopWorld(t)
	production := map[string]Override{"production": {Values: variables("PORT", "443")}}
	w.do(overriding(Overrides{production, map[string]Override{"web": {Values: Values{Secrets: []string{"B", "A"}}}, "idle": {}}}))
	w.do(CreateRelease{Project: "shop", Version: "4"})
	w.rejects(CreateRelease{Project: "shop", Version: "3"}, Conflict, "already exists with other content: variables and secrets", "")
	w.do(shopProject())
	w.rejects(CreateRelease{Project: "shop", Version: "4"}, Conflict, "already exists with other content: variables and secrets", "")
	r := w.Project("shop").Releases["4"]
	require.Equal(t, map[string]Values{"production": variables("PORT", "443")}, r.Environments)
	require.Equal(t, map[string]Values{"web": {Secrets: []string{"A", "B"}}}, r.Roles, "an override that sets nothing is left out")
	require.Empty(t, w.do(shopProject()), "removing the overrides again is no change")
}

func TestInvalidOverridesAreRejectedWithTheirPlace(t *testing.T) {
	w := shopWorld(t)
	for want, c := range map[string]ApplyProject{
		`overrides.environments.production: invalid variable name "1"`: inEnvironments(map[string]Override{
			"production": {Values: variables("1", "")}}),
		`overrides.roles.web: K is both a variable and a secret`: overriding(Overrides{Roles: map[string]Override{
			"web": {Values: Values{map[string]string{"K": ""}, []string{"K"}}}}}),
		`overrides.roles.a b: role "a b" has`: overriding(Overrides{Roles: map[string]Override{
			"a b": {Values: variables("K", "")}}}),
	} {
		w.rejects(c, Invalid, want, "")
	}
	w.rejects(inEnvironments(map[string]Override{"producton": {Values: variables("K", "")}}), NotFound,
		`overrides.environments: environment "producton" does not exist`, "production, staging")
	large := strings.Repeat("x", MaxReleaseBytes/2)
	w.rejects(inEnvironments(map[string]Override{"production": {Values: variables("K", large)},
		"staging": {Values: variables("K", large)}}), Invalid, "steps, variables and secrets take", "")
}

func TestDeploymentThatNamesAMachineWhoseRolesDisagreeIsRefused(t *testing.T) {
	w := shopWorld(t)
	w.do(overriding(Overrides{Roles: map[string]Override{"web": {Values: variables("W", "8")},
		"batch": {Values: variables("W", "32")}}}))
	w.do(CreateRelease{Project: "shop", Version: "4"})
	w.do(ApplyMachine{Name: "web-02", Environment: "production", Roles: []string{"web", "batch"}})
	const reason = "machine web-02 cannot get release 4: its roles batch and web disagree on W"
	deploy := Deploy{Project: "shop", Release: "4", Environment: "production", Machines: []string{"web-01", "web-02"}}
	w.rejects(deploy, Conflict, reason, "overrides.environments.production")
	deploy.Machines = []string{"web-01"}
	require.Len(t, w.do(deploy), 1, "another machine is not concerned")
	deploy.Machines = nil
	require.Len(t, w.do(deploy), 1, "one machine does not stop a deployment to all")
	require.Len(t, w.do(Deploy{Project: "shop", Release: "3", Environment: "production", Machines: []string{"web-02"}}), 1, "release 3 has no overrides")
}

func TestLimitsAreThoseOfTheEnvironmentAndOfEachRole(t *testing.T) {
	w := shopWorld(t)
	two, half, none, healthyFor := Count(2), Percent(50), Count(0), Duration(time.Minute)
	p := overriding(Overrides{Environments: map[string]Override{"staging": {MaxParallel: &none, HealthyFor: &healthyFor}},
		Roles: map[string]Override{"web": {MaxParallel: &half}, "db": {MaxParallel: &two}, "idle": {MaxParallel: &none}}})
	p.Settings.MaxParallel, p.Settings.Roles = Count(5), []string{"web", "db"}
	w.do(p)
	w.do(ApplyMachine{Name: "other-01", Environment: "production", Roles: []string{"other"}})
	queued := func(d Deploy) DeploymentQueued {
		d.Project, d.Release = "shop", "3"
		return w.do(d)[0].(DeploymentQueued)
	}
	production := queued(Deploy{Environment: "production"})
	require.Equal(t, Count(5), production.MaxParallel)
	require.Equal(t, map[string]int{"web": 1, "db": 2}, production.RoleSlots, "a role without a limit is not bounded")
	staging := queued(Deploy{Environment: "staging"})
	require.Equal(t, none, staging.MaxParallel, "0 is an override")
	require.Equal(t, healthyFor, staging.HealthyFor)
	p.Settings.StopAfterFailures = 1
	p.Settings.Overrides.Environments["staging"] = Override{MaxFailures: &half}
	w.do(p)
	require.Equal(t, 1, queued(Deploy{Environment: "production"}).StopAfterFailures)
	staging = queued(Deploy{Environment: "staging"})
	require.Equal(t, []any{&half, 0}, []any{staging.MaxFailures, staging.StopAfterFailures}, "one limit on failures")
	require.Equal(t, two, queued(Deploy{Environment: "staging", MaxParallel: &two}).MaxParallel, "a person overrides both")
	w.rejects(overriding(Overrides{Roles: map[string]Override{"web": {HealthyFor: &healthyFor}}}), Invalid,
		"overrides.roles.web: a role cannot set healthyFor or maxFailures", "")
	bad := Count(-1)
	w.rejects(inEnvironments(map[string]Override{"staging": {MaxParallel: &bad}}), Invalid,
		"overrides.environments.staging: invalid maxParallel -1", "")
}
