package domain

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func detailed(details ReleaseDetails) CreateRelease {
	return CreateRelease{Project: "shop", Version: "4", Details: details}
}

func TestReleaseHasItsOwnVariablesAndDetails(t *testing.T) {
	w := shopWorld(t)
	w.do(inEnvironments(map[string]Override{"production": {Values: variables("PORT", "443")}}))
	details := ReleaseDetails{Variables: map[string]string{"PORT": "8080", "NEW": ""}, Notes: "Fixes the login.\n",
		Commit: "9f3c2e1", URL: "https://ci.example/7"}
	w.do(detailed(details))
	require.Empty(t, w.do(detailed(details)), "the same release again is no change")
	r := w.Project("shop").Releases["4"]
	require.Equal(t, map[string]string{"NEW": "", "PORT": "8080"}, r.For("production", nil).Variables)
	require.Equal(t, []string{details.Notes, details.Commit, details.URL}, []string{r.Notes, r.Commit, r.URL})
	values, _ := r.Values("production", nil)
	require.Equal(t, Value{Name: "PORT", Text: "8080", From: "release 4"}, values[1])
}

func TestReleaseWithOtherDetailsIsAConflict(t *testing.T) {
	w := shopWorld(t)
	w.do(detailed(ReleaseDetails{Commit: "a"}))
	for other, details := range map[string]ReleaseDetails{
		"commit":                {},
		"notes":                 {Commit: "a", Notes: "n"},
		"URL":                   {Commit: "a", URL: "https://a"},
		"variables and notes":   {Commit: "a", Variables: map[string]string{"A": "b"}, Notes: "n"},
		"notes, commit and URL": {Commit: "b", URL: "https://a", Notes: "n"},
	} {
		w.rejects(detailed(details), Conflict, "release 4 of project shop already exists with other content: "+other)
	}
}

func TestDetailsOfAReleaseAreBounded(t *testing.T) {
	w := shopWorld(t)
	long := func(n int) string { return strings.Repeat("x", n) }
	for _, c := range []struct {
		details ReleaseDetails
		text    string
	}{
		{ReleaseDetails{Notes: long(MaxNotesBytes + 1)}, "the notes are 16385 bytes long"},
		{ReleaseDetails{Notes: "a\x00"}, "the notes are not valid text"},
		{ReleaseDetails{Notes: "\xff"}, "the notes are not valid text"},
		{ReleaseDetails{Commit: long(MaxCommitBytes + 1)}, "invalid commit"},
		{ReleaseDetails{Commit: "a b"}, `invalid commit "a b"`},
		{ReleaseDetails{Commit: "a\x1b"}, "invalid commit"},
		{ReleaseDetails{URL: "https://" + long(MaxURLBytes)}, "invalid URL"},
		{ReleaseDetails{URL: "javascript:alert(1)"}, "invalid URL"},
		{ReleaseDetails{URL: "https://"}, "invalid URL"},
		{ReleaseDetails{URL: "https://a\nb"}, "invalid URL"},
		{ReleaseDetails{Variables: map[string]string{"DROVER_X": ""}}, "variable DROVER_X begins with DROVER_"},
		{ReleaseDetails{Variables: map[string]string{"1": ""}}, "invalid variable name"},
		{ReleaseDetails{Variables: map[string]string{"A": long(MaxReleaseBytes)}}, "bytes"},
	} {
		w.rejects(detailed(c.details), Invalid, c.text)
	}
	w.do(detailed(ReleaseDetails{Notes: long(MaxNotesBytes), Commit: long(MaxCommitBytes), URL: "http://a"}))
}
