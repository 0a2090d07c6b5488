package domain

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// golden compares text with a file in testdata, or writes the file with -rewrite.
func golden(t *testing.T, name, text string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *rewrite {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err, "write it with go test ./domain -run %s -rewrite", t.Name())
	require.Equal(t, string(want), text)
}

func TestTableOfPermissionsListsEveryVerb(t *testing.T) {
	columns := []struct {
		name  string
		verbs []Verb
	}{{"read", ReadScope.Verbs()}, {"deploy", DeployScope.Verbs()}, {"admin", AdminScope.Verbs()}}
	var text strings.Builder
	text.WriteString(fmt.Sprintf("%-13s | scopes           | permissions\n%-13s |", "", "verb"))
	for _, p := range Permissions() {
		columns = append(columns, struct {
			name  string
			verbs []Verb
		}{string(p), p.Verbs()})
	}
	for i, c := range columns {
		text.WriteString(separator(i) + " " + c.name)
	}
	for _, verb := range Verbs() {
		text.WriteString(fmt.Sprintf("\n%-13s |", verb))
		for i, c := range columns {
			mark := "-"
			if slices.Contains(c.verbs, verb) {
				mark = "x"
			}
			text.WriteString(fmt.Sprintf("%s %-*s", separator(i), len(c.name), mark))
		}
	}
	golden(t, "permissions.txt", trimLines(text.String()))
}

func separator(column int) string {
	if column == 3 {
		return " |"
	}
	return ""
}

