package doctor

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/explain"
	"github.com/droverhq/drover/projections"
)

// Severity says how much a finding matters.
type Severity string

// The severities, from nothing to do to something that is broken.
const (
	Fine Severity = "ok"
	Warn Severity = "warn"
	Bad  Severity = "bad"
)

// Finding is one line of `drover doctor`.
type Finding struct {
	Severity Severity `json:"severity"`
	// Check is what was looked at: clock, disk, log, …
	Check string `json:"check"`
	// Seen is one sentence on what is so.
	Seen string `json:"seen"`
	// Do is a command, or a sentence with one, that mends it; empty: nothing is to be done.
	Do string `json:"do"`
}

// Checkup is what a server says of itself and of its log.
type Checkup struct {
	// Time is the server's wall clock.
	Time     time.Time `json:"time"`
	Server   string    `json:"server"`
	Version  string    `json:"version"`
	Position string    `json:"position"`
	Findings []Finding `json:"findings"`
}

// Vitals are what a server knows besides its view. The zero value of a field means unknown.
type Vitals struct {
	Now time.Time
	// Self is the server that examines; zero: no server runs, and a person examines the log itself.
	Self    domain.ID
	Version string
	Others  []Pulse
	// Agents counts the connected agents by their version.
	Agents map[string]int
	Place  Place
	Log    LogVitals
	// Against are the sentences that keep this server from its work, Doubt the one on a log that has lost events.
	Against []string
	Doubt   string
	Refused []Refused
	// Names are what persons are called.
	Names explain.Names
}

// Pulse is the lease of another server as this one has seen it.
type Pulse struct {
	Server domain.ID
	Alive  bool
	// Still is for how long the lease has not changed.
	Still time.Duration
	// Ahead is by how much its clock is ahead, if Timed.
	Ahead time.Duration
	Timed bool
}

// Place is where a log is stored.
type Place struct {
	Kind string // sqlite, postgres, esdb, …
	// Folder is that of the log's file; empty: the log is stored elsewhere.
	Folder string
	// Bytes is how much the log takes, Free and Total are of its disk; 0: not known.
	Bytes, Free, Total uint64
}

// LogVitals is what reading the end of the log found.
type LogVitals struct {
	Head eventlog.Position
	// Read is how many of the newest events were read and are whole.
	Read int
	// Damaged is what is wrong with the next one; Fault is why the log could not be read.
	Damaged, Fault string
}

// How many of the newest events a checkup reads again.
const (
	// TailEvents is the number that is wanted.
	TailEvents = 1000
	// TailMost is the limit. A read can cover more than TailEvents, because it begins where the fold once paused.
	TailMost = 5000
)

// LogOf are the vitals of a log whose end was read with eventlog.VerifyTail.
func LogOf(found eventlog.Verified, err error) LogVitals {
	vitals := LogVitals{Head: found.Head, Read: found.Events}
	switch {
	case errors.Is(err, eventlog.ErrDamaged):
		vitals.Damaged = err.Error()
	case err != nil:
		vitals.Fault = err.Error()
	}
	return vitals
}

// Refused is an address from which agents or people are refused again and again.
type Refused struct {
	Address string // empty: whoever asks may not know
	Machine string // the name that an agent gave; empty: it was no agent
	Reason  string
	Times   int
	Last    time.Time
}

// Thresholds of findings. They leave time to act before something fails.
const (
	clockWarn  = 5 * time.Second
	clockBad   = 5 * time.Minute
	diskWarn   = 512 << 20
	diskShare  = 20 // a twentieth of the disk, as long as that is little
	diskEnough = 10 << 30
	diskBad    = 64 << 20
	behindWarn = time.Hour
	tokenSoon  = 72 * time.Hour
	joinLong   = 7 * 24 * time.Hour
	heldLong   = 7 * 24 * time.Hour
	refusals   = 5
	// named is how many names a sentence holds.
	named = 3
)

// Examine returns a server's findings: at least one for each check, so that readers see what was checked.
func Examine(v *projections.View, age projections.Age, s Vitals) Checkup {
	c := Checkup{Time: s.Now.UTC(), Server: s.Self.String(), Findings: []Finding{}, Version: s.Version, Position: v.Position.String()}
	for _, check := range []struct {
		name string
		find func(*projections.View, projections.Age, Vitals) []Finding
		fine func(*projections.View, Vitals) string
	}{
		{"clock", clocks, fineClocks},
		{"disk", disk, fineDisk},
		{"log", logFindings, fineLog},
		{"servers", servers, fineServers},
		{"versions", versions, fineVersions},
		{"references", references, always("everything that is named exists")},
		{"machines", machinesBehind, always("no machine is behind for longer than " + span(behindWarn))},
		{"environments", takers, always("where a release is wanted, a machine can take it, and no machine is offline for longer than " + span(offlineLong))},
		{"agents", refusedAgents, always("nobody is refused again and again")},
		{"tokens", tokens, always("no token expires within " + span(tokenSoon) + " or lets any number of agents join for long")},
		{"choices", choices, always("nothing is held or pinned for longer than " + span(heldLong))},
	} {
		if s.Self.IsZero() && slices.Contains(running, check.name) {
			continue
		}
		found := check.find(v, age, s)
		if len(found) == 0 {
			found = []Finding{{Severity: Fine, Seen: check.fine(v, s)}}
		}
		for _, f := range found {
			f.Check = check.name
			c.Findings = append(c.Findings, f)
		}
	}
	return c
}

