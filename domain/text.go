package domain

import (
	"slices"
	"strings"
	"unicode/utf8"
)

func containsNUL(s string) bool { return strings.IndexByte(s, 0) >= 0 }

// truncate cuts text to at most maxBytes bytes of valid UTF-8. It is for texts from agents, because a report must not
// be rejected only because its text is too long.
func truncate(text string, maxBytes int) string {
	if len(text) > maxBytes {
		for maxBytes > 0 && !utf8.RuneStart(text[maxBytes]) {
			maxBytes--
		}
		text = text[:maxBytes]
	}
	return strings.ToValidUTF8(text, "?")
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// Enumerate joins words for a sentence: Enumerate([a b c], "or") returns "a, b or c".
func Enumerate(words []string, conjunction string) string {
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " " + conjunction + " " + words[last]
}
