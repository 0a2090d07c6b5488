package doctor

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/droverhq/drover/clocks"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/explain"
	"github.com/droverhq/drover/projections"
)

// Severity is how serious a finding is.
type Severity string

// The severities: no problem, a warning, and a problem that must be fixed.
const (
	OK   Severity = "ok"
	Warn Severity = "warn"
	Bad  Severity = "bad"
)

// Finding is one line of `drover doctor`.
type Finding struct {
	Severity Severity `json:"severity"`
	// Check is what was examined: clock, disk, log, …
	Check string `json:"check"`
	// Text is one sentence that states the observation.
	Text string `json:"seen"`
	// Fix is a command, or a sentence with a command, that fixes the problem. It is empty if there is nothing to do.
	Fix string `json:"do"`
}

// Checkup is the result of examining a server and its log.
type Checkup struct {
	// Time is the server's wall clock.
	Time     time.Time `json:"time"`
	Server   string    `json:"server"`
	Version  string    `json:"version"`
	Position string    `json:"position"`
	// Transport is how the request for the checkup reached the server.
	Transport Transport `json:"transport"`
	Findings  []Finding `json:"findings"`
}

// Transport is how a request reached a server.
type Transport struct {
	// Protocol is tls, plain or socket; empty: an older server does not report it.
	Protocol string `json:"protocol,omitempty"`
	// Certificate is the SHA-256 sum of the server's certificate in hex; empty without TLS.
	Certificate string `json:"certificate,omitempty"`
}

// Vitals is what a server knows in addition to its view. The zero value of a field means unknown.
type Vitals struct {
	Now time.Time
	// Self is the server that runs the examination. It is zero if no server runs and a person examines the log directly.
	Self    domain.ID
	Version string
	Others  []Peer
	// Clock is the server's verdict on its own clock. It is ignored if no server runs.
	Clock clocks.Verdict
	// Agents counts the connected agents by their version.
	Agents map[string]int
	// SecretAgents counts the connected agents that have sent their secret, and ProxiedAgents those behind a proxy that
	// ends TLS.
	SecretAgents, ProxiedAgents int

	Storage Storage
	Log     LogVitals
	// NotReady lists the reasons why this server is not ready. LostEvents is the sentence about a restored log.
	NotReady   []string
	LostEvents string
	Refused    []Refused
	Limited    []Limited
	// Names maps the ids of people to their names.
	Names explain.Names
}

// Peer is another server, as this server last read its lease.
type Peer struct {
	Server domain.ID
	Alive  bool
	// Unchanged is how long the lease has not changed.
	Unchanged time.Duration
	// Ahead is how far the other clock is ahead. It is valid only if Timed is set.
	Ahead time.Duration
	Timed bool
}

// Storage describes where a log is stored.
type Storage struct {
	Kind string // sqlite, postgres, esdb, …
	// Exposed is why others can read or change the traffic to the log; empty: they cannot.
	Exposed string
	// Folder contains the file of the log. It is empty if the log is not a local file.
	Folder string
	// Bytes is the size of the log; Free and Total describe its disk. 0 means unknown.
	Bytes, Free, Total uint64
}

// LogVitals is the result of reading the end of the log.
type LogVitals struct {
	Head eventlog.Position
	// Read is the number of newest events that were read and verified.
	Read int
	// Damaged describes the first damaged event. Fault is why the log could not be read.
	Damaged, Fault string
}

// How many of the newest events a checkup verifies.
const (
	// TailEvents is the intended number.
	TailEvents = 1000
	// MaxTailEvents is the limit. A read can exceed TailEvents because it starts at a position where the fold paused.
	MaxTailEvents = 5000
)

// TailVitals converts the result of eventlog.VerifyTail.
func TailVitals(found eventlog.Verified, err error) LogVitals {
	vitals := LogVitals{Head: found.Head, Read: found.Events}
	switch {
	case errors.Is(err, eventlog.ErrDamaged):
		vitals.Damaged = err.Error()
	case err != nil:
		vitals.Fault = err.Error()
	}
	return vitals
}

// Refused is an address whose requests were repeatedly refused.
type Refused struct {
	Address string // empty if the caller lacks the permission to see it
	Machine string // the name that the agent sent; empty if the client was not an agent
	Reason  string
	Times   int
	Last    time.Time
}