// running are the checks that only a running server can make.
var running = []string{"servers", "versions", "agents"}

func always(sentence string) func(*projections.View, Vitals) string {
	return func(*projections.View, Vitals) string { return sentence }
}

// Worst is the highest severity among findings.
func Worst(findings []Finding) Severity {
	worst := Fine
	for _, f := range findings {
		if f.Severity == Bad || f.Severity == Warn && worst == Fine {
			worst = f.Severity
		}
	}
	return worst
}

// FindingsTable is `drover doctor`.
func FindingsTable(list []Finding) explain.Table {
	t := explain.Table{Header: []string{"SEVERITY", "CHECK", "SEEN", "DO"}}
	for _, f := range list {
		t.Rows = append(t.Rows, []string{string(f.Severity), f.Check, f.Seen, cmp.Or(f.Do, "-")})
	}
	return t
}

// ClockFinding compares two clocks: ahead is by how much whose clock is ahead of the clock of to, within about give.
// It is false if they agree well enough.
func ClockFinding(whose, to string, ahead, give time.Duration) (Finding, bool) {
	off := ahead.Abs() - give
	if off <= clockWarn {
		return Finding{}, false
	}
	severity := Warn
	if off > clockBad {
		severity = Bad
	}
	way := "ahead of"
	if ahead < 0 {
		way = "behind"
	}
	return Finding{Severity: severity, Seen: fmt.Sprintf("the clock of %s is %s %s that of %s; deadlines of pins, holds and tokens go by it", whose, span(ahead.Abs()), way, to),
		Do: "timedatectl set-ntp true (on the machine whose clock is wrong)"}, true
}

// leaseGive is how old a lease may be when another server sees it.
const leaseGive = 2500 * time.Millisecond

func clocks(v *projections.View, _ projections.Age, s Vitals) (found []Finding) {
	for _, other := range s.Others {
		if !other.Alive || !other.Timed {
			continue
		}
		if f, ok := ClockFinding(serverName(v, other.Server), serverName(v, s.Self), other.Ahead, leaseGive); ok {
			found = append(found, f)
		}
	}
	if ahead := v.Time.Sub(s.Now); ahead > clockWarn {
		found = append(found, Finding{Severity: Warn, Seen: fmt.Sprintf("the newest event of the log is dated %s after this server's clock: a clock was set back, or another server's is ahead", span(ahead)),
			Do: "timedatectl set-ntp true (on the machine whose clock is wrong)"})
	}
	return found
}

func fineClocks(v *projections.View, s Vitals) string {
	timed := 0
	for _, other := range s.Others {
		if other.Alive && other.Timed {
			timed++
		}
	}
	if timed == 0 {
		return "the newest event is not of the future; no other server runs to compare with"
	}
	return fmt.Sprintf("the clocks of %s and of this one agree", counting(timed, "other server"))
}

func disk(_ *projections.View, _ projections.Age, s Vitals) []Finding {
	if s.Place.Folder == "" || s.Place.Total == 0 {
		return nil
	}
	return DiskFindings(s.Place.Folder, s.Place.Free, s.Place.Total)
}

// DiskFindings judges the disk that a folder is on; it returns none if there is room.
func DiskFindings(folder string, free, total uint64) []Finding {
	f := Finding{Severity: Warn, Seen: fmt.Sprintf("%s of %s are free in %s", bytes(free), bytes(total), folder),
		Do: "du -xh " + shellWord(folder) + " | sort -h | tail (shows what takes the room)"}
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
	case s.Place.Folder == "":
		return "the log is kept elsewhere (" + cmp.Or(s.Place.Kind, "memory") + "); this server cannot see its disk"
	case s.Place.Total == 0:
		return "the free room in " + s.Place.Folder + " is not known on this system"
	}
	return fmt.Sprintf("%s of %s are free in %s", bytes(s.Place.Free), bytes(s.Place.Total), s.Place.Folder)
}

func logFindings(v *projections.View, _ projections.Age, s Vitals) (found []Finding) {
	add := func(seen, do string) { found = append(found, Finding{Severity: Bad, Seen: seen, Do: do}) }
	if s.Log.Damaged != "" {
		add(s.Log.Damaged, "drover eventlog verify (names the first bad event; then restore a backup)")
	}
	if s.Log.Fault != "" {
		add("the log cannot be read: "+s.Log.Fault, "drover eventlog verify")
	}
	for _, sentence := range s.Against {
		add(sentence, "curl -s SERVER/readyz (the same sentence, until it is mended)")
	}
	if s.Doubt != "" {
		add(s.Doubt, "drover eventlog accept-restore (after a look at which backup was restored)")
	}
	for _, stream := range sorted(v.Aside) {
		add(explain.SetAside(v.Aside[stream]), "drover eventlog clear "+shellWord(stream))
	}
	for _, typeName := range sorted(v.Ignored) {
		ignored := v.Ignored[typeName]
		found = append(found, Finding{Severity: Warn, Seen: fmt.Sprintf("%s of unknown type %s ignored, the first at #%s: a newer drover writes to this log",
			counting(ignored.Count, "event"), typeName, ignored.First), Do: "drover version (on each server; bring the older ones up)"})
	}
	return found
}

