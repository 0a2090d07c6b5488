package domain

import (
	"slices"
	"strings"
	"unicode/utf8"
)

func containsNUL(s string) bool { return strings.IndexByte(s, 0) >= 0 }

// brief cuts text that an agent sent, rather than refuse the report that it belongs to.
func brief(text string, most int) string {
	if len(text) > most {
		for most > 0 && !utf8.RuneStart(text[most]) {
			most--
		}
		text = text[:most]
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
