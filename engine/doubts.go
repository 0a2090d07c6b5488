package engine

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections"
)

// doubts are the machines whose agents remember something that the log with this id does not have. Engine.mu guards it.
type doubts struct {
	log    uuid.UUID
	own    map[string]projections.Doubt               // that this server has found, by machine
	others map[domain.ID]map[string]projections.Doubt // from the leases of other servers
}

// doubt records that a machine is doubted, and stops the fleet if enough machines are.
func (e *Engine) doubt(c comparison, missing string, log domain.ID) {
	d := projections.Doubt{Server: e.cfg.Server, Instance: c.known.Instance, Missing: domain.OneLine(missing), Log: log}
	e.mu.Lock()
	before, known := e.doubts.own[c.machine]
	if e.doubts.own == nil {
		e.doubts.own = map[string]projections.Doubt{}
	}
	e.doubts.own[c.machine] = d
	e.publishDoubts()
	e.mu.Unlock()
	if !known || before != d {
		e.log.Warn("the agent of a machine remembers an event that the log does not have; nothing is deployed to the machine",
			zap.String("machine", c.machine), zap.String("missing", d.Missing))
	}
	e.checkDoubts()
}

// endDoubt ends what this server found out about a machine.
func (e *Engine) endDoubt(machine string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, known := e.doubts.own[machine]; known {
		delete(e.doubts.own, machine)
		e.publishDoubts()
	}
}

// publishDoubts replaces the doubts of the view. Those about another id of the log are void: all agents report again.
// The caller holds mu.
func (e *Engine) publishDoubts() {
	if e.doubts.log != e.logID() {
		e.doubts = doubts{log: e.logID(), own: map[string]projections.Doubt{}}
	}
	all := maps.Clone(e.doubts.own)
	for _, found := range e.doubts.others {
		for machine, d := range found {
			if m := e.view.Machines[machine]; m != nil && m.Server == d.Server {
				all[machine] = d
			}
		}
	}
	if e.view.Doubts = nil; len(all) > 0 {
		e.view.Doubts = all
	}
}

// refreshDoubts adopts the doubts of other servers, and drops those of machines that are gone or have another server.
func (e *Engine) refreshDoubts(leases map[uuid.UUID][]byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.publishDoubts()
	maps.DeleteFunc(e.doubts.own, func(machine string, d projections.Doubt) bool {
		m := e.view.Machines[machine]
		return m == nil || m.Instance != d.Instance || m.Server != d.Server
	})
	e.doubts.others = map[domain.ID]map[string]projections.Doubt{}
	for id, value := range leases {
		if server := domain.ID(id); server != e.cfg.Server {
			_, lines := cutDoubts(string(value))
			e.doubts.others[server] = parseDoubts(server, e.logID(), lines)
		}
	}
	e.publishDoubts()
}

// doubtPrefix begins the lines of a lease that name doubted machines.
const doubtPrefix = "doubt "

// doubtLines returns the lines of a lease about the machines that this server doubts. Together with a line break each,
// they have at most room bytes: if the texts do not fit, the lines have none, and if these do not fit either, the last
// machines are left out. The server of a machine's session knows its doubt anyway. The caller holds mu.
func (e *Engine) doubtLines(room int) []string {
	if e.doubts.log != e.logID() {
		return nil
	}
	lines, fits := e.doubtLinesWith(true, room)
	if !fits {
		lines, _ = e.doubtLinesWith(false, room)
	}
	return lines
}

func (e *Engine) doubtLinesWith(texts bool, room int) (lines []string, fits bool) {
	for _, machine := range slices.Sorted(maps.Keys(e.doubts.own)) {
		d := e.doubts.own[machine]
		line := strings.TrimSpace(doubtPrefix + strings.Join([]string{e.doubts.log.String(), machine, d.Instance.String(),
			d.Log.String()}, " "))
		if texts {
			line += " " + d.Missing
		}
		if room -= len(line) + 1; room < 0 {
			return lines, false
		}
		lines = append(lines, line)
	}
	return lines, true
}