// Limited is a machine whose agent has recently reached a limit.
type Limited struct {
	Machine string
	Limit   string // such as health
	Times   int
	Last    time.Time
}

// Thresholds of findings. They leave time to act before something fails.
const (
	clockWarn  = 5 * time.Second
	clockBad   = clocks.Bound
	diskWarn   = 512 << 20
	diskShare  = 20 // a twentieth of the disk, unless that is more than diskEnough
	diskEnough = 10 << 30
	diskBad    = 64 << 20
	behindWarn = time.Hour
	tokenSoon  = 7 * 24 * time.Hour
	lastAdmin  = 30 * 24 * time.Hour
	joinLong   = 7 * 24 * time.Hour
	heldLong   = 7 * 24 * time.Hour
	refusals   = 5
	// named is the largest number of names in a sentence.
	named = 3
)

// Examine returns the findings of a server. There is at least one for each check, so that readers see what was checked.
func Examine(v *projections.View, age projections.Age, s Vitals) Checkup {
	c := Checkup{Time: s.Now.UTC(), Server: s.Self.String(), Findings: []Finding{}, Version: s.Version,
		Position: v.Position.String()}
	for _, check := range []struct {
		name string
		find func(*projections.View, projections.Age, Vitals) []Finding
		fine func(*projections.View, Vitals) string
	}{
		{"clock", clockFindings, fineClocks},
		{"disk", disk, fineDisk},
		{"log", logFindings, fineLog},
		{"servers", servers, fineServers},
		{"versions", versions, fineVersions},
		{"references", references, always("all references point to existing resources")},
		{"machines", machinesBehind, always("no machine has been behind for longer than " + span(behindWarn))},
		{"conditions", conditions, always("no agent reports a problem with its machine")},
		{"environments", reachFindings,
			always("every wanted release has a machine that can take it, and no machine has been offline for longer than " +
				span(offlineLong))},
		{"agents", refusedAgents, always("no client is refused repeatedly")},
		{"tokens", tokens, always("no token expires within " + span(tokenSoon) +
			", and no long-lived join token has unlimited uses")},
		{"choices", choices, always("nothing has been held or pinned for longer than " + span(heldLong))},
	} {
		if s.Self.IsZero() && slices.Contains(running, check.name) {
			continue
		}
		found := check.find(v, age, s)
		if len(found) == 0 {
			found = []Finding{{Severity: OK, Text: check.fine(v, s)}}
		}
		for _, f := range found {
			f.Check = check.name
			c.Findings = append(c.Findings, f)
		}
	}
	return c
}

// running lists the checks that require a running server.
var running = []string{"servers", "versions", "agents"}

func always(sentence string) func(*projections.View, Vitals) string {
	return func(*projections.View, Vitals) string { return sentence }
}

// Worst returns the highest severity among findings.
func Worst(findings []Finding) Severity {
	worst := OK
	for _, f := range findings {
		if f.Severity == Bad || f.Severity == Warn && worst == OK {
			worst = f.Severity
		}
	}
	return worst
}

// FindingsTable returns findings in the format of `drover doctor`.
func FindingsTable(list []Finding) explain.Table {
	t := explain.Table{Header: []string{"SEVERITY", "CHECK", "SEEN", "DO"}}
	for _, f := range list {
		t.Rows = append(t.Rows, []string{string(f.Severity), f.Check, f.Text, cmp.Or(f.Fix, "-")})
	}
	return t
}

func disk(_ *projections.View, _ projections.Age, s Vitals) []Finding {
	if s.Storage.Folder == "" || s.Storage.Total == 0 {
		return nil
	}
	return DiskFindings(s.Storage.Folder, s.Storage.Free, s.Storage.Total)
}

// DiskFindings examines the disk of a folder. It returns nothing if there is enough free space.
func DiskFindings(folder string, free, total uint64) []Finding {
	f := Finding{Severity: Warn, Text: fmt.Sprintf("%s of %s are free in %s", bytes(free), bytes(total), folder),
		Fix: "du -xh " + shellQuote(folder) + " | sort -h | tail (shows what uses the space)"}
	switch {
	case free < diskBad:
		f.Severity = Bad
	case free >= diskWarn && (free >= diskEnough || free >= total/diskShare):
		return nil
	}
	return []Finding{f}
}

