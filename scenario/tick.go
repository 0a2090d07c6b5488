package scenario

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/triggers"
)

// paused is a tick between two of its steps.
type paused struct {
	pass *engine.Pass
	// done is the last completed step.
	done step
	// shown counts the appended events that were printed. seen is set when the verdicts were printed.
	shown int
	seen  bool
	// waiting is set while the tick waits for resume.
	waiting bool
}

// tick runs one tick on each server. With several servers, all read, then all decide, then all append.
func (r *runner) tick(b *block) ([]string, error) {
	words, values, err := r.header(b, 1, "server", "servers")
	if err != nil {
		return nil, err
	}
	if len(words) == 0 {
		return nil, r.wrong("usage: "+blockOf(b.name).usage, "the time is missing")
	}
	servers, err := r.named(values)
	if err != nil {
		return nil, err
	}
	if err := r.at(words[0]); err != nil {
		return nil, err
	}
	return r.tickAll(servers)
}

// named returns the servers of a block: server=a, servers=(a,b), or a by default.
func (r *runner) named(values map[string]string) ([]*server, error) {
	list := values["server"]
	if several := values["servers"]; several != "" {
		list = strings.TrimSuffix(strings.TrimPrefix(several, "("), ")")
	}
	var servers []*server
	for name := range strings.SplitSeq(list, ",") {
		s, err := r.running(strings.TrimSpace(name))
		if err != nil {
			return nil, err
		}
		if s.paused != nil {
			return nil, r.wrong("add `resume` first", "server %s is within a tick", s.name)
		}
		if slices.Contains(servers, s) {
			return nil, r.wrong("", "server %s is named twice", s.name)
		}
		servers = append(servers, s)
	}
	return servers, nil
}

// tickAll runs the steps of a tick on all servers, each step on all servers before the next step.
func (r *runner) tickAll(servers []*server) ([]string, error) {
	if r.ticks += len(servers); r.ticks > MaxTicks {
		return nil, r.wrong("let less time pass, or split it into several files", "the file has more than %d ticks", MaxTicks)
	}
	printed := map[*server][]string{}
	for _, s := range servers {
		s.paused = &paused{}
	}
	for _, next := range []step{afterRead, afterDecide, afterAppend, ""} {
		for _, s := range servers {
			if s.paused == nil || s.paused.waiting || s.paused.done != before(next) {
				continue
			}
			lines, err := r.step(s, next)
			if err != nil {
				return nil, err
			}
			printed[s] = append(printed[s], lines...)
		}
	}
	return joinOutput(servers, printed), nil
}

// joinOutput joins the output of servers. With several servers, each line begins with its server.
func joinOutput(servers []*server, printed map[*server][]string) []string {
	var output []string
	for _, s := range servers {
		for _, text := range printed[s] {
			if len(servers) > 1 {
				text = s.name + "  " + text
			}
			output = append(output, text)
		}
	}
	return output
}

// before returns the step before another step.
func before(s step) step {
	return map[step]step{afterRead: "", afterDecide: afterRead, afterAppend: afterDecide, "": afterAppend}[s]
}

// step runs one step of a tick; the last step, which has no name, finishes the tick. If the server is set to pause or
// crash after the step, it does.
func (r *runner) step(s *server, next step) (lines []string, err error) {
	p := s.paused
	switch next {
	case afterRead:
		if p.pass, err = s.Begin(r.ctx); err == nil {
			lines = []string{readLine(p.pass.Report.Batch)}
		}
	case afterDecide:
		p.pass.Decide()
	case afterAppend:
		err = p.pass.Append(r.ctx)
	default:
		if _, err = p.pass.Finish(r.ctx); err == nil {
			s.paused = nil
			return append(r.verdicts(s, p), r.appended(s, p, true)...), nil
		}
	}
	if err != nil {
		return nil, err
	}
	p.done = next
	if s.stop != next {
		return lines, nil
	}
	s.stop = ""
	lines = append(append(lines, r.verdicts(s, p)...), r.appended(s, p, false)...)
	if s.crashes {
		reopened, err := r.reopen(s)
		return append(append(lines, fmt.Sprintf("crash    after %s", next)), reopened...), err
	}
	p.waiting = true
	if next == afterDecide {
		for _, w := range p.pass.Planned() {
			lines = append(lines, plannedPrefix+planned(w))
		}
	}
	return append(lines, fmt.Sprintf("pause    after %s", next)), nil
}

// planned describes an event that is not in the log yet. A deployment has no name before it is queued.
func planned(w engine.Written) string {
	d := domain.Describe(w.Event, domain.Place{Stream: w.Stream})
	return strings.TrimSpace(d.Name + " " + strings.TrimSuffix(d.Details, " ("+domain.ID{}.String()+")"))
}

func readLine(batch triggers.Batch) string {
	if batch.Events == 0 {
		return "read     nothing"
	}
	if batch.First == batch.Last {
		return fmt.Sprintf("read     #%s", batch.First)
	}
	return fmt.Sprintf("read     #%s..#%s", batch.First, batch.Last)
}

