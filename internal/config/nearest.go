package config

import "strings"

// Nearest is the known word that is most like word, empty when none is much like it.
func Nearest(word string, known []string) string {
	best, least := "", min(3, max(1, len(word)/3))+1
	for _, name := range known {
		if d := distance(strings.ToLower(word), name); d < least {
			best, least = name, d
		}
	}
	if best == "" && len(word) >= 2 {
		for _, name := range known {
			if strings.HasPrefix(name, strings.ToLower(word)) {
				return name
			}
		}
	}
	return best
}

// distance counts the letters to insert, drop or replace; far words are far without counting.
func distance(a, b string) int {
	if len(a) > 40 || len(b) > 40 {
		return 40
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		left := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := left
			if a[i] != b[j] {
				cost++
			}
			left, row[j+1] = row[j+1], min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
