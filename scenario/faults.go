package scenario

import (
	"strconv"
	"strings"
	"time"
)

// crash makes a server crash in its next tick after a step. The server then restarts from the log.
func (r *runner) crash(b *block) ([]string, error) { return r.stopAfter(b, true) }

// pause makes a server pause in its next tick after a step, until resume.
func (r *runner) pause(b *block) ([]string, error) { return r.stopAfter(b, false) }

func (r *runner) stopAfter(b *block, crashes bool) ([]string, error) {
	_, values, err := r.header(b, 0, "after", "server")
	if err != nil {
		return nil, err
	}
	after := step(values["after"])
	if after != afterRead && after != afterDecide && after != afterAppend {
		return nil, r.wrong("usage: "+blockOf(b.name).usage, "invalid after=%.40s", after)
	}
	s, err := r.running(values["server"])
	if err != nil {
		return nil, err
	}
	s.stop, s.crashes = after, crashes
	return []string{"ok"}, nil
}

// resume continues a paused tick to its end.
func (r *runner) resume(b *block) ([]string, error) {
	words, values, err := r.header(b, 1, "server")
	if err != nil {
		return nil, err
	}
	s, err := r.running(values["server"])
	if err != nil {
		return nil, err
	}
	if s.paused == nil {
		return nil, r.wrong("add `pause after=decide` and a tick first", "server %s is not within a tick", s.name)
	}
	if len(words) == 1 {
		if err := r.at(words[0]); err != nil {
			return nil, err
		}
	}
	var output []string
	s.paused.waiting = false
	for _, next := range []step{afterRead, afterDecide, afterAppend, ""} {
		if s.paused == nil || s.paused.done != before(next) {
			continue
		}
		lines, err := r.step(s, next)
		if err != nil {
			return nil, err
		}
		output = append(output, lines...)
	}
	return output, nil
}

// kill ends a server; its agents lose their connection.
func (r *runner) kill(b *block) ([]string, error) {
	s, err := r.timeAndServer(b)
	if err != nil {
		return nil, err
	}
	if s.down {
		return nil, r.wrong("", "server %s is already down", s.name)
	}
	s.down, s.paused, s.stop, s.stopped = true, nil, "", nil
	return []string{"ok"}, nil
}

// start starts a killed server from the log. Its agents that are not silent reconnect.
func (r *runner) start(b *block) ([]string, error) {
	s, err := r.timeAndServer(b, "rules")
	if err != nil {
		return nil, err
	}
	if !s.down {
		return nil, r.wrong("add `kill HH:MM:SS` first", "server %s is already running", s.name)
	}
	_, values, err := r.header(b, 1, "server", "rules")
	if err != nil {
		return nil, err
	}
	if text := values["rules"]; text != "" {
		if s.rules, err = strconv.Atoi(text); err != nil || s.rules < 1 {
			return nil, r.wrong("use a whole number of at least 1", "invalid rules=%.40q", text)
		}
	}
	return r.reopen(s)
}

// timeAndServer reads a block that consists of a time and a server, and moves the clock.
func (r *runner) timeAndServer(b *block, keys ...string) (*server, error) {
	words, values, err := r.header(b, 1, append(keys, "server")...)
	if err != nil {
		return nil, err
	}
	s, err := r.server(values["server"])
	if err != nil {
		return nil, err
	}
	if len(words) == 0 {
		return nil, r.wrong("usage: "+blockOf(b.name).usage, "the time is missing")
	}
	return s, r.at(words[0])
}

// reopen starts a server again. Its agents that are not silent reconnect.
func (r *runner) reopen(s *server) ([]string, error) {
	var refused []string
	behind := r.head()
	if err := r.open(s); err != nil {
		return nil, err
	}
	for _, name := range sortedKeys(r.agents) {
		a := r.agents[name]
		if a.server != s || a.silent {
			continue
		}
		answer, err := r.connect(s, a)
		if err != nil {
			return nil, err
		}
		if answer[0][0] == 'r' {
			a.server = nil
			refused = append(refused, "machine "+name+" "+answer[0])
		}
	}
	return append(refused, r.then(behind)...), nil
}

// lateAfter is how long a process is frozen before it restarts its timeouts, as in a real server.
const lateAfter = 5 * time.Second

// freeze stops a whole process: it receives nothing, renews nothing, and does not notice.
func (r *runner) freeze(b *block) ([]string, error) {
	s, err := r.timeAndServer(b)
	if err != nil {
		return nil, err
	}
	if !s.isRunning() {
		return nil, r.wrong("", "server %s is not running", s.name)
	}
	since := r.clock.now
	s.stopped = &since
	return []string{"ok"}, nil
}

// wake continues a frozen process where it was. Its watchdog was late, so it restarts all timeouts.
func (r *runner) wake(b *block) ([]string, error) {
	s, err := r.timeAndServer(b)
	if err != nil {
		return nil, err
	}
	if s.stopped == nil {
		return nil, r.wrong("add `stop HH:MM:SS` first", "server %s is not stopped", s.name)
	}
	if r.clock.now-*s.stopped > lateAfter {
		s.RestartTimeouts()
	}
	s.stopped = nil
	return []string{"ok"}, s.RenewLease(r.ctx, r.log)
}

// setClock sets the error of a server's wall clock, or stops the clock.
func (r *runner) setClock(b *block) ([]string, error) {
	words, values, err := r.header(b, 2, "server", "by")
	if err != nil {
		return nil, err
	}
	by, failure := time.ParseDuration(orElse(values["by"], "0s"))
	stands := len(words) == 2 && words[1] == "stands"
	if len(words) == 0 || failure != nil || stands == (values["by"] != "") || len(words) == 2 && !stands {
		return nil, r.wrong("usage: "+blockOf(b.name).usage, "invalid clock setting %.60q", strings.Join(b.args, " "))
	}
	if err := r.at(words[0]); err != nil {
		return nil, err
	}
	s, err := r.server(values["server"])
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

// reactBlock runs the reaction that servers otherwise run every second.
func (r *runner) reactBlock(b *block) ([]string, error) {
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
	behind := r.head()
	for _, s := range servers {
		if err := r.react(s); err != nil {
			return nil, err
		}
	}
	if lines := r.then(behind); len(lines) > 0 {
		return lines, nil
	}
	return []string{"nothing"}, nil
}
