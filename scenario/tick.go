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

// paused is a tick that stands between two of its steps.
type paused struct {
	pass *engine.Pass
	// done is the step that was taken last.
	done step
	// shown counts the appended events that were printed; seen says that the verdicts were.
	shown int
	seen  bool
	// stands says that it stopped here, until resume.
	stands bool
}

// tick lets servers take one pass each. Several at one instant all read, then all decide, then all append.
func (st *stage) tick(b *block) ([]string, error) {
	words, values, err := st.header(b, 1, "server", "servers")
	if err != nil {
		return nil, err
	}
	if len(words) == 0 {
		return nil, st.wrong("write: "+blockOf(b.name).usage, "the time is missing")
	}
	servers, err := st.named(values)
	if err != nil {
		return nil, err
	}
	if err := st.at(words[0]); err != nil {
		return nil, err
	}
	return st.tickAll(servers)
}

// named are the servers of a block: server=a, servers=(a,b), or a.
func (st *stage) named(values map[string]string) ([]*server, error) {
	list := values["server"]
	if several := values["servers"]; several != "" {
		list = strings.TrimSuffix(strings.TrimPrefix(several, "("), ")")
	}
	var servers []*server
	for name := range strings.SplitSeq(list, ",") {
		s, err := st.running(strings.TrimSpace(name))
		if err != nil {
			return nil, err
		}
		if s.paused != nil {
			return nil, st.wrong("write `resume` first", "server %s is in the middle of a tick", s.name)
		}
		if slices.Contains(servers, s) {
			return nil, st.wrong("", "server %s is named twice", s.name)
		}
		servers = append(servers, s)
	}
	return servers, nil
}

// tickAll takes the steps of a tick on all servers, each step on all before the next.
func (st *stage) tickAll(servers []*server) ([]string, error) {
	if st.ticks += len(servers); st.ticks > MaxTicks {
		return nil, st.wrong("let less time pass, or cut it into several files", "the file has more than %d ticks", MaxTicks)
	}
	printed := map[*server][]string{}
	for _, s := range servers {
		s.paused = &paused{}
	}
	for _, next := range []step{afterRead, afterDecide, afterAppend, ""} {
		for _, s := range servers {
			if s.paused == nil || s.paused.stands || s.paused.done != before(next) {
				continue
			}
			lines, err := st.step(s, next)
			if err != nil {
				return nil, err
			}
			printed[s] = append(printed[s], lines...)
		}
	}
	return together(servers, printed), nil
}

// together joins what servers print; of several, each line begins with its server.
func together(servers []*server, printed map[*server][]string) []string {
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

// before is the step that comes before another one.
func before(s step) step {
	return map[step]step{afterRead: "", afterDecide: afterRead, afterAppend: afterDecide, "": afterAppend}[s]
}

// step takes one step of a tick; the last one, which has no name, runs it to its end. If the server is to
// stop after it, it does.
func (st *stage) step(s *server, next step) (lines []string, err error) {
	p := s.paused
	switch next {
	case afterRead:
		if p.pass, err = s.Begin(st.ctx); err == nil {
			lines = []string{readLine(p.pass.Report.Batch)}
		}
	case afterDecide:
		p.pass.Decide()
	case afterAppend:
		err = p.pass.Append(st.ctx)
	default:
		if _, err = p.pass.Finish(st.ctx); err == nil {
			s.paused = nil
			return append(st.verdicts(s, p), st.appended(s, p, true)...), nil
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
	lines = append(append(lines, st.verdicts(s, p)...), st.appended(s, p, false)...)
	if s.crashes {
		reopened, err := st.reopen(s)
		return append(append(lines, fmt.Sprintf("crash    after %s", next)), reopened...), err
	}
	p.stands = true
	return append(lines, fmt.Sprintf("pause    after %s", next)), nil
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

// verdicts prints the balance of each machine and the verdict on it, once for a tick.
func (st *stage) verdicts(s *server, p *paused) []string {
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

// verdictLine is one verdict; the project is named where there are several.
func verdictLine(s *server, verdict triggers.Verdict) string {
	text := fmt.Sprintf("%-8s %s  %s", verdict.Kind, verdict.Machine, verdict.Reason)
	if len(s.fold().Projects) > 1 {
		text += "  " + verdict.Project
	}
	return text
}

// appended prints the events of a tick that were not printed yet.
func (st *stage) appended(s *server, p *paused, ended bool) []string {
	st.learn()
	var lines []string
	if err := s.Ready(); err != nil {
		lines = append(lines, "fenced   "+err.Error())
	}
	if err := s.LostEvents(); err != nil {
		lines = append(lines, "doubted  "+err.Error())
	}
	for _, w := range p.pass.Report.Appended[p.shown:] {
		lines = append(lines, "append   "+st.written(w))
	}
	if ended && len(p.pass.Report.Appended) == 0 {
		lines = append(lines, "append   nothing")
	}
	p.shown = len(p.pass.Report.Appended)
	return lines
}

// written finds a decision in the log: two servers that decide the same write one event.
func (st *stage) written(w engine.Written) string {
	all := st.after(0)
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].Stream == w.Stream && same(all[i], w.Event) {
			return st.describe(all[i])
		}
	}
	return domain.Name(w.Event) + " is not in the log"
}

// same says whether a record holds this very fact. The log spells its data in its own way.
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

// manyTicks lets time pass with a tick every 15 seconds. It prints what is appended, and verdicts that are
// others than at the tick before.
func (st *stage) manyTicks(b *block) ([]string, error) {
	_, values, err := st.header(b, 0, "until", "every", "server", "servers")
	if err != nil {
		return nil, err
	}
	until, ok := parseTime(values["until"])
	every, err := time.ParseDuration(orElse(values["every"], "15s"))
	if !ok || err != nil || every < time.Second {
		return nil, st.wrong("write: "+blockOf(b.name).usage, "invalid until or every: every is at least 1s")
	}
	servers, err := st.named(values)
	if err != nil {
		return nil, err
	}
	if until < st.clock.now || (until-st.clock.now)/every > MaxTicks {
		return nil, st.wrong("times only rise, and a file has at most "+strconv.Itoa(MaxTicks)+" ticks", "until=%s is too early or too late", values["until"])
	}
	var output []string
	last, count := map[string]string{}, 0
	for next := st.clock.now - st.clock.now%every + every; next <= until; next += every {
		if err := st.ctx.Err(); err != nil {
			return nil, err
		}
		if err := st.advance(next); err != nil {
			return nil, err
		}
		count++
		lines, err := st.tickAll(servers)
		if err != nil {
			return nil, err
		}
		output = append(output, news(formatTime(next), lines, last)...)
	}
	return append(output, fmt.Sprintf("%d ticks", count)), st.advance(until)
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

// news are the lines of a tick that tell something new; last is what each verdict was before.
func news(at string, lines []string, last map[string]string) []string {
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
