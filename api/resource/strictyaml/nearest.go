package strictyaml

import (
	"fmt"
	"strings"
)

// Nearest returns the known word that is most similar to word: one with a few different letters, or else one that
// begins with word. If no word is similar, it returns "".
func Nearest(word string, known []string) string {
	word = strings.ToLower(word)
	best, least := "", min(3, max(1, len(word)/3))+1
	for _, name := range known {
		if d := distance(word, strings.ToLower(name)); d < least {
			best, least = name, d
		}
	}
	if best == "" && len(word) >= 2 {
		for _, name := range known {
			if strings.HasPrefix(strings.ToLower(name), word) {
				return name
			}
		}
	}
	return best
}

// distance counts the letters to insert, drop, replace or swap. It returns 4 for words of very different lengths.
func distance(a, b string) int {
	if len(a) > len(b)+3 || len(b) > len(a)+3 {
		return 4
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			same := 1
			if a[i-1] == b[j-1] {
				same = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+same)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

// DidYouMean returns the hint about an unknown word.
func DidYouMean(word string, known []string) string {
	if name := Nearest(word, known); name != "" {
		return fmt.Sprintf("did you mean %q?", name)
	}
	switch len(known) {
	case 0:
		return ""
	case 1:
		return "use " + known[0]
	}
	return "use one of " + strings.Join(known, ", ")
}
