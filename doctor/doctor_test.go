package doctor

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/clocks"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections/projectionstest"
)

// soon is a time shortly after the last event of a history.
var soon = time.Date(2026, 1, 1, 9, 2, 0, 0, time.UTC)

// healthy returns the vitals of a server without problems.
func healthy() Vitals {
	return Vitals{Now: soon, Self: server, Version: "v1", Agents: map[string]int{"v1": 1}, Clock: clocks.Verdict{Confirmed: true},
		Storage: Storage{Kind: "sqlite", Folder: "/srv/drover", Bytes: 5 << 20, Free: 50 << 30, Total: 100 << 30},
		Log:     LogVitals{Head: 8, Read: 8}}
}

// findings returns the findings of one check, formatted as "severity: seen → do".
func findings(t *testing.T, l *projectionstest.History, s Vitals, check string) string {
	t.Helper()
	var lines []string
	for _, f := range Examine(l.View, old, s).Findings {
		if f.Check == check {
			lines = append(lines, string(f.Severity)+": "+f.Text+" → "+f.Fix)
		}
	}
	require.NotEmpty(t, lines, "each check has a finding")
	return strings.Join(lines, "\n")
}

func TestHealthyFleetHasOneOKFindingPerCheck(t *testing.T) {
	l := shop(t)
	l.Attempt("web-01", "1.0", domain.PartSucceeded, "")
	checkup := Examine(l.View, old, healthy())
	require.Equal(t, OK, Worst(checkup.Findings))
	var checks []string
	for _, f := range checkup.Findings {
		checks = append(checks, f.Check)
		require.Empty(t, f.Fix)
	}
	require.Equal(t, []string{"clock", "disk", "log", "servers", "versions", "references", "machines", "conditions",
		"environments",
		"agents", "tokens", "choices"}, checks)
	require.Contains(t, findings(t, l, healthy(), "log"),
		"ok: sqlite, 5.0 MiB, head #12, the newest 8 events verified, accepts writes")
	text, err := json.Marshal(Examine(shop(t).View, old, Vitals{}))
	require.NoError(t, err)
	require.NotContains(t, string(text), "null")
}