// cutDoubts separates the lines about doubted machines from the rest of a lease.
func cutDoubts(lease string) (rest string, lines []string) {
	var others []string
	for line := range strings.SplitSeq(lease, "\n") {
		if found, is := strings.CutPrefix(line, doubtPrefix); is {
			lines = append(lines, found)
		} else {
			others = append(others, line)
		}
	}
	return strings.Join(others, "\n"), lines
}

// parseDoubts parses what doubtLines returned on a server. It ignores lines about another log, and invalid ones.
func parseDoubts(server domain.ID, log uuid.UUID, lines []string) map[string]projections.Doubt {
	found := map[string]projections.Doubt{}
	for _, line := range lines {
		words := strings.SplitN(line, " ", 5)
		if len(words) < 4 || words[0] != log.String() {
			continue
		}
		instance, err := domain.ParseID(words[2])
		if err != nil {
			continue
		}
		d := projections.Doubt{Server: server, Instance: instance, Missing: "an event"}
		d.Log, _ = domain.ParseID(words[3])
		if len(words) == 5 {
			d.Missing = domain.OneLine(words[4])
		}
		found[words[1]] = d
	}
	return found
}

// Numbers of doubted machines that stop the fleet, see enoughDoubts.
const (
	// MinDoubted is how many machines are doubted, at least.
	MinDoubted = 2
	// MinDoubtedTokens is with how many join tokens they joined, unless the fleet joined with fewer.
	MinDoubtedTokens = 3
)

// checkDoubts stops this server from deciding if enough machines are doubted. Other servers learn it from the lease.
func (e *Engine) checkDoubts() {
	evidence := ""
	e.Read(func(v *projections.View) {
		if self := v.Servers[e.cfg.Server]; self != nil { // else it has not started
			if machines := enoughDoubts(v, self.Started); len(machines) > 0 {
				evidence = fmt.Sprintf("the agent of machine %s remembers %s", machines[0].Name, v.DoubtOf(machines[0]).Missing)
			}
		}
	})
	if evidence != "" {
		e.ReportLostEvents(evidence)
	}
}

// enoughDoubts returns the doubted machines if together they are evidence that the log has lost events, else nil. One
// person with a join token can run any number of agents that lie, so only machines count that joined before position
// start, the last start of this server: a running server notices a restore itself. Either
//
//   - MinDoubtedTokens machines joined with as many different join tokens, or
//   - MinDoubted machines are more than half of the fleet, and joined with all of its join tokens.
//
// Machines whose token is revoked do not count.
func enoughDoubts(v *projections.View, start eventlog.Position) []*projections.Machine {
	var doubted []*projections.Machine
	of := map[string]bool{}
	for _, m := range doubtedMachines(v) {
		if token := tokenOf(v, m); m.Added < start && !m.MemoryExcepted && (token == nil || !token.Revoked) {
			doubted, of[tokenIDOf(token)] = append(doubted, m), true
		}
	}
	switch {
	case len(of) >= MinDoubtedTokens:
		return doubted
	case len(doubted) < MinDoubted:
		return nil
	}
	fleet, tokens := 0, map[string]bool{}
	for _, m := range v.Machines {
		if m.Added < start {
			tokens[tokenIDOf(tokenOf(v, m))] = true
			fleet++
		}
	}
	if len(of) < len(tokens) || 2*len(doubted) <= fleet {
		return nil
	}
	return doubted
}

// doubtedMachines returns the machines that are doubted, by name.
func doubtedMachines(v *projections.View) (machines []*projections.Machine) {
	for name := range v.Doubts {
		if m := v.Machines[name]; m != nil && v.DoubtOf(m) != nil {
			machines = append(machines, m)
		}
	}
	slices.SortFunc(machines, func(a, b *projections.Machine) int { return strings.Compare(a.Name, b.Name) })
	return machines
}

// tokenOf returns the first token that the instance of a machine joined with as this machine; nil if it joined with none.
func tokenOf(v *projections.View, m *projections.Machine) *domain.Token {
	for _, t := range v.TokensOf(m.Instance) {
		if t.Used[m.Instance].Machine == m.Name {
			return t
		}
	}
	return nil
}

func tokenIDOf(t *domain.Token) string {
	if t == nil {
		return ""
	}
	return t.ID
}
