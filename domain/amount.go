package domain

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Amount is a number of machines, or a percentage of the machines of a deployment. Its text is "16" or "1%". In JSON a
// number is a number and a percentage is a string, so that an amount without a percentage has the form of an int.
type Amount struct {
	Number int
	// Percent means that Number is a percentage.
	Percent bool
}

// Count returns the amount of n machines.
func Count(n int) Amount { return Amount{Number: n} }

// Percent returns n percent of the machines.
func Percent(n int) Amount { return Amount{Number: n, Percent: true} }

// ParseAmount parses text such as "16" or "1%".
func ParseAmount(text string) (Amount, error) {
	digits, percent := strings.CutSuffix(text, "%")
	n, err := strconv.Atoi(digits)
	if err != nil {
		return Amount{}, fmt.Errorf("invalid amount %.40q: use a whole number such as 16, or a percentage such as 25%%", text)
	}
	return Amount{n, percent}, nil
}

// String returns the text of a.
func (a Amount) String() string {
	if a.Percent {
		return strconv.Itoa(a.Number) + "%"
	}
	return strconv.Itoa(a.Number)
}

// Of returns the number of machines that a is of total machines. A percentage is rounded down, so that 1% of 50
// machines is 0.
func (a Amount) Of(total int) int {
	if !a.Percent {
		return a.Number
	}
	const all = 100
	return max(0, total) * min(max(0, a.Number), all) / all
}

// SlotsOf returns the number of slots that a is for total machines, or 0 for no limit. A percentage is rounded down, but
// is at least one slot, so that a small deployment proceeds.
func (a Amount) SlotsOf(total int) int {
	if !a.Percent {
		return a.Number
	}
	return max(1, a.Of(total))
}

// MarshalText returns the text of a.
func (a Amount) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText parses the text of an amount.
func (a *Amount) UnmarshalText(text []byte) (err error) {
	*a, err = ParseAmount(string(text))
	return err
}

// MarshalJSON returns a JSON number, or a JSON string for a percentage.
func (a Amount) MarshalJSON() ([]byte, error) {
	if a.Percent {
		return json.Marshal(a.String())
	}
	return strconv.AppendInt(nil, int64(a.Number), 10), nil
}

// UnmarshalJSON reads a JSON number, or a percentage as a JSON string.
func (a *Amount) UnmarshalJSON(data []byte) error {
	if len(data) == 0 || data[0] != '"' {
		*a = Amount{}
		return json.Unmarshal(data, &a.Number)
	}
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	read, err := ParseAmount(text)
	if err == nil && !read.Percent {
		err = fmt.Errorf("invalid amount %.40q: write a whole number without quotes, or a percentage such as \"25%%\"", text)
	}
	*a = read
	return err
}

// checkFailures rejects a that is not valid for maxFailures. Nil means that it is not set.
func (a *Amount) checkFailures() *Rejection {
	if a != nil && (a.Number < 0 || a.Percent && a.Number > 100) {
		return invalid("invalid maxFailures %s", a).hint("use 0 or more, or a percentage from 0%% to 100%%")
	}
	return nil
}

// checkSlots rejects a that is not valid for maxParallel.
func (a Amount) checkSlots() *Rejection {
	if a.Number < 0 || a.Percent && (a.Number < 1 || a.Number > 100) {
		return invalid("invalid maxParallel %s", a).hint("use 1 or more, 1%% to 100%%, or 0 for no limit")
	}
	return nil
}
