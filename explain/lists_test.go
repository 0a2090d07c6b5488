package explain

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/projections/projectionstest"
)

func TestListsAreNeverNull(t *testing.T) {
	noneAlive := func(domain.ID) bool { return false }
	for _, v := range []*projections.View{projectionstest.New(t).View, full(t).View} {
		f := Filter{}
		why := WhyOf(v, old, "shop", "web-01", nil, nil)
		text, err := json.Marshal([]any{Machines(v, f), Environments(v, f), Policies(v, f), Projects(v, f),
			Triggers(v, f), Releases(v, nil, f),
			Deployments(v, f, nil), Candidates(v, old, f), Servers(v, domain.ID{}, noneAlive, f), Tokens(v, TokenFacts{}, f), why,
			DueNow(v, old), EventOf(full(t).Log[0], nil)})
		require.NoError(t, err)
		text = []byte(strings.NewReplacer(`"startedAt":null`, "", `"finishedAt":null`, "").Replace(string(text)))
		require.NotContains(t, string(text), "null")
	}
}

func TestPagesAreBoundedAndContinueWhereThePreviousOneEnded(t *testing.T) {
	l := shop(t)
	for range 4 {
		l.Want("1.0")
	}
	var seen []string
	f := Filter{Limit: 2}
	for {
		page := Deployments(l.View, f, nil)
		for _, d := range page.Items {
			seen = append(seen, d.Position)
		}
		if f.After = page.Next; f.After == "" {
			break
		}
		require.Len(t, page.Items, 2)
	}
	require.Equal(t, []string{"15", "13", "11", "9", "5"}, seen, "newest first, each once")
}

func TestUnclaimablePartShowsItsReason(t *testing.T) {
	l := shop(t)
	d := l.Add("project/shop", domain.DeploymentQueued{Kind: domain.EnvironmentWide,
		Environment: "production", Release: "1.0"})
	shown, ok := DeploymentOf(l.View, d, nil)
	require.True(t, ok)
	require.Equal(t, DeploymentMachine{Name: "web-01", State: "released"}, shown.Machines[0])
	l.Add("project/shop", domain.ProjectDisabled{})
	shown, _ = DeploymentOf(l.View, d, nil)
	require.Equal(t, "project-disabled", shown.Machines[0].Reason)
}

func TestMachineShowsInstalledAndWantedReleases(t *testing.T) {
	l := shop(t)
	l.Attempt("web-01", "1.0", domain.PartSucceeded, "")
	l.Release("shop", "1.1")
	l.Add("project/shop", domain.PinSet{Environment: "production", Release: "1.1"})
	m, ok := MachineOf(l.View, "web-01")
	require.True(t, ok)
	require.Equal(t, []Installed{{Project: "shop", Release: "1.0", Since: l.Log[10].Time}}, m.Installed)
	require.Equal(t, []Wanted{{Project: "shop", Release: "1.1", Pinned: true, Holds: []Hold{}}}, m.Wanted)
	require.Len(t, Machines(l.View, Filter{State: "behind"}).Items, 1)
	l.Add("project/shop", domain.HoldSet{Machine: "web-01", Instance: instance, Release: "1.0"})
	m, _ = MachineOf(l.View, "web-01")
	require.Len(t, m.Wanted, 1)
	require.Equal(t, "1.0", m.Wanted[0].Release)
	require.True(t, m.Wanted[0].Held)
	require.Equal(t, "manual", m.Wanted[0].Hold.Kind)
}

func TestMachineShowsAllHoldsTheStrongestFirst(t *testing.T) {
	l := shop(t)
	l.Attempt("web-01", "1.0", domain.PartSucceeded, "")
	l.Release("shop", "1.1")
	d := l.Add("project/shop", domain.DeploymentQueued{Kind: domain.EnvironmentWide, Environment: "production",
		Release: "1.1", Exclude: []string{"web-01"}})
	l.Add("project/shop", domain.HoldSet{Machine: "web-01", Instance: instance, Release: "1.0", Reason: "noisy disk"})
	m, _ := MachineOf(l.View, "web-01")
	require.Len(t, m.Wanted, 1)
	holds := m.Wanted[0].Holds
	require.Len(t, holds, 2)
	require.Equal(t, holds[0], *m.Wanted[0].Hold)
	require.Equal(t, []string{"manual", "noisy disk"}, []string{holds[0].Kind, holds[0].Reason})
	require.Equal(t, []string{"excluded", d.String()}, []string{holds[1].Kind, holds[1].Deployment})
}

func TestTokenSecretsAreNotShownEvenAsHashes(t *testing.T) {
	l := projectionstest.New(t)
	l.Add("token/abc", domain.TokenCreated{Settings: domain.TokenSettings{Join: true}, Hash: "d00d"},
		domain.TokenUsed{Instance: instance, Machine: "web-01", Secret: "feed"})
	for _, rec := range l.Log {
		require.NotContains(t, string(EventOf(rec, nil).Data), "d00d")
		require.NotContains(t, string(EventOf(rec, nil).Data), "feed")
	}
	require.Contains(t, string(EventOf(l.Log[1], nil).Data), "web-01")
}