func TestExamineReportsProblemsOfServersAndTheLog(t *testing.T) {
	other := domain.ID{3: 2}
	for name, test := range map[string]struct {
		change func(l *projectionstest.History, s *Vitals)
		check  string
		want   string
	}{
		"the clock of another server is behind": {func(_ *projectionstest.History, s *Vitals) {
			s.Others = []Peer{{Server: other, Alive: true, Timed: true, Ahead: -time.Minute}}
		}, "clock", "warn: the clock of server http://b:7070 is 1m behind that of server http://a:7070"},
		"the clock of another server is far ahead": {func(_ *projectionstest.History, s *Vitals) {
			s.Others = []Peer{{Server: other, Alive: true, Timed: true, Ahead: time.Hour}}
		}, "clock", "bad: the clock of server http://b:7070 is 1h ahead of"},
		"an old but current lease": {func(_ *projectionstest.History, s *Vitals) {
			s.Others = []Peer{{Server: other, Alive: true, Timed: true, Ahead: -3 * time.Second}}
		}, "clock", "ok: the clocks of this server and 1 other server agree"},
		"the clock was set back": {func(_ *projectionstest.History, s *Vitals) { s.Now = s.Now.Add(-time.Hour) },
			"clock", "warn: the newest event is 58m"},
		"little disk space": {func(_ *projectionstest.History, s *Vitals) { s.Storage.Free = 100 << 20 },
			"disk", "warn: 100.0 MiB of 100.0 GiB are free in /srv/drover → du -xh /srv/drover"},
		"almost no disk space": {func(_ *projectionstest.History, s *Vitals) { s.Storage.Free = 1 << 20 },
			"disk", "bad: 1.0 MiB of"},
		"a small share of a large disk": {func(_ *projectionstest.History, s *Vitals) {
			s.Storage.Free,
				s.Storage.Total = 100<<30, 10<<40
		}, "disk", "ok: 100.0 GiB of 10.0 TiB are free"},
		"a damaged log": {func(_ *projectionstest.History, s *Vitals) { s.Log.Damaged = "verify: event 7 does not match" },
			"log", "bad: verify: event 7 does not match → drover eventlog verify"},
		"a full disk": {func(_ *projectionstest.History,
			s *Vitals) {
			s.NotReady = []string{"no space left: writes are refused"}
		}, "log", "bad: no space left"},
		"a restored log": {func(_ *projectionstest.History, s *Vitals) { s.LostEvents = "this log has lost events" },
			"log", "bad: this log has lost events → drover eventlog accept-restore"},
		"a stream is set aside": {func(l *projectionstest.History, _ *Vitals) { l.SetAsideStream("machine/web-01") },
			"log", "→ drover eventlog clear machine/web-01"},
		"a killed server": {func(_ *projectionstest.History, s *Vitals) {
			s.Others = []Peer{{Server: other, Unchanged: 4 * time.Minute}}
		},
			"servers", "warn: server http://b:7070 stopped renewing its lease 4m ago"},
		"a server of another version": {func(_ *projectionstest.History, s *Vitals) {
			s.Others = []Peer{{Server: other,
				Alive: true}}
		}, "versions", "warn: server http://b:7070: version v2, while server http://a:7070 has v1"},
		"agents of another version": {func(_ *projectionstest.History, s *Vitals) { s.Agents["v0"] = 3 },
			"versions", "warn: 3 connected agents: version v0, while server http://a:7070 has v1"},
		"an agent that is refused repeatedly": {func(_ *projectionstest.History, s *Vitals) {
			s.Refused = []Refused{{Address: "10.0.0.9", Machine: "web-07", Reason: "the join token is not known", Times: 40,
				Last: s.Now.Add(-time.Second)}}
		}, "agents", "warn: the agent of machine web-07 at 10.0.0.9 was refused 40 times, the last time 1s ago: the join " +
			"token is not known → drover agent --join"},
		"a machine that reached a limit": {func(_ *projectionstest.History, s *Vitals) {
			s.Limited = []Limited{{Machine: "web-07", Limit: "health", Times: 41, Last: s.Now.Add(-time.Second)}}
		}, "agents", "warn: machine web-07 reached the limit of its health 41 times, the last time 1s ago"},
		"agents that send their secret": {func(_ *projectionstest.History, s *Vitals) { s.SecretAgents = 2 },
			"agents", "warn: 2 connected agents authenticated by sending the secret"},
		"an agent behind a proxy": {func(_ *projectionstest.History, s *Vitals) { s.ProxiedAgents = 1 },
			"agents", "ok: 1 connected agent came through a proxy that ends TLS"},
		"a client that was refused twice": {func(_ *projectionstest.History,
			s *Vitals) {
			s.Refused = []Refused{{Address: "10.0.0.9", Times: 2}}
		},
			"agents", "ok: no client is refused repeatedly"},
	} {
		t.Run(name, func(t *testing.T) {
			l, s := shop(t), healthy()
			l.Add("server/"+server.String(), domain.ServerStarted{Version: "v1", Address: "http://a:7070"})
			l.Add("server/"+other.String(), domain.ServerStarted{Version: "v2", Address: "http://b:7070"})
			test.change(l, &s)
			require.Contains(t, findings(t, l, s, test.check), test.want)
		})
	}
}

