package scenario

import "fmt"

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
		return nil, st.wrong("write: "+blockOf(b.name).usage, "after=%.40s is no step of a tick", after)
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
	s.down, s.paused, s.stop = true, nil, ""
	return []string{"ok"}, nil
}

// start opens a server that is down from the log; agents that speak connect to it again.
func (st *stage) start(b *block) ([]string, error) {
	s, err := st.moment(b)
	if err != nil {
		return nil, err
	}
	if !s.down {
		return nil, st.wrong("write `kill HH:MM:SS` first", "server %s runs", s.name)
	}
	return st.reopen(s)
}

// moment reads a block that is a time and a server.
func (st *stage) moment(b *block) (*server, error) {
	words, values, err := st.header(b, 1, "server")
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
			return nil, fmt.Errorf("machine %s: %s", name, answer[0])
		}
	}
	return st.then(behind), nil
}