func fineDisk(_ *projections.View, s Vitals) string {
	switch {
	case s.Storage.Folder == "":
		return "the log is not a local file (" + cmp.Or(s.Storage.Kind, "memory") + "); this server cannot examine its disk"
	case s.Storage.Total == 0:
		return "the free space in " + s.Storage.Folder + " is unknown on this system"
	}
	return fmt.Sprintf("%s of %s are free in %s", bytes(s.Storage.Free), bytes(s.Storage.Total), s.Storage.Folder)
}

func logFindings(v *projections.View, _ projections.Age, s Vitals) (found []Finding) {
	add := func(seen, do string) { found = append(found, Finding{Severity: Bad, Text: seen, Fix: do}) }
	if s.Log.Damaged != "" {
		add(s.Log.Damaged, "drover eventlog verify (names the first damaged event; then restore a backup)")
	}
	if s.Storage.Exposed != "" {
		found = append(found, Finding{Severity: Warn, Text: s.Storage.Exposed,
			Fix: "use TLS with a verified certificate in --log (PostgreSQL: sslmode=verify-full&sslrootcert=FILE, or its Unix socket), " +
				"without --insecure"})
	}
	if s.Log.Fault != "" {
		add("could not read the log: "+s.Log.Fault, "drover eventlog verify")
	}
	for _, sentence := range s.NotReady {
		add(sentence, "curl -s SERVER/readyz (shows this sentence until the problem is fixed)")
	}
	if s.LostEvents != "" {
		add(s.LostEvents, "drover eventlog accept-restore (after checking which backup was restored)")
	}
	for _, stream := range sorted(v.Aside) {
		add(explain.SetAside(v.Aside[stream]), "drover eventlog clear "+shellQuote(stream))
	}
	for _, typeName := range sorted(v.Ignored) {
		ignored := v.Ignored[typeName]
		found = append(found, Finding{Severity: Warn,
			Text: fmt.Sprintf("%s of unknown type %s ignored, the first at #%s: a newer version of drover writes to this log",
				counted(ignored.Count, "event"), typeName, ignored.First),
			Fix: "drover version (on each server; upgrade the older ones)"})
	}
	return found
}

func fineLog(v *projections.View, s Vitals) string {
	parts := []string{cmp.Or(s.Storage.Kind, "memory")}
	if s.Storage.Bytes > 0 {
		parts = append(parts, bytes(s.Storage.Bytes))
	}
	parts = append(parts, "head "+"#"+max(s.Log.Head, v.Position).String(),
		fmt.Sprintf("the newest %s verified", counted(s.Log.Read, "event")))
	if !s.Self.IsZero() {
		parts = append(parts, "accepts writes")
	}
	return strings.Join(parts, ", ")
}

func servers(v *projections.View, _ projections.Age, s Vitals) (found []Finding) {
	for _, other := range s.Others {
		if !other.Alive {
			found = append(found, Finding{Severity: Warn,
				Text: fmt.Sprintf("%s stopped renewing its lease %s ago without shutting down",
					serverName(v, other.Server), span(other.Unchanged)),
				Fix: "systemctl status drover-server (on its machine; this finding disappears an hour after the last renewal)"})
		}
	}
	return found
}

func fineServers(_ *projections.View, s Vitals) string {
	return fmt.Sprintf("%s on this log, each with a current lease", counted(1+len(s.Others), "server"))
}

// sorted returns the keys of m in order.
func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// serverName returns the address of a server, or its id if the address is unknown.
func serverName(v *projections.View, id domain.ID) string {
	name := "server " + id.String()
	if s := v.Servers[id]; s != nil && s.Facts.Address != "" {
		name = "server " + s.Facts.Address
	}
	return name
}

func versions(v *projections.View, _ projections.Age, s Vitals) (found []Finding) {
	for _, other := range s.Others {
		if o := v.Servers[other.Server]; other.Alive && o != nil && o.Facts.Version != s.Version {
			found = append(found, VersionFinding(serverName(v, other.Server), o.Facts.Version, serverName(v, s.Self), s.Version))
		}
	}
	for _, version := range sorted(s.Agents) {
		if version != s.Version {
			found = append(found, VersionFinding(counted(s.Agents[version], "connected agent"), version,
				serverName(v, s.Self), s.Version))
		}
	}
	return found
}