func TestExamineReportsProblemsOfTheFleet(t *testing.T) {
	later := soon.Add(30 * 24 * time.Hour)
	expires := later.Add(5 * time.Hour)
	for name, test := range map[string]struct {
		facts func(l *projectionstest.History)
		check string
		want  string
	}{
		"a machine in a missing environment": {func(l *projectionstest.History) {
			l.Add("environment/production",
				domain.EnvironmentDeleted{})
		}, "references",
			"bad: machine web-01 is in environment production, which does not exist"},
		"a machine with a missing policy": {func(l *projectionstest.History) {
			l.Add("machine/web-02", domain.MachineAdded{Environment: "production", Policy: "lost"})
		}, "references", "warn: machine web-02 names policy lost, which does not exist: the default policy applies"},
		"a trigger with a missing environment": {func(l *projectionstest.History) {
			l.Add("project/shop", domain.TriggerDefined{Trigger: "b",
				Settings: domain.TriggerSettings{Events: []domain.Category{domain.AvailableGroup},
					Environments: []string{"gone"}}})
		}, "references", "warn: trigger shop/b names environment gone, which does not exist → drover get trigger shop/b " +
			"-o " +
			"yaml"},
		"a role that no machine has": {func(l *projectionstest.History) {
			l.Add("machine/web-02", domain.MachineAdded{Environment: "production", Roles: []string{"web"}})
			l.Add("project/shop", domain.ProjectDefined{Settings: domain.ProjectSettings{Roles: []string{"wbe"}}})
		}, "references", "warn: project shop requires role wbe, which no machine has (the roles of machines are: web)"},
		"a join token for a missing environment": {func(l *projectionstest.History) {
			l.Add("token/0123456789ab", domain.TokenCreated{Settings: domain.TokenSettings{Join: true, Uses: 1,
				Environments: []string{"gone"}}})
		}, "references", "warn: join token 0123456789ab is for environment gone, which does not exist → drover token " +
			"revoke 0123456789ab"},
		"a machine that is offline and behind": {func(l *projectionstest.History) {
			l.Add("machine/web-01", domain.MachineWentOffline{Connect: l.Machines["web-01"].Connect})
		}, "machines",
			"warn: 1 machine has been behind on project shop for up to 30 days: machine-unavailable (web-01)."},
		"machines whose disks are full": {func(l *projectionstest.History) {
			full := domain.MachineConditionsChanged{Conditions: []domain.Condition{
				{Kind: domain.DiskFull, Detail: "/var/lib/drover: no space left on device"}}}
			l.Add("machine/web-01", full)
			l.Add("machine/web-02", domain.MachineAdded{Environment: "production"}, full)
		}, "conditions", "bad: machine web-01 starts no parts: its agent reports that the disk of its data folder is full " +
			"(/var/lib/drover: no space left on device), since 2026-01-01T09:00:09Z (#9); the same on 1 other machine: web-02 → df -h"},
		"files that an agent could not remove": {func(l *projectionstest.History) {
			l.Add("machine/web-01", domain.MachineConditionsChanged{Conditions: []domain.Condition{{Kind: domain.Leftovers, Detail: "/mnt"}}})
		}, "conditions", "warn: machine web-01: its agent reports that it could not remove files of ended parts (/mnt), since "},
		"a machine that has been offline for a long time": {func(l *projectionstest.History) {
			l.Add("machine/web-01", domain.MachineWentOffline{Connect: l.Machines["web-01"].Connect})
		}, "environments", "warn: 1 machine has been offline for up to 30 days (since 2026-01-01 09:00 UTC): web-01 → " +
			"systemctl status drover-agent (on the machine), or drover machine disable web-01"},
		"an environment whose only machine is offline": {func(l *projectionstest.History) {
			l.Add("machine/web-01", domain.MachineWentOffline{Connect: l.Machines["web-01"].Connect})
		}, "environments", "warn: no machine in production can take release 1.0 of project shop now: 0 disabled, 1 " +
			"offline, 0 not healthy → drover get machines --environment production"},
		"an environment whose machine is disabled": {func(l *projectionstest.History) {
			l.Add("machine/web-01",
				domain.MachineDisabled{})
		},
			"environments", "warn: no machine in production can take release 1.0 of project shop now: 1 disabled, 0 offline"},
		"an environment that wants a release and has no machine": {func(l *projectionstest.History) {
			l.Add("machine/web-01",
				domain.MachineDeleted{})
		},
			"environments", "warn: environment production wants release 1.0 of project shop, which has no machines there → " +
				"drover agent --join"},
		"a trigger on an environment without machines": {func(l *projectionstest.History) {
			l.Add("environment/empty", domain.EnvironmentDefined{})
			l.Add("project/shop", domain.TriggerDefined{Trigger: "b",
				Settings: domain.TriggerSettings{Events: []domain.Category{domain.AvailableGroup},
					Environments: []string{"empty"}}})
		}, "environments", "warn: trigger shop/b names environment empty, where project shop has no machines → drover " +
			"agent --join"},
		"a trigger on all environments, some without machines": {func(l *projectionstest.History) {
			l.Add("environment/empty", domain.EnvironmentDefined{})
			l.Add("project/shop", domain.TriggerDefined{Trigger: "b",
				Settings: domain.TriggerSettings{Events: []domain.Category{domain.AvailableGroup}, Environments: []string{"*"}}})
		}, "environments", "ok: every wanted release has a machine"},
		"a machine without retries left": {func(l *projectionstest.History) {
			for range 3 {
				l.Attempt("web-01", "1.0", domain.PartFailed, "step-failed")
			}
		}, "machines", "bad: 1 machine has been behind on project shop for up to 30 days: retries-exhausted (web-01)."},
		"an unlimited join token": {func(l *projectionstest.History) {
			l.Add("token/0123456789ab", domain.TokenCreated{Settings: domain.TokenSettings{Join: true}})
		}, "tokens", "warn: join token 0123456789ab lets any number of agents join and never expires → drover token " +
			"revoke " +
			"0123456789ab"},
		"a join token without a free place": {func(l *projectionstest.History) {
			instance := domain.ID{1: 9}
			l.Add("token/0123456789ab", domain.TokenCreated{Settings: domain.TokenSettings{Join: true, Uses: 5, MaxMachines: 1}},
				domain.TokenUsed{Instance: instance, Machine: "box-01"})
			l.Add("machine/box-01", domain.MachineAdded{Environment: "production", Origin: domain.AgentOrigin(instance)})
		}, "tokens", "warn: join token 0123456789ab has reached its machine limit (1 of 1): other machines are refused → delete " +
			"machines that are gone"},
		"a join token whose policy does not exist": {func(l *projectionstest.History) {
			l.Add("token/0123456789ab", domain.TokenCreated{Settings: domain.TokenSettings{Join: true, Uses: 5, Policy: "strict"}})
		}, "tokens", "warn: join token 0123456789ab gives policy strict, which does not exist: its machines get the default " +
			"policy → apply a MachinePolicy strict, or use another token"},
		"a join token with a policy": {func(l *projectionstest.History) {
			l.Add("policy/strict", domain.PolicyDefined{})
			l.Add("token/0123456789ab", domain.TokenCreated{Settings: domain.TokenSettings{Join: true, Uses: 5, Policy: "strict"}})
		}, "tokens", "ok: "},
		"a token that expires soon": {func(l *projectionstest.History) {
			l.Add("token/0123456789ab", domain.TokenCreated{Settings: domain.TokenSettings{Scope: domain.DeployScope,
				Until: &expires}})
		}, "tokens", "warn: token 0123456789ab with scope deploy expires in 5h → drover token create --scope deploy"},
		"the last admin token": {func(l *projectionstest.History) {
			later := expires.Add(10 * 24 * time.Hour)
			l.Add("token/0123456789ab", domain.TokenCreated{Settings: domain.TokenSettings{Scope: domain.AdminScope,
				Name: "ann", Until: &later}})
			l.Add("token/0123456789ac", domain.TokenCreated{Settings: domain.TokenSettings{Scope: domain.AdminScope}},
				domain.TokenRevoked{})
		}, "tokens", "warn: every admin token expires, the last one in 10 days, at "},
		"no admin token": {func(l *projectionstest.History) {
			l.Add("token/0123456789ab", domain.TokenCreated{Settings: domain.TokenSettings{Scope: domain.AdminScope}},
				domain.TokenRevoked{})
		}, "tokens", "warn: no admin token is valid any more → drover token create --scope admin"},
		"an admin token that stays": {func(l *projectionstest.History) {
			l.Add("token/0123456789ab", domain.TokenCreated{Settings: domain.TokenSettings{Scope: domain.AdminScope}})
		}, "tokens", "ok: "},
		"a revoked token": {func(l *projectionstest.History) {
			l.Add("token/0123456789ab", domain.TokenCreated{Settings: domain.TokenSettings{Join: true}},
				domain.TokenRevoked{})
		}, "tokens", "ok: "},
		"a forgotten pin": {func(l *projectionstest.History) {
			l.Add("project/shop", domain.PinSet{Environment: "production", Release: "1.0",
				Origin: domain.By("ann"), Reason: "sale"})
		}, "choices", "warn: project shop has been pinned in production at 1.0 for 30 days (ann: sale) → drover unpin " +
			"shop " +
			"--in production"},
		"a pin that expires": {func(l *projectionstest.History) {
			l.Add("project/shop", domain.PinSet{Environment: "production", Release: "1.0", Until: &expires})
		}, "choices", "ok: "},
		"a forgotten hold": {func(l *projectionstest.History) {
			l.Add("project/shop", domain.HoldSet{Machine: "web-01", Instance: instance, Origin: domain.By("ann")})
		}, "choices", "warn: 1 machine has been held for project shop for up to 30 days (ann): web-01 → drover unhold " +
			"web-01 --project shop"},
	} {
		t.Run(name, func(t *testing.T) {
			l, s := shop(t), healthy()
			s.Now = later
			test.facts(l)
			require.Contains(t, findings(t, l, s, test.check), test.want)
		})
	}
}

