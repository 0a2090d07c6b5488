package scenario

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/droverhq/drover/explain"
	"github.com/droverhq/drover/projections"
)

// MaxMismatches bounds the machines that one failed expectation lists.
const MaxMismatches = 10

// mismatch is one fact that is not as expected, with what is instead.
type mismatch struct{ want, got string }

// expectation is one word of an expect block after its machines: shop=1.0, shop/verdict=wait or online.
type expectation struct {
	text string
	// project and fact are empty for a state of the machine, such as online.
	project, fact, value string
}

// projectFacts are the facts about a machine and a project, by the word between / and =.
var projectFacts = map[string]func(explain.Why) string{
	"":        installed,
	"wanted":  func(w explain.Why) string { return orElse(w.Wanted, "none") },
	"verdict": func(w explain.Why) string { return w.Verdict },
	"reason":  func(w explain.Why) string { return w.Reason },
}

func installed(w explain.Why) string {
	text := orElse(w.Actual, "none")
	if w.Dirty {
		text += "(dirty)"
	}
	return text
}

// machineState is one word about a machine; contrary is what it is otherwise.
type machineState struct {
	word, contrary string
	holds          func(*projections.Machine) bool
}

func machineStates() []machineState {
	online := func(m *projections.Machine) bool { return m != nil && m.Online }
	enabled := func(m *projections.Machine) bool { return m != nil && !m.Disabled }
	return []machineState{
		{"online", "offline", online},
		{"offline", "online", func(m *projections.Machine) bool { return m != nil && !m.Online }},
		{"enabled", "disabled", enabled},
		{"disabled", "enabled", func(m *projections.Machine) bool { return m != nil && m.Disabled }},
		{"missing", "present", func(m *projections.Machine) bool { return m == nil }},
	}
}

func stateOf(word string) *machineState {
	for _, s := range machineStates() {
		if s.word == word {
			return &s
		}
	}
	return nil
}

const expectHint = "an expectation is PROJECT=RELEASE, PROJECT=none, PROJECT/wanted=RELEASE, " +
	"PROJECT/verdict=deploy|wait|none, PROJECT/reason=REASON, PROJECT/variable/NAME=VALUE, online, offline, enabled, disabled or missing"

// expect compares machines with expectations. It returns nothing if all are met.
func (r *runner) expect(b *block) ([]string, error) {
	words, all, err := r.expectations(b)
	if err != nil {
		return nil, err
	}
	s, err := r.upToDate(r.anyRunning())
	if err != nil {
		return nil, err
	}
	var wrong []mismatch
	s.ReadWithAge(func(v *projections.View, age projections.Age) {
		var names []string
		if names, err = r.expected(v, words); err == nil {
			err = r.count(words[0], len(names)*len(all))
		}
		if err != nil {
			return
		}
		for _, name := range names {
			for _, e := range all {
				if m := e.check(v, age, name); m != nil {
					wrong = append(wrong, *m)
				}
			}
		}
	})
	r.mismatches = wrong
	return nil, err
}

// anyRunning returns the name of the first server that is running, or the first server. All servers read the same log.
func (r *runner) anyRunning() string {
	for _, s := range r.servers {
		if s.isRunning() {
			return s.name
		}
	}
	return r.servers[0].name
}

// expectations splits the words of a block into machines and expectations.
func (r *runner) expectations(b *block) (machines []string, all []expectation, err error) {
	for i, word := range b.args {
		if i == 0 || len(all) == 0 && !strings.Contains(word, "=") && stateOf(word) == nil {
			machines = append(machines, word)
			continue
		}
		e, err := r.expectation(word)
		if err != nil {
			return nil, nil, err
		}
		all = append(all, e)
	}
	switch {
	case len(machines) == 0:
		return nil, nil, r.wrong("usage: "+blockOf("expect").usage, "the machine is missing")
	case strings.Contains(machines[0], "="):
		return nil, nil, r.wrongWord(machines[0], "usage: "+blockOf("expect").usage, "%.40q is not a machine", machines[0])
	case len(all) == 0:
		return nil, nil, r.wrong(expectHint, "nothing is expected of %.40s", strings.Join(machines, " "))
	}
	return machines, all, nil
}

