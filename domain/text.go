package domain

import (
	"slices"
	"strings"
)

func containsNUL(s string) bool { return strings.IndexByte(s, 0) >= 0 }

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
