package scenario

import (
	"strconv"
	"strings"
	"time"
)

// crash lets the next tick of a server die after a step; the server is opened again from the log.
func (st *stage) crash(b *block) ([]string, error) { return st.stopAfter(b, true) }

// pause lets the next tick of a server stop after a step, until resume.
func (st *stage) pause(b *block) ([]string, error) { return st.stopAfter(b, false) }

func (st *stage) stopAfter(b *block, crashes bool) ([]string, error) {
	_, values, err := st.header(b, 0, "after", "server")
	if err != nil {
		return nil, err
	}
	after := step(values["after"])
	if after != afterRead && after != afterDecide && after != afterAppend {
		return nil, st.wrong("write: "+blockOf(b.name).usage, "invalid after=%.40s", after)
	}
	s, err := st.running(values["server"])
	if err != nil {
		return nil, err
	}
	s.stop, s.crashes = after, crashes
	return []string{"ok"}, nil
}

// resume lets a tick that was paused go on to its end.
func (st *stage) resume(b *block) ([]string, error) {
	words, values, err := st.header(b, 1, "server")
	if err != nil {
		return nil, err
	}
	s, err := st.running(values["server"])
	if err != nil {
		return nil, err
	}
	if s.paused == nil {
		return nil, st.wrong("write `pause after=decide` and a tick first", "server %s is not in the middle of a tick", s.name)
	}
	if len(words) == 1 {
		if err := st.at(words[0]); err != nil {
			return nil, err
		}
	}
	var output []string
	s.paused.stands = false
	for _, next := range []step{afterRead, afterDecide, afterAppend, ""} {
		if s.paused == nil || s.paused.done != before(next) {
			continue
		}
		lines, err := st.step(s, next)
		if err != nil {
			return nil, err
		}
		output = append(output, lines...)
	}
	return output, nil
}

// kill ends a server; its agents lose their connection.
func (st *stage) kill(b *block) ([]string, error) {
	s, err := st.moment(b)
	if err != nil {
		return nil, err
	}
	if s.down {
		return nil, st.wrong("", "server %s is down already", s.name)
	}
	s.down, s.paused, s.stop, s.stopped = true, nil, "", nil
	return []string{"ok"}, nil
}

// start opens a server that is down from the log; agents that speak connect to it again.
func (st *stage) start(b *block) ([]string, error) {
	s, err := st.moment(b, "rules")
	if err != nil {
		return nil, err
	}
	if !s.down {
		return nil, st.wrong("write `kill HH:MM:SS` first", "server %s runs", s.name)
	}
	_, values, err := st.header(b, 1, "server", "rules")
	if err != nil {
		return nil, err
	}
	if text := values["rules"]; text != "" {
		if s.rules, err = strconv.Atoi(text); err != nil || s.rules < 1 {
			return nil, st.wrong("write a whole number from 1", "invalid rules=%.40q", text)
		}
	}
	return st.reopen(s)
}

// moment reads a block that is a time and a server.
func (st *stage) moment(b *block, keys ...string) (*server, error) {
	words, values, err := st.header(b, 1, append(keys, "server")...)
	if err != nil {
		return nil, err
	}
	s, err := st.server(values["server"])
	if err != nil {
		return nil, err
	}
	if len(words) == 0 {
		return nil, st.wrong("write: "+blockOf(b.name).usage, "the time is missing")
	}
	return s, st.at(words[0])
}

// reopen starts a server again. Its agents come back to it as they would: those that are not silent.
func (st *stage) reopen(s *server) ([]string, error) {
	var refused []string
	behind := st.head()
	if err := st.open(s); err != nil {
		return nil, err
	}
	for _, name := range sortedKeys(st.agents) {
		a := st.agents[name]
		if a.server != s || a.silent {
			continue
		}
		answer, err := st.connect(s, a)
		if err != nil {
			return nil, err
		}
		if answer[0][0] == 'r' {
			a.server = nil
			refused = append(refused, "machine "+name+" "+answer[0])
		}
	}
	return append(refused, st.then(behind)...), nil
}

// lateAfter is how long a process stands still before it takes itself for one that was stopped, as in a real server.
const lateAfter = 5 * time.Second

// freeze stops a whole process: it hears nothing, renews nothing, and does not know of it.
func (st *stage) freeze(b *block) ([]string, error) {
	s, err := st.moment(b)
	if err != nil {
		return nil, err
	}
	if !s.works() {
		return nil, st.wrong("", "server %s does not run", s.name)
	}
	since := st.clock.now
	s.stopped = &since
	return []string{"ok"}, nil
}

// wake lets a stopped process go on where it was. Its watchdog was late, so it counts all silence anew.
func (st *stage) wake(b *block) ([]string, error) {
	s, err := st.moment(b)
	if err != nil {
		return nil, err
	}
	if s.stopped == nil {
		return nil, st.wrong("write `stop HH:MM:SS` first", "server %s is not stopped", s.name)
	}
	if st.clock.now-*s.stopped > lateAfter {
		s.RestartTimeouts()
	}
	s.stopped = nil
	return []string{"ok"}, s.RenewLease(st.ctx, st.log)
}

// setClock puts the wall clock of a server wrong, or lets it stand still.
func (st *stage) setClock(b *block) ([]string, error) {
	words, values, err := st.header(b, 2, "server", "by")
	if err != nil {
		return nil, err
	}
	by, failure := time.ParseDuration(orElse(values["by"], "0s"))
	stands := len(words) == 2 && words[1] == "stands"
	if len(words) == 0 || failure != nil || stands == (values["by"] != "") || len(words) == 2 && !stands {
		return nil, st.wrong("write: "+blockOf(b.name).usage, "%.60q sets no clock", strings.Join(b.args, " "))
	}
	if err := st.at(words[0]); err != nil {
		return nil, err
	}
	s, err := st.server(values["server"])
	if err != nil {
		return nil, err
	}
	now := s.clock.Now()
	s.clock.wrong, s.clock.standing = by, nil
	if stands {
		s.clock.standing = &now
	}
	return []string{"ok, it shows " + s.clock.Now().Format(time.DateTime)}, nil
}

// reacts lets servers do what they do each second by themselves: what follows, and sessions that are silent.
func (st *stage) reacts(b *block) ([]string, error) {
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
	behind := st.head()
	for _, s := range servers {
		if err := st.react(s); err != nil {
			return nil, err
		}
	}
	if lines := st.then(behind); len(lines) > 0 {
		return lines, nil
	}
	return []string{"nothing"}, nil
}