// VersionFinding reports that two components of drover have different versions.
func VersionFinding(who, version, other, theirs string) Finding {
	return Finding{Severity: Warn, Text: fmt.Sprintf("%s: version %s, while %s has %s", who, cmp.Or(version, "unknown"),
		other, cmp.Or(theirs, "unknown")), Fix: "drover version (on each of them; upgrade the older ones, servers first)"}
}

func fineVersions(_ *projections.View, s Vitals) string {
	agents := 0
	for _, n := range s.Agents {
		agents += n
	}
	return fmt.Sprintf("all servers and the %s have version %s", counted(agents, "connected agent"),
		cmp.Or(s.Version, "unknown"))
}

func refusedAgents(v *projections.View, _ projections.Age, s Vitals) (found []Finding) {
	list := slices.Clone(s.Refused)
	slices.SortFunc(list, func(a, b Refused) int { return cmp.Compare(b.Times, a.Times) })
	for _, r := range list {
		if r.Times < refusals || len(found) == 2*named {
			continue
		}
		who, do := "a client", "drover token create --scope read (and give it to them, if they should have access)"
		if r.Machine != "" {
			who = "the agent of machine " + r.Machine
			limits := "--environment ENVIRONMENT"
			if v.Machines[r.Machine] != nil { // the token then also lets a new instance take the name
				limits = "--machine " + shellQuote(r.Machine)
			}
			do = "drover agent --join \"$(drover token create --join " + limits + ")\" --name " + shellQuote(r.Machine) +
				" --environment ENVIRONMENT (on that machine, after fixing the reason)"
		}
		if r.Address != "" {
			who += " at " + r.Address
		}
		found = append(found, Finding{Severity: Warn, Text: fmt.Sprintf("%s was refused %d times, the last time %s ago: %s",
			who, r.Times, span(s.Now.Sub(r.Last)), r.Reason), Fix: do})
	}
	return slices.Concat(found, limited(s), flapping(v), authentication(s))
}

// authentication reports agents whose connections are less protected than they could be.
func authentication(s Vitals) (found []Finding) {
	if s.SecretAgents > 0 {
		found = append(found, Finding{Severity: Warn, Text: counted(s.SecretAgents, "connected agent") +
			" authenticated by sending the secret, as earlier versions of drover do; the next version refuses that",
			Fix: "drover version (on their machines; upgrade drover there)"})
	}
	if s.ProxiedAgents > 0 {
		found = append(found, Finding{Severity: OK, Text: counted(s.ProxiedAgents, "connected agent") +
			" came through a proxy that ends TLS: they rely on the proxy and its certificate"})
	}
	return found
}

// span formats a duration with at most its two largest units.
func span(d time.Duration) string {
	if d < time.Minute {
		d = d.Round(time.Second)
	}
	switch {
	case d < time.Minute:
		return fmt.Sprint(int(d/time.Second), "s")
	case d < time.Hour:
		return units(int(d/time.Minute), "m", int(d%time.Minute/time.Second), "s")
	case d < 48*time.Hour:
		return units(int(d/time.Hour), "h", int(d%time.Hour/time.Minute), "m")
	}
	return fmt.Sprintf("%d days", d/(24*time.Hour))
}

func units(large int, unit string, small int, part string) string {
	if small == 0 {
		return fmt.Sprint(large, unit)
	}
	return fmt.Sprint(large, unit, small, part)
}

// bytes formats a size with a binary unit.
func bytes(n uint64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	size, unit := float64(n), 0
	for size >= 1024 && unit < len(units)-1 {
		size, unit = size/1024, unit+1
	}
	if unit == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", size, units[unit])
}

// counted formats a number with a noun: "1 machine", "3 machines".
func counted(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

// shellQuote quotes text so that a shell reads it as one word.
func shellQuote(text string) string {
	safe := text != "" && strings.IndexFunc(text, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:@%+,=", r)
	}) < 0
	if safe {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