func fineLog(v *projections.View, s Vitals) string {
	parts := []string{cmp.Or(s.Place.Kind, "memory")}
	if s.Place.Bytes > 0 {
		parts = append(parts, bytes(s.Place.Bytes))
	}
	parts = append(parts, "head "+"#"+max(s.Log.Head, v.Position).String(), fmt.Sprintf("the newest %s are whole", counting(s.Log.Read, "event")))
	if !s.Self.IsZero() {
		parts = append(parts, "it takes writes")
	}
	return strings.Join(parts, ", ")
}

func servers(v *projections.View, _ projections.Age, s Vitals) (found []Finding) {
	for _, other := range s.Others {
		if !other.Alive {
			found = append(found, Finding{Severity: Warn, Seen: fmt.Sprintf("%s has gone without a word %s ago", serverName(v, other.Server), span(other.Still)),
				Do: "systemctl status drover-server (on its machine; it is forgotten an hour after it was last seen)"})
		}
	}
	return found
}

func fineServers(_ *projections.View, s Vitals) string {
	return fmt.Sprintf("%s of this log, each with a lease of a moment ago", counting(1+len(s.Others), "server"))
}

// sorted returns the keys of m in order.
func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// serverName is a server as people know it.
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
			found = append(found, VersionFinding(counting(s.Agents[version], "connected agent"), version, serverName(v, s.Self), s.Version))
		}
	}
	return found
}

// VersionFinding says that two parts of drover are not of one version.
func VersionFinding(who, version, other, theirs string) Finding {
	return Finding{Severity: Warn, Seen: fmt.Sprintf("%s: version %s, while %s has %s", who, cmp.Or(version, "unknown"), other, cmp.Or(theirs, "unknown")),
		Do: "drover version (on each of them; bring the older ones up, servers first)"}
}

func fineVersions(_ *projections.View, s Vitals) string {
	agents := 0
	for _, n := range s.Agents {
		agents += n
	}
	return fmt.Sprintf("all servers and the %s are of version %s", counting(agents, "connected agent"), cmp.Or(s.Version, "unknown"))
}

func refusedAgents(_ *projections.View, _ projections.Age, s Vitals) (found []Finding) {
	list := slices.Clone(s.Refused)
	slices.SortFunc(list, func(a, b Refused) int { return cmp.Compare(b.Times, a.Times) })
	for _, r := range list {
		if r.Times < refusals || len(found) == 2*named {
			continue
		}
		who, do := "somebody", "drover token create --scope read (and give it to them, if they may)"
		if r.Machine != "" {
			who = "the agent of machine " + r.Machine
			do = "drover agent --join \"$(drover token create --join)\" --name " + shellWord(r.Machine) + " (on that machine)"
		}
		if r.Address != "" {
			who += " at " + r.Address
		}
		found = append(found, Finding{Severity: Warn, Seen: fmt.Sprintf("%s was refused %d times, the last time %s ago: %s", who, r.Times, span(s.Now.Sub(r.Last)), r.Reason), Do: do})
	}
	return found
}

func tokens(v *projections.View, _ projections.Age, s Vitals) (found []Finding) {
	for _, id := range sorted(v.Tokens) {
		t := v.Tokens[id]
		until := t.Settings.Until
		switch {
		case t.Revoked || until != nil && !s.Now.Before(*until):
		case t.Settings.Join && t.Settings.Uses == 0 && (until == nil || until.Sub(s.Now) > joinLong):
			long := "and never expires"
			if until != nil {
				long = "for another " + span(until.Sub(s.Now))
			}
			found = append(found, Finding{Severity: Warn, Seen: "join token " + id + " lets any number of agents join, " + long, Do: "drover token revoke " + id +
				" (this also ends the agents that joined with it; `drover token create --join --uses N --for D` makes a bounded one)"})
		case !t.Settings.Join && until != nil && until.Sub(s.Now) < tokenSoon:
			found = append(found, Finding{Severity: Warn, Seen: fmt.Sprintf("token %s with the scope %s expires in %s", id, t.Settings.Scope, span(until.Sub(s.Now))),
				Do: "drover token create --scope " + string(t.Settings.Scope)})
		}
	}
	return found
}

// span is a duration as people say it, with its two largest units at most.
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

// bytes is a size as people say it.
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

// counting is a number with its word: "1 machine", "3 machines".
func counting(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

// shellWord is text as a shell takes it for one word.
func shellWord(text string) string {
	safe := text != "" && strings.IndexFunc(text, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:@%+,=", r)
	}) < 0
	if safe {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