func TestTokenShowsHowOftenItWasUsed(t *testing.T) {
	l := projectionstest.New(t)
	l.Add("token/abc", domain.TokenCreated{Settings: domain.TokenSettings{Join: true, Uses: 2}},
		domain.TokenUsed{Instance: instance, Machine: "web-01"}, domain.TokenUsed{Instance: instance, Machine: "web-02"})
	shown, _ := TokenOf(l.View, TokenFacts{}, "abc")
	require.Equal(t, 2, shown.Used, "one instance under two names uses the token twice")
}

func TestTokensAreListedWithTheirOwners(t *testing.T) {
	l := projectionstest.New(t)
	l.Add("token/abc", domain.TokenCreated{Settings: domain.TokenSettings{Scope: domain.AdminScope, Person: "p-1"}})
	l.Add("token/def", domain.TokenCreated{Settings: domain.TokenSettings{Join: true},
		Origin: domain.Origin{By: "token abc", Actor: domain.Actor{Kind: domain.TokenActor, ID: "abc", TokenName: "ci"}}})
	for name, c := range map[string]struct {
		names Names
		want  string
	}{
		"a stored name": {Names{"p-1": "Ada"}, "Ada"}, "an erased name": {Names{"p-1": ""}, "p-1"},
		"names could not be read": {nil, "p-1"},
	} {
		table := TokensTable(Tokens(l.View, TokenFacts{Names: c.names}, Filter{}).Items)
		require.Equal(t, "OWNER", table.Header[3])
		require.Equal(t, c.want, table.Rows[0][3], name)
		require.Equal(t, "token ci", table.Rows[1][3], "a token without an owner shows who created it")
	}
}

func TestDeploymentCauseIdentifiesTheRequester(t *testing.T) {
	l := shop(t)
	ada := domain.Actor{Kind: domain.PersonActor, ID: "p-1", Via: "cli", Token: "abc"}
	causeOf := func(o domain.Origin) DeploymentCause {
		d := l.Add("project/shop", domain.DeploymentQueued{Kind: domain.EnvironmentWide, Environment: "production",
			Release: "1.0", Origin: o})
		shown, ok := DeploymentOf(l.View, d, Names{"p-1": ""})
		require.True(t, ok)
		return shown.Cause
	}
	cause := causeOf(domain.Origin{By: "token abc", Actor: ada})
	require.Equal(t, ErasedPerson, cause.By)
	require.Equal(t, &ada, cause.Actor)
	require.Nil(t, causeOf(domain.By("ann")).Actor, "the event was recorded before drover stored actors")
}

func TestTableIsAlignedForPeopleAndTabSeparatedForPrograms(t *testing.T) {
	table := Table{Header: []string{"NAME", "NOTE"}, Rows: [][]string{{"web-01", "a\x1b[31mb\nc"}, {"ü", "é…"}}}
	for width, want := range map[int]string{
		0:         "NAME\tNOTE\nweb-01\ta\\u001b[31mb c\nü\té…\n",
		Unlimited: "NAME    NOTE\nweb-01  a\\u001b[31mb c\nü       é…\n",
		10:        "NAME    N…\nweb-01  a…\nü       é…\n",
	} {
		var b strings.Builder
		require.NoError(t, table.Write(&b, width))
		require.Equal(t, want, b.String(), width)
	}
}

func TestEveryListHasATable(t *testing.T) {
	v, noneAlive := full(t).View, func(domain.ID) bool { return false }
	f := Filter{}
	for _, table := range []Table{MachinesTable(Machines(v, f).Items, true), MachinesTable(Machines(v, f).Items, false),
		DeploymentsTable(Deployments(v, f, nil).Items, true),
		CandidatesTable(Candidates(v, old, f).Items), ProjectsTable(Projects(v, f).Items, true),
		TriggersTable(Triggers(v, f).Items),
		ReleasesTable(Releases(v, nil, f).Items), EnvironmentsTable(Environments(v, f).Items), PoliciesTable(Policies(v, f).Items),
		ServersTable(Servers(v, domain.ID{}, noneAlive, f).Items), TokensTable(Tokens(v, TokenFacts{}, f).Items),
		PartsTable(Deployments(v, f, nil).Items[0].Machines),
		EventsTable([]Event{EventOf(full(t).Log[0], nil)}, true)} {
		for _, row := range table.Rows {
			require.Len(t, row, len(table.Header), table.Header)
		}
	}
}

func TestNewlyDueOmitsMachinesThatWereAlreadyDue(t *testing.T) {
	before := []Due{{Project: "shop", Environment: "production", Release: "1", Machines: []string{"a"}}}
	after := []Due{{Project: "shop", Environment: "production", Release: "1", Machines: []string{"a", "b"}},
		{Project: "web", Environment: "production", Release: "2", Machines: []string{"a"}}}
	found := NewlyDue(before, after)
	require.Equal(t, []string{"b"}, found[0].Machines)
	require.Len(t, found, 2)
	require.Equal(t, "1 machine will be deployed to: project web, environment production, release 2", found[1].String())
	require.Empty(t, NewlyDue(after, after))
}