func trimLines(text string) string {
	var trimmed strings.Builder
	for line := range strings.Lines(text + "\n") {
		trimmed.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	return trimmed.String()
}

// TestScopesOfExistingTokensNeverChange fails if a token that exists would gain or lose a permission.
func TestScopesOfExistingTokensNeverChange(t *testing.T) {
	require.Equal(t, []Verb{"read"}, ReadScope.Verbs())
	require.ElementsMatch(t, []Verb{"read", "release", "deploy", "roll-back", "cancel", "retry", "pin", "hold"},
		DeployScope.Verbs())
	require.Subset(t, AdminScope.Verbs(), DeployScope.Verbs())
	require.Len(t, AdminScope.Verbs(), len(Verbs())-1, "all verbs but join")
}

// oneProject is a World whose project is shared by all reads, as in a view.
type oneProject struct {
	World
	project *Project
}

func (w oneProject) Project(string) *Project { return w.project }

func TestNeedsOfATriggerDoNotChangeItsSettings(t *testing.T) {
	w := shopWorld(t)
	w.do(ApplyTrigger{Project: "shop", Name: "joins",
		Settings: TriggerSettings{Events: []Category{AvailableGroup}, Environments: []string{"staging"}}})
	p := w.Project("shop")
	shared := []string{"staging", ""} // decoded settings often have spare capacity
	p.Triggers["joins"].Settings.Environments = shared[:1]
	needs := ApplyTrigger{Project: "shop", Name: "joins",
		Settings: TriggerSettings{Environments: []string{"production"}}}.Needs(oneProject{w, p})
	require.Len(t, needs, 2)
	require.Empty(t, shared[1], "commands are checked concurrently")
}

// TestTableOfNeedsListsEveryCommand writes what each command needs in the world of the tests.
func TestTableOfNeedsListsEveryCommand(t *testing.T) {
	w := shopWorld(t)
	w.do(ApplyTrigger{Project: "shop", Name: "joins",
		Settings: TriggerSettings{Events: []Category{AvailableGroup}, Environments: []string{"staging"}}})
	w.deployments[number(9)] = &DeploymentFacts{Project: "shop", Environment: "production"}
	examples := map[string]Command{
		"machine.apply":             ApplyMachine{Name: "web-09", Environment: "production"},
		"machine.set-enabled":       SetMachineEnabled{Name: "web-01"},
		"machine.delete":            DeleteMachine{Name: "web-01"},
		"machine.reimage":           ReimageMachine{Name: "web-01"},
		"machine.return":            ReturnMachine{Name: "web-01"},
		"machine.connect":           ConnectMachine{Name: "web-01"},
		"machine.disconnect":        DisconnectMachine{Name: "web-01"},
		"machine.report-health":     ReportHealth{Name: "web-01"},
		"machine.report-lost-state": ReportLostState{Name: "web-01"},
		"machine.clear-memory":      ClearMemory{Name: "web-01"},
		"machine.accept-memory":     AcceptMemory{Name: "web-01"},
		"project.apply":             ApplyProject{Name: "shop"},
		"project.set-enabled":       SetProjectEnabled{Name: "shop"},
		"project.delete":            DeleteProject{Name: "shop"},
		"trigger.apply": ApplyTrigger{Project: "shop", Name: "joins",
			Settings: TriggerSettings{Environments: []string{"production"}}},
		"trigger.set-enabled":    SetTriggerEnabled{Project: "shop", Name: "joins"},
		"trigger.delete":         DeleteTrigger{Project: "shop", Name: "joins"},
		"release.create":         CreateRelease{Project: "shop"},
		"release.retire":         RetireRelease{Project: "shop"},
		"release.restore":        RestoreRelease{Project: "shop"},
		"deployment.deploy":      Deploy{Project: "shop", Environment: "production"},
		"deployment.roll-back":   Rollback{Project: "shop", Environment: "production"},
		"deployment.retry":       Retry{Project: "shop", Machine: "web-09"},
		"deployment.cancel":      CancelDeployment{Deployment: number(9)},
		"deployment.retry-parts": RetryDeployment{Deployment: number(9)},
		"deployment.accept":      AcceptDeployment{Deployment: number(9)},
		"pin.set":                SetPin{Project: "shop", Environment: "production"},
		"pin.lift":               LiftPin{Project: "shop", Environment: "production"},
		"hold.set":               SetHold{Project: "shop", Machine: "web-09"},
		"hold.lift":              LiftHold{Project: "shop", Machine: "ghost"},
		"part.claim":             ClaimPart{Machine: "web-01"},
		"part.end":               EndPart{Machine: "web-01"},
		"environment.apply":      ApplyEnvironment{Name: "production"},
		"environment.delete":     DeleteEnvironment{Name: "production"},
	}
	var text strings.Builder
	for _, row := range commands {
		c, ok := examples[row.name]
		if !ok { // its needs do not depend on its fields
			c = row.zero
		}
		require.Equal(t, row.name, CommandName(c))
		needs := c.Needs(w)
		require.NotEmpty(t, needs, row.name)
		for _, n := range needs {
			require.Contains(t, Verbs(), n.Verb, row.name)
			text.WriteString(fmt.Sprintf("%-26s %-13s project %-5s environment %-11s %s\n", row.name, n.Verb, dash(n.Project),
				dash(n.Environment), n))
		}
	}
	golden(t, "needs.txt", text.String())
}

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// accessTo returns settings that grant a permission for project shop in production.
func accessTo(permission Permission, who AccessWho) AccessSettings {
	return AccessSettings{Who: who, Permission: permission, Projects: []string{"shop"}, Environments: []string{"production"}}
}

// accessWorld is shopWorld with tokens: a (scope admin), r (scope read), d (permission deployer for shop in staging),
// n (no permission, of person p-1 in group ops), j (a join token).
func accessWorld(t *testing.T) *testWorld {
	w := shopWorld(t)
	for id, s := range map[string]TokenSettings{
		"a": {Scope: AdminScope}, "r": {Scope: ReadScope}, "j": {Join: true, AnyEnvironment: true},
		"d": {Permission: Deployer, Projects: []string{"shop"}, Environments: []string{"staging"}},
		"n": {Permission: NoPermission, Person: "p-1", Groups: []string{"ops"}},
	} {
		w.do(CreateToken{ID: id, Settings: s, Hash: "h"})
	}
	return w
}

func from(token string) Origin {
	return Origin{By: "token " + token, Actor: Actor{Kind: TokenActor, ID: token, Token: token}}
}

func TestRefusalsSayWhoMayNotDoWhatAndWhatWouldAllowIt(t *testing.T) {
	w := accessWorld(t)
	w.do(ApplyAccess{Name: "ops", Settings: accessTo(Operator, AccessWho{Groups: []string{"ops"}})},
		RevokeToken{ID: "j"})
	for want, c := range map[string]Command{
		"token r may not create releases of project shop: the token has scope read (use a token with scope deploy, or " +
			"ask an admin for an Access with permission releaser for project shop)": CreateRelease{Project: "shop", Origin: from("r")},
		"token d may not deploy project shop in environment production: the token has permission deployer for project " +
			"shop in environment staging (use a token with scope deploy, or ask an admin for an Access with permission " +
			"deployer for project shop in environment production)": Deploy{Project: "shop", Environment: "production",
			Origin: from("d")},
		"token n may not roll back project shop in environment production: Access ops gives group ops permission operator " +
			"for project shop in environment production (use a token with scope deploy, or ask an admin for an Access with " +
			"permission deployer for project shop in environment production)": Rollback{Project: "shop",
			Environment: "production", Origin: from("n")},
		"token n may not change who may do what: Access ops gives group ops permission operator for project shop in " +
			"environment production (use a token with scope admin, or ask an admin for an Access with permission admin for " +
			"all projects in all environments)": DeleteAccess{Name: "ops", Origin: from("n")},
		"token ghost may not pin project shop in environment production: the token does not exist (use a token with scope " +
			"deploy, or ask an admin for an Access with permission deployer for project shop in environment " +
			"production)": SetPin{Project: "shop", Environment: "production", Origin: from("ghost")},
	} {
		r := Authorize(w, c)
		require.NotNil(t, r, want)
		require.Equal(t, Forbidden, r.Kind)
		require.Equal(t, want, r.Error())
	}
}

func TestAccessGrantsToPeopleGroupsAndTokens(t *testing.T) {
	deploy := Deploy{Project: "shop", Release: "1", Environment: "production", Origin: from("n")}
	for name, who := range map[string]AccessWho{"person": {People: []string{"p-1"}}, "group": {Groups: []string{"ops"}},
		"token": {Tokens: []string{"n"}}} {
		w := accessWorld(t)
		require.NotNil(t, Authorize(w, deploy), "default deny")
		w.do(ApplyAccess{Name: "x", Settings: accessTo(Deployer, who)})
		require.Nil(t, Authorize(w, deploy), name)
		elsewhere := deploy
		elsewhere.Environment = "staging"
		require.NotNil(t, Authorize(w, elsewhere), name)
		w.do(DeleteAccess{Name: "x"})
		require.NotNil(t, Authorize(w, deploy), name)
	}
}

func TestAccessNamesATokenAndItsSuccessors(t *testing.T) {
	w := accessWorld(t)
	none := TokenSettings{Permission: NoPermission, Name: "ci"}
	w.rejects(ApplyAccess{Name: "x", Settings: accessTo(Deployer, AccessWho{Tokens: []string{"ci"}})}, NotFound, "ci")
	w.do(CreateToken{ID: "c1", Settings: none, Hash: "h"})
	w.do(ApplyAccess{Name: "x", Settings: accessTo(Deployer, AccessWho{Tokens: []string{"ci"}})})
	deploy := Deploy{Project: "shop", Release: "1", Environment: "production", Origin: from("c1")}
	require.Nil(t, Authorize(w, deploy))
	w.do(RevokeToken{ID: "c1"}, CreateToken{ID: "c2", Settings: none, Hash: "h"})
	require.Contains(t, Authorize(w, deploy).Reason, "token ci may not deploy")
	deploy.Origin = from("c2")
	require.Nil(t, Authorize(w, deploy))
}

func TestSentenceAboutAnAccessIsShortAndNamesWhoIsGranted(t *testing.T) {
	settings := AccessSettings{Who: AccessWho{Groups: []string{"ops"}, Tokens: []string{"ci"}}, Permission: Operator,
		Environments: []string{"production"}}
	for i := range MaxAccessEntries {
		settings.Projects = append(settings.Projects, fmt.Sprintf("project-%03d", i))
	}
	sentence := Describe(AccessDefined{Settings: settings}, Place{Stream: AccessStream("operations")}).Sentence
	require.Equal(t, "access defined: permission operator for 500 projects: project-000, project-001, project-002 and others "+
		"in environment production, granted to group ops, token ci", sentence)
}

func TestRevokedTokenAndSetAsideAccessGrantNothing(t *testing.T) {
	w := accessWorld(t)
	w.do(ApplyAccess{Name: "x", Settings: accessTo(Deployer, AccessWho{Tokens: []string{"n"}})})
	deploy := Deploy{Project: "shop", Release: "1", Environment: "production", Origin: from("n")}
	require.Nil(t, Authorize(w, deploy))
	w.aside[AccessStream("x")] = "damaged"
	require.NotNil(t, Authorize(w, deploy), "an Access that cannot be folded may be outdated")
	delete(w.aside, AccessStream("x"))
	w.do(RevokeToken{ID: "n"})
	require.Contains(t, Authorize(w, deploy).Reason, "the token was revoked")
}

func TestExpiredTokenMayDoNothing(t *testing.T) {
	w := accessWorld(t)
	until := sampleTime
	w.do(CreateToken{ID: "e", Settings: TokenSettings{Scope: AdminScope, Until: &until}, Hash: "h"})
	ok, because := May(TokenPrincipal(w, "e", sampleTime), ReadVerb.Everywhere())
	require.False(t, ok)
	require.Contains(t, because, "the token expired at 2026-03-14T15:09:26Z")
	ok, because = May(TokenPrincipal(w, "e", sampleTime.Add(-time.Second)), ReadVerb.Everywhere())
	require.True(t, ok)
	require.Equal(t, "token e may read all projects in all environments: the token has scope admin", because)
}

func TestRefusalDoesNotRevealWhichMachinesExist(t *testing.T) {
	w := accessWorld(t)
	w.do(CreateToken{ID: "o", Settings: TokenSettings{Permission: Operator, Environments: []string{"staging"}}, Hash: "h"})
	for _, of := range []func(machine string) Command{
		func(m string) Command { return SetHold{Project: "shop", Machine: m, Origin: from("o")} },
		func(m string) Command { return Retry{Project: "shop", Machine: m, Origin: from("o")} },
		func(m string) Command { return SetMachineEnabled{Name: m, Origin: from("o")} },
		func(m string) Command { return DeleteMachine{Name: m, Origin: from("o")} },
	} {
		exists, missing := Authorize(w, of("web-01")), Authorize(w, of("web-77"))
		require.NotNil(t, exists)
		require.NotNil(t, missing)
		require.Equal(t, exists.Error(), strings.ReplaceAll(missing.Error(), "web-77", "web-01"))
		require.NotContains(t, exists.Error(), "production")
	}
	require.Nil(t, Authorize(w, SetHold{Project: "shop", Machine: "web-09", Origin: from("o")}), "it is in staging")
}

func TestRefusalDoesNotRevealWhichTriggersExist(t *testing.T) {
	w := accessWorld(t)
	w.do(CreateToken{ID: "o", Settings: TokenSettings{Permission: Owner, Environments: []string{"staging"}}, Hash: "h"})
	settings := TriggerSettings{Events: []Category{AvailableGroup}, Environments: []string{"production"}}
	w.do(ApplyTrigger{Project: "shop", Name: "exists", Settings: settings})
	exists, missing := Authorize(w, DeleteTrigger{Project: "shop", Name: "exists", Origin: from("o")}),
		Authorize(w, DeleteTrigger{Project: "shop", Name: "missing", Origin: from("o")})
	require.NotNil(t, exists)
	require.NotNil(t, missing)
	require.Equal(t, exists.Error(), strings.ReplaceAll(missing.Error(), "missing", "exists"))
	require.NotContains(t, exists.Error(), "production")

	settings.Environments = []string{"staging"}
	require.Nil(t, Authorize(w, ApplyTrigger{Project: "shop", Name: "new", Settings: settings, Origin: from("o")}))
	moved := Authorize(w, ApplyTrigger{Project: "shop", Name: "exists", Settings: settings, Origin: from("o")})
	require.NotNil(t, moved, "it also deploys to production")
	require.NotContains(t, moved.Error(), "production")
	w.do(CreateToken{ID: "p", Settings: TokenSettings{Permission: NoPermission}, Hash: "h"})
	require.Equal(t, Authorize(w, ApplyTrigger{Project: "shop", Name: "new", Settings: settings, Origin: from("p")}),
		Authorize(w, ApplyTrigger{Project: "shop", Name: "exists", Settings: settings, Origin: from("p")}))
}

func TestAgentMayActOnlyAsItsOwnMachine(t *testing.T) {
	agent := AgentPrincipal("web-01")
	for machine, may := range map[string]bool{"web-01": true, "web-02": false} {
		ok, because := May(agent, AgentNeed(machine))
		require.Equal(t, may, ok, because)
	}
	for _, verb := range Verbs() {
		if verb != AgentVerb {
			require.NotNil(t, agent.Refuse(verb.Anywhere()), verb)
		}
	}
	w := accessWorld(t)
	w.do(CreateToken{ID: "s", Settings: TokenSettings{Permission: Admin, Environments: []string{"staging"}}, Hash: "h"})
	limited := TokenPrincipal(w, "s", time.Time{})
	require.False(t, limited.Allows(AgentNeed("web-01")), "an admin of staging must not act as a machine in production")
}

func TestMovingAMachineNeedsBothEnvironments(t *testing.T) {
	w := accessWorld(t)
	w.do(CreateToken{ID: "s", Settings: TokenSettings{Permission: Admin, Environments: []string{"staging"}}, Hash: "h"})
	require.Nil(t, Authorize(w, ApplyMachine{Name: "new", Environment: "staging", Origin: from("s")}))
	require.NotNil(t, Authorize(w, ApplyMachine{Name: "web-01", Environment: "staging", Origin: from("s")}))
	require.NotNil(t, Authorize(w, ApplyMachine{Name: "web-09", Environment: "production", Origin: from("s")}))
}

func TestOnlyAnUnlimitedAdminChangesTokensAndAccess(t *testing.T) {
	w := accessWorld(t)
	for id, s := range map[string]TokenSettings{
		"owner": {Permission: Owner}, "shop-admin": {Permission: Admin, Projects: []string{"shop"}},
		"staging-admin": {Permission: Admin, Environments: []string{"staging"}}, "all": {Permission: Admin},
	} {
		w.do(CreateToken{ID: id, Settings: s, Hash: "h"})
		for _, c := range []Command{CreateToken{ID: "z", Origin: from(id)}, RevokeToken{ID: "a", Origin: from(id)},
			ApplyAccess{Name: "z", Origin: from(id)}, DeleteAccess{Name: "z", Origin: from(id)},
			ClearStream{Origin: from(id)}, AcceptRestore{Origin: from(id)}} {
			require.Equal(t, id == "all", Authorize(w, c) == nil, "%s %T", id, c)
		}
	}
}

func TestChangeOfAnAccessMustLeaveAnAdmin(t *testing.T) {
	w := newWorld(t)
	until := sampleTime
	w.do(CreateToken{ID: "n", Settings: TokenSettings{Permission: NoPermission}, Hash: "h"},
		CreateToken{ID: "soon", Settings: TokenSettings{Scope: AdminScope, Until: &until}, Hash: "h"})
	all := []string{All}
	admin := AccessSettings{Who: AccessWho{Tokens: []string{"n"}}, Permission: Admin, Projects: all, Environments: all}
	viewer := admin
	viewer.Permission = Viewer
	w.do(ApplyAccess{Name: "x", Settings: admin})
	w.rejects(DeleteAccess{Name: "x"}, Conflict, "no token could change who may do what", "token create")
	w.rejects(ApplyAccess{Name: "x", Settings: viewer}, Conflict, "no token could change who may do what")
	w.do(CreateToken{ID: "a", Settings: TokenSettings{Scope: AdminScope}, Hash: "h"})
	w.do(DeleteAccess{Name: "x"})
	w.do(ApplyAccess{Name: "x", Settings: admin}, RevokeToken{ID: "a"}) // revoking always works
	w.do(RevokeToken{ID: "n"})
	w.do(DeleteAccess{Name: "x"}) // it makes nothing worse
}

func TestInvalidAccessIsRejected(t *testing.T) {
	w := accessWorld(t)
	good := accessTo(Deployer, AccessWho{Groups: []string{"ops"}})
	for want, change := range map[string]func(*AccessSettings){
		"unknown permission":      func(s *AccessSettings) { s.Permission = "root" },
		"unknown permission \"no": func(s *AccessSettings) { s.Permission = NoPermission },
		"who names nobody":        func(s *AccessSettings) { s.Who = AccessWho{} },
		"no project is named":     func(s *AccessSettings) { s.Projects = nil },
		"no environment is named": func(s *AccessSettings) { s.Environments = nil },
		"group \"a b\"":           func(s *AccessSettings) { s.Who.Groups = []string{"a b"} },
		"group \"*\"":             func(s *AccessSettings) { s.Who.Groups = []string{All} },
		"too many tokens":         func(s *AccessSettings) { s.Who.Tokens = make([]string, MaxAccessEntries+1) },
	} {
		s := good
		change(&s)
		require.NotNil(t, s.Check(), want)
		require.Contains(t, s.Check().Reason, want)
	}
	missing := accessTo(Deployer, AccessWho{Tokens: []string{"ghost"}})
	w.rejects(ApplyAccess{Name: "x", Settings: missing}, NotFound, "ghost", "token list")
	w.rejects(ApplyAccess{Name: "a b", Settings: good}, Invalid, "access")
	w.rejects(DeleteAccess{Name: "ghost"}, NotFound, "ghost", "get access")
	w.do(ApplyAccess{Name: "x", Settings: good})
	require.Empty(t, w.do(ApplyAccess{Name: "x", Settings: good}), "an equal Access is no change")
}

func TestInvalidPermissionOfATokenIsRejected(t *testing.T) {
	w := accessWorld(t)
	for want, s := range map[string]TokenSettings{
		"unknown permission":                 {Permission: "root"},
		"either a permission or a scope":     {Permission: Viewer, Scope: ReadScope},
		"a join token has neither":           {Permission: Viewer, Join: true},
		"projects limit a permission":        {Scope: ReadScope, Projects: []string{"shop"}},
		"grants nothing":                     {Permission: NoPermission, Projects: []string{"shop"}},
		"project \"ghost\" does not exist":   {Permission: Viewer, Projects: []string{"ghost"}},
		"environment \"x\" does not exist":   {Permission: Viewer, Environments: []string{"x"}},
		"a join token cannot have groups":    {Join: true, Groups: []string{"ops"}},
		"group \"a/b\" has '/' at character": {Permission: Viewer, Groups: []string{"a/b"}},
	} {
		_, r := CreateToken{ID: "z", Settings: s}.Decide(w)
		require.NotNil(t, r, want)
		require.Contains(t, r.Reason, want)
	}
}

// TestAddingAnAccessNeverRemovesAPermission also checks that deleting one never adds a permission.
func TestAddingAnAccessNeverRemovesAPermission(t *testing.T) {
	w := accessWorld(t)
	names := rapid.SampledFrom([]string{"shop", "blog", All})
	places := rapid.SampledFrom([]string{"production", "staging", All})
	settings := rapid.Custom(func(t *rapid.T) AccessSettings {
		return AccessSettings{
			Who: AccessWho{People: rapid.SliceOfN(rapid.SampledFrom([]string{"p-1", "p-2"}), 0, 2).Draw(t, "people"),
				Groups: rapid.SliceOfN(rapid.SampledFrom([]string{"ops", "dev"}), 0, 2).Draw(t, "groups"),
				Tokens: rapid.SliceOfN(rapid.SampledFrom([]string{"n", "d"}), 0, 2).Draw(t, "tokens")},
			Permission:   rapid.SampledFrom(Permissions()).Draw(t, "permission"),
			Projects:     rapid.SliceOfN(names, 1, 2).Draw(t, "projects"),
			Environments: rapid.SliceOfN(places, 1, 2).Draw(t, "environments")}
	})
	allowed := func(all *Accesses) map[string]bool {
		found := map[string]bool{}
		for _, id := range []string{"a", "r", "d", "n"} {
			token := w.Token(id)
			everything := func(string) bool { return true }
			s := Principal{Grants: append(token.Settings.grants(), all.of(token, everything)...)}
			for _, verb := range Verbs() {
				for _, project := range []string{"", "shop", "blog", All} {
					for _, environment := range []string{"", "production", "staging", All} {
						if n := (Need{Verb: verb, Project: project, Environment: environment}); s.Allows(n) {
							found[fmt.Sprint(id, n)] = true
						}
					}
				}
			}
		}
		return found
	}
	rapid.Check(t, func(t *rapid.T) {
		all := NewAccesses()
		for i := range rapid.IntRange(0, 4).Draw(t, "others") {
			all.Set(fmt.Sprint("a", i), settings.Draw(t, "other"))
		}
		before := allowed(all)
		all.Set("new", settings.Draw(t, "new"))
		after := allowed(all)
		for n := range before {
			if !after[n] {
				t.Fatalf("%s was allowed before the Access was added", n)
			}
		}
		all.Delete("new")
		if again := allowed(all); fmt.Sprint(again) != fmt.Sprint(before) {
			t.Fatalf("deleting the Access left %v instead of %v", again, before)
		}
	})
}
