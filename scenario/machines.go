package scenario

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Limits of ranges of machines.
const (
	// MaxRange bounds the machines that one word names.
	MaxRange = 1000
	// MaxMachineLines bounds the machines that all ranges and expectations of one file name.
	MaxMachineLines = 100_000
)

// rangeForm is the form of a range, for hints.
const rangeForm = "write a range like web-[01-50], web-[01..50] or web-[01-03,07]"

// isRange reports whether a word stands for several machines.
func isRange(word string) bool { return strings.ContainsAny(word, "[]") }

// expandRange returns the machines that a word such as web-[01-50,60] names, in the order of the word. A word can have
// several ranges: rack[1-4]-node[01-20]. The first number of a range determines the number of digits.
func expandRange(word string) ([]string, error) {
	before, rest, found := strings.Cut(word, "[")
	if strings.Contains(before, "]") {
		return nil, errors.New(`"]" has no "["`)
	}
	if !found {
		return []string{word}, nil
	}
	list, after, closed := strings.Cut(rest, "]")
	if !closed {
		return nil, errors.New(`"[" has no "]"`)
	}
	ends, err := expandRange(after)
	if err != nil {
		return nil, err
	}
	var names []string
	for item := range strings.SplitSeq(list, ",") {
		numbers, err := expandItem(item)
		if err != nil {
			return nil, err
		}
		if (len(names) + len(numbers)*len(ends)) > MaxRange {
			return nil, fmt.Errorf("the range has more than %d machines", MaxRange)
		}
		for _, number := range numbers {
			for _, end := range ends {
				names = append(names, before+number+end)
			}
		}
	}
	return names, nil
}

// rangeItem is one number, or two numbers with - or .. between them.
var rangeItem = regexp.MustCompile(`^(\d{1,9})(?:(?:-|\.\.)(\d{1,9}))?$`)

// expandItem returns the numbers of one item of a range.
func expandItem(item string) ([]string, error) {
	match := rangeItem.FindStringSubmatch(item)
	if match == nil {
		return nil, fmt.Errorf("invalid range %.40q", item)
	}
	if match[2] == "" {
		return []string{item}, nil
	}
	first, _ := strconv.Atoi(match[1])
	last, _ := strconv.Atoi(match[2])
	if last < first {
		return nil, fmt.Errorf("range %q ends before it begins", item)
	}
	if last-first >= MaxRange {
		return nil, fmt.Errorf("range %q has more than %d machines", item, MaxRange)
	}
	var numbers []string
	for n := first; n <= last; n++ {
		numbers = append(numbers, fmt.Sprintf("%0*d", len(match[1]), n))
	}
	return numbers, nil
}

// machines returns the machines that a word of the current line names.
func (r *runner) machines(word string) ([]string, error) {
	if !isRange(word) {
		return []string{word}, nil
	}
	names, err := expandRange(word)
	if err != nil {
		return nil, r.wrongWord(word, rangeForm, "%s", err)
	}
	return names, r.count(word, len(names))
}

// count adds the machines that a range or an expectation names.
func (r *runner) count(word string, machines int) error {
	if r.expanded += machines; r.expanded > MaxMachineLines {
		return r.wrongWord(word, "use smaller ranges, or split it into several files",
			"the ranges and expectations of the file name more than %d machines", MaxMachineLines)
	}
	return nil
}

// eachMachine calls run for every machine that a word names, and joins the outputs.
func (r *runner) eachMachine(word string, run func(machine string) ([]string, error)) ([]string, error) {
	names, err := r.machines(word)
	if err != nil {
		return nil, err
	}
	if !isRange(word) {
		return run(word)
	}
	var joined answers
	for _, name := range names {
		if err := r.ctx.Err(); err != nil {
			return nil, err
		}
		lines, err := run(name)
		if err != nil {
			return nil, err
		}
		joined.add(name, lines)
	}
	return joined.lines, nil
}

// answers joins the outputs of several machines: ok #9..#10 and ok #11..#12 become ok #9..#12, and other lines begin
// with the machine.
type answers struct {
	lines []string
	// ok is the last line, if later positions can extend it.
	ok *okLine
}

// okLine is a line such as ok #9..#10 d2.
type okLine struct {
	first, last, suffix string
}

var okForm = regexp.MustCompile(`^ok #(\d+)(?:\.\.#(\d+))?( .*)?$`)

func parseOK(text string) *okLine {
	match := okForm.FindStringSubmatch(text)
	if match == nil {
		return nil
	}
	if match[2] == "" {
		match[2] = match[1]
	}
	return &okLine{match[1], match[2], match[3]}
}

func (l *okLine) String() string {
	if l.first == l.last {
		return "ok #" + l.first + l.suffix
	}
	return "ok #" + l.first + "..#" + l.last + l.suffix
}

// continues reports whether the positions of l follow those of an earlier line.
func (l *okLine) continues(earlier *okLine) bool {
	if earlier == nil || earlier.suffix != l.suffix {
		return false
	}
	last, _ := strconv.ParseUint(earlier.last, 10, 64)
	return l.first == strconv.FormatUint(last+1, 10)
}

func (a *answers) add(machine string, lines []string) {
	for _, text := range lines {
		ok := parseOK(text)
		switch {
		case ok != nil && ok.continues(a.ok):
			a.ok.last = ok.last
			a.lines[len(a.lines)-1] = a.ok.String()
			continue
		case text == "ok unchanged" && len(a.lines) > 0 && a.lines[len(a.lines)-1] == text:
			continue
		case ok == nil && text != "ok unchanged" && !strings.HasPrefix(text, "then "):
			text = machine + "  " + text
		}
		a.ok = ok
		a.lines = append(a.lines, text)
	}
}