// verdicts prints the balances and verdicts of a tick, once.
func (r *runner) verdicts(s *server, p *paused) []string {
	report := &p.pass.Report
	if p.seen || report.Machines == nil {
		return nil
	}
	p.seen = true
	var lines []string
	for _, b := range report.Machines {
		state := "deleted"
		if b.Exists {
			state = map[bool]string{true: "deployable", false: "not deployable"}[b.Deployable]
		}
		lines = append(lines, fmt.Sprintf("balance  %s  %s  %s", b.Machine, b, state))
	}
	for _, verdict := range report.Verdicts {
		lines = append(lines, verdictLine(s, verdict))
	}
	return lines
}

// verdictLine formats one verdict. It includes the project if there are several.
func verdictLine(s *server, verdict triggers.Verdict) string {
	text := fmt.Sprintf("%-8s %s  %s", verdict.Kind, verdict.Machine, verdict.Reason)
	if len(s.fold().Projects) > 1 {
		text += "  " + verdict.Project
	}
	return text
}

// appended prints the appended events of a tick that have not been printed yet.
func (r *runner) appended(s *server, p *paused, ended bool) []string {
	r.learn()
	var lines []string
	if err := s.Ready(); err != nil {
		lines = append(lines, "fenced   "+err.Error())
	}
	if err := s.LostEvents(); err != nil {
		lines = append(lines, "doubted  "+err.Error())
	}
	for _, w := range p.pass.Report.Appended[p.shown:] {
		lines = append(lines, "append   "+r.written(w))
	}
	if ended && len(p.pass.Report.Appended) == 0 {
		lines = append(lines, "append   nothing")
	}
	p.shown = len(p.pass.Report.Appended)
	return lines
}

// written finds the event of a decision in the log. If two servers make the same decision, the log has one event.
func (r *runner) written(w engine.Written) string {
	all := r.after(0)
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].Stream == w.Stream && same(all[i], w.Event) {
			return r.describe(all[i])
		}
	}
	return domain.Name(w.Event) + " is not in the log"
}

// same reports whether a record contains an event. It compares decoded data, because logs can encode the same JSON
// differently.
func same(rec eventlog.Recorded, fact domain.Event) bool {
	typeName, data, err := domain.Encode(fact)
	if err != nil || typeName != rec.Type {
		return false
	}
	written, err := domain.Decode(rec.Type, rec.Data)
	if err != nil {
		return false
	}
	wanted, err := domain.Decode(typeName, data)
	return err == nil && reflect.DeepEqual(written, wanted)
}

// manyTicks lets time pass with a tick every 15 seconds. It prints the appended events, and the verdicts that differ
// from those of the previous tick.
func (r *runner) manyTicks(b *block) ([]string, error) {
	_, values, err := r.header(b, 0, "until", "every", "server", "servers")
	if err != nil {
		return nil, err
	}
	until, ok := parseTime(values["until"])
	every, err := time.ParseDuration(orElse(values["every"], "15s"))
	if !ok || err != nil || every < time.Second {
		return nil, r.wrong("usage: "+blockOf(b.name).usage, "invalid until or every: every is at least 1s")
	}
	servers, err := r.named(values)
	if err != nil {
		return nil, err
	}
	if until < r.clock.now || (until-r.clock.now)/every > MaxTicks {
		return nil, r.wrong("times must not decrease, and a file has at most "+strconv.Itoa(MaxTicks)+" ticks",
			"until=%s is too early or too late", values["until"])
	}
	var output []string
	last, count := map[string]string{}, 0
	for next := r.clock.now - r.clock.now%every + every; next <= until; next += every {
		if err := r.ctx.Err(); err != nil {
			return nil, err
		}
		if err := r.advance(next); err != nil {
			return nil, err
		}
		count++
		lines, err := r.tickAll(servers)
		if err != nil {
			return nil, err
		}
		output = append(output, changedLines(formatTime(next), lines, last)...)
	}
	return append(output, fmt.Sprintf("%d ticks", count)), r.advance(until)
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

// changedLines returns the lines of a tick that are new. last contains the verdicts of the previous tick.
func changedLines(at string, lines []string, last map[string]string) []string {
	var output []string
	now := map[string]string{}
	for _, text := range lines {
		plain, kind := text, strings.Fields(text)[0]
		if len(kind) == 1 { // the server
			plain, kind = strings.TrimSpace(text[1:]), strings.Fields(text)[1]
		}
		switch kind {
		case "wait", "none", "deploy":
			now[text] = plain
			if last[text] != "" {
				continue
			}
		case "read", "balance":
			continue
		case "append":
			if strings.HasSuffix(plain, "nothing") {
				continue
			}
		}
		output = append(output, at+"  "+text)
	}
	clear(last)
	for text, plain := range now {
		last[text] = plain
	}
	return output
}