func TestNewMachineIsNotReportedAsBehind(t *testing.T) {
	l, s := shop(t), healthy()
	l.Add("machine/web-01", domain.MachineDisabled{})
	require.Contains(t, findings(t, l, s, "machines"), "ok: ")
	s.Now = soon.Add(2 * time.Hour)
	require.Contains(t, findings(t, l, s, "machines"), "warn: ")
}

func TestDanglingReferencesAreBounded(t *testing.T) {
	l := projectionstest.New(t)
	for i := range 300 {
		l.Add("machine/web-"+strings.Repeat("x", i%9)+string(rune('a'+i%26))+strings.Repeat("y", i/26),
			domain.MachineAdded{Environment: "gone"})
	}
	require.Less(t, len(Examine(l.View, old, healthy()).Findings), 80)
}

func TestShellQuoteEscapesSpecialCharacters(t *testing.T) {
	for text, want := range map[string]string{"web-01": "web-01", "shop/joins": "shop/joins", "a b": "'a b'",
		"a'; rm -rf /": `'a'\''; rm -rf /'`, "": "''"} {
		require.Equal(t, want, shellQuote(text))
	}
}

func TestSpanShowsTheTwoLargestUnits(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                               "0s",
		1400 * time.Millisecond:         "1s",
		30 * time.Second:                "30s",
		59900 * time.Millisecond:        "1m",
		time.Minute:                     "1m",
		90 * time.Second:                "1m30s",
		10 * time.Minute:                "10m",
		10*time.Minute + 30*time.Second: "10m30s",
		59*time.Minute + 59*time.Second: "59m59s",
		time.Hour + 59*time.Second:      "1h",
		time.Hour + 10*time.Minute:      "1h10m",
		10*time.Hour + 30*time.Minute:   "10h30m",
		20 * time.Hour:                  "20h",
		47*time.Hour + 50*time.Minute:   "47h50m",
		48 * time.Hour:                  "2 days",
		71 * time.Hour:                  "2 days",
	} {
		require.Equal(t, want, span(d), d.String())
	}
}
