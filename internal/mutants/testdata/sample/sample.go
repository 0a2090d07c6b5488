// Package sample has one of each construct that is mutated. Its tests notice some of the mutants.
package sample

import "time"

const limit = 3

type rule struct {
	name    string
	applies func(n int) bool
}

var rules = []rule{
	{"negative", func(n int) bool { return n < 0 }},
	{"small", func(n int) bool { return n <= limit }},
	{"other", func(int) bool { return true }},
}

// Name returns the name of the first rule that applies.
func Name(n int) string {
	for _, r := range rules {
		if r.applies(n) {
			return r.name
		}
	}
	return ""
}

// Wait returns how long to wait.
func Wait(tries int, busy bool) time.Duration {
	wait := time.Duration(0)
	switch {
	case tries == 0 && !busy:
		return 0
	case busy:
		wait += time.Minute
	}
	for i := 0; i < tries; i++ {
		wait += time.Second
	}
	return min(wait, time.Hour)
}

// Kind describes a value.
func Kind(value any) (kind string) {
	switch value.(type) {
	case int, string:
		kind = "basic"
	}
	return kind
}

// Size describes a word.
func Size(word string) int {
	switch word {
	case "one":
		return 1
	default:
		return len(word) - 1
	}
}