func (r *runner) expectation(word string) (expectation, error) {
	if stateOf(word) != nil {
		return expectation{text: word}, nil
	}
	key, value, ok := strings.Cut(word, "=")
	project, fact, hasFact := strings.Cut(key, "/")
	known := projectFacts[fact] != nil || strings.HasPrefix(fact, variableFact)
	if !ok || project == "" || value == "" || !known || hasFact && fact == "" {
		return expectation{}, r.wrongWord(word, expectHint, "invalid expectation %.80q", word)
	}
	return expectation{text: word, project: project, fact: fact, value: value}, nil
}

// expected returns the machines that words name: names, ranges, and patterns such as web-*.
func (r *runner) expected(v *projections.View, words []string) ([]string, error) {
	var names []string
	for _, word := range words {
		expanded, err := r.machines(word)
		if err != nil {
			return nil, err
		}
		for _, name := range expanded {
			if !strings.ContainsAny(name, "*?") {
				names = append(names, name)
				continue
			}
			found, err := r.matching(v, name)
			if err != nil {
				return nil, err
			}
			names = append(names, found...)
		}
	}
	return names, nil
}

// matching returns the machines of the view that match a pattern. If no machine matches, it returns the pattern itself,
// as the name of a machine that does not exist.
func (r *runner) matching(v *projections.View, pattern string) ([]string, error) {
	var names []string
	for _, name := range sortedKeys(v.Machines) {
		found, err := path.Match(pattern, name)
		if err != nil {
			return nil, r.wrongWord(pattern, "use * for any text and ? for one character", "invalid pattern %.40q", pattern)
		}
		if found {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return []string{pattern}, nil
	}
	return names, nil
}

// check compares one machine with the expectation. It returns nil if it is met.
func (e expectation) check(v *projections.View, age projections.Age, machine string) *mismatch {
	want := machine + " " + e.text
	m := v.Machines[machine]
	if state := stateOf(e.text); e.project == "" {
		if state.holds(m) {
			return nil
		}
		if m != nil {
			return &mismatch{want, machine + " " + state.contrary}
		}
	}
	switch {
	case m == nil:
		return &mismatch{want, machine + " missing"}
	case v.Projects[e.project] == nil:
		return &mismatch{want, "project " + e.project + " does not exist"}
	}
	why := explain.WhyOf(v, age, e.project, machine, nil, nil)
	var got string
	if name, isVariable := strings.CutPrefix(e.fact, variableFact); isVariable {
		got = variableOf(v, e.project, m, name)
	} else {
		got = projectFacts[e.fact](why)
	}
	if got == e.value {
		return nil
	}
	text := fmt.Sprintf("%s %s=%s", machine, strings.TrimSuffix(e.text, "="+e.value), got)
	return &mismatch{want, fmt.Sprintf("%s (%s: %s)", text, why.Verdict, why.Reason)}
}

// variableFact is the beginning of an expectation about a variable, which is followed by its name.
const variableFact = "variable/"

// variableOf returns the variable that a machine gets with its wanted release: the value, secret, or none.
func variableOf(v *projections.View, project string, m *projections.Machine, name string) string {
	p := v.Projects[project]
	release := p.Releases[v.Wanted(p, m)]
	if release == nil {
		return "none"
	}
	values := release.For(m.Environment, m.Roles)
	if slices.Contains(values.Secrets, name) {
		return "secret"
	}
	if value, ok := values.Variables[name]; ok {
		return value
	}
	return "none"
}

// expectFailure lists the mismatches of an expect block.
func expectFailure(b *block, wrong []mismatch) Failure {
	f := b.failure(nil, nil, true)
	for _, m := range wrong[:min(len(wrong), MaxMismatches)] {
		f.Want = append(f.Want, m.want)
		f.Got = append(f.Got, m.got)
	}
	if more := len(wrong) - MaxMismatches; more > 0 {
		f.Got = append(f.Got, fmt.Sprintf("and %d more", more))
	}
	return f
}
