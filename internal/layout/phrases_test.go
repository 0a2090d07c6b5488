package layout_test

import (
	"fmt"
	"go/scanner"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
)

// phrase is a pattern that must not occur in anything that people read, because a standard term exists for it.
type phrase struct {
	pattern string // of package regexp; it ignores case
	instead string
	example string // a text that the pattern must find
}

// notA are the nouns that were negated with "is no" instead of "is not a".
const notA = `address|cause|certificate|command|duration|event|file|folder|JSON|kind|machine|name|number|option|place|` +
	`position|project|text|time|URL|valid|value|version`

// bannedPhrases may not occur in comments, strings, documentation, scripts and help texts. CONTRIBUTING.md explains the
// style.
var bannedPhrases = []phrase{
	{`\b(is|are) none\b`, "unknown, unsupported, must be …", "the scope is none that is known"},
	// "there is no …" is fine, so the word before must not end in "re".
	{`\b(\w*[^e\W]|\w*[^r\W]e) is no (` + notA + `)\b`, "is not a …", "the data is no JSON"},
	{`\bit was so\b`, "unchanged, no change", "it was so already"},
	{`\bfor ever\b`, "permanently, forever", "refused for ever"},
	{`\banew\b`, "again", "folds the log anew"},
	{`\bwritten down\b`, "recorded", "it is not written down"},
	{`\bwhoever\b`, "the caller, any client", "whoever asks"},
	{`\bwho (reads|waits|asks|writes|looks|comes|sends)\b`, "a reader, a waiter, the caller", "who reads for itself"},
	{`\bthat which\b`, "name the thing", "that which was folded"},
	{`\bthose (that|who|which|of which)\b`, "name the things: the machines that …", "those that are folded"},
	{`\bwhat (is wrong|(is|was) (kept|held|meant|owed|due|there|so))\b`, "the problem, the stored …, the pending …",
		"look for what is wrong"},
	{`\bwhat there (is|was)\b`, "name the things", "list what there is"},
	{`\b(says|said|saying|say|tells|told) so\b`, "reports that", "drover says so"},
	{`\btell(s)? apart\b`, "distinguish", "tells the two apart, or tell apart"},
	{`\b(is|are|was|were|be) told\b`, "sees, receives, is informed", "people are told"},
	{`\blook(s|ed|ing)? after\b`, "maintain, operate", "look after the log"},
	{`\b(is|are|be) looked at\b`, "is checked, is examined", "files are looked at"},
	{`\bas it were\b`, "delete it", "as it were"},
	{`\bbe (it|they|its)\b`, "whether or not …", "be it online or not"},
	{`\b(sign|word) of life\b`, "heartbeat", "a sign of life"},
	{`\bput back\b`, "restored", "the log was put back"},
	{`\bmend(s|ed|ing)?\b`, "fix, repair", "a mended fault"},
	{`\bof (its|their|his|one's|our) own([,.;:)"]|$| (and|that|which|for|in|with|by|at)\b)`, "its own …, a separate …",
		"a process of its own"},
	{`\bone can (ask|see|tell|say)\b`, "you can …", "one can ask"},
	{`\b(go|goes|went|going) on\b`, "continue", "the others go on"},
	{`\bcomes? to (nothing|an end)\b`, "fail, end", "it comes to nothing"},
	{`\bgives? up on\b`, "abandon", "gives up on it"},
	{`\bpass(es|ed)? over\b`, "skip, ignore", "the event is passed over"},
	{`\b(brings?|brought) into the log\b`, "write to the log", "brought into the log"},
	{`\bby hand\b`, "manually", "written by hand"},
	{`\bletter by letter\b`, "verbatim", "letter by letter"},
	{`\bbehind (your|its|their) back\b`, "without telling …", "behind your back"},
	{`\bno more than\b`, "at most", "no more than five"},
	{`\bmay not be\b`, "must not be", "it may not be empty"},
	{`\b(shelf|shelves|misfiled|pouring|whim)\b`, "a standard noun", "all shelves"},
	{`\bthe (door|doors|mouth|yard|plant)\b`, "the API, the transport, the fixture, the cluster", "behind the doors"},
}

// bannedWords may not be part of an identifier or of a file name.
var bannedWords = []string{"yard", "plant", "shelf", "shelves", "wish", "wishes", "seam", "misfiled", "owed", "audience",
	"mended", "whoever", "anew"}

// TestRepositoryContainsNoBannedPhrase fails if a text that people read contains a phrase that a standard term has
// replaced.
func TestRepositoryContainsNoBannedPhrase(t *testing.T) {
	var found []string
	for _, name := range trackedFiles(t) {
		text, err := os.ReadFile(filepath.Join("../..", name))
		if os.IsNotExist(err) {
			continue // deleted, but not committed yet
		}
		require.NoError(t, err)
		found = append(found, phrasesIn(name, string(text))...)
	}
	require.Empty(t, found, "rewrite these sentences (CONTRIBUTING.md, English):\n%s", strings.Join(found, "\n"))
}

// TestEachBannedPhraseIsFound checks that each pattern matches its example in every kind of file.
func TestEachBannedPhraseIsFound(t *testing.T) {
	for _, p := range bannedPhrases {
		require.NotEmpty(t, phrasesIn("page.md", p.example), p.pattern)
		require.NotEmpty(t, phrasesIn("file.go", "package x\n\n// Foo: "+p.example+".\nvar foo = 1\n"), p.pattern)
		require.NotEmpty(t, phrasesIn("file.go", "package x\n\nvar foo = \"a: "+p.example+"\"\n"), p.pattern)
	}
	for _, word := range bannedWords {
		require.NotEmpty(t, phrasesIn("file.go", "package x\n\nfunc new"+strings.ToUpper(word[:1])+word[1:]+"() {}\n"), word)
		require.NotEmpty(t, phrasesIn("some/"+word+"_test.go", "package x\n"), word)
	}
	require.Empty(t, phrasesIn("file.go", "package x\n\nfunc transplanted() { one() }\n"), "a word is compared whole")
}

// trackedFiles returns the names of the text files that people read, relative to the repository.
func trackedFiles(t *testing.T) []string {
	t.Helper()
	list := exec.Command("git", "-C", "../..", "ls-files", "--cached", "--others", "--exclude-standard")
	out, err := list.CombinedOutput()
	require.NoError(t, err, string(out))
	var names []string
	for name := range strings.Lines(string(out)) {
		name = strings.TrimSpace(name)
		if readByPeople(name) {
			names = append(names, name)
		}
	}
	require.Greater(t, len(names), 300, "the files of the repository are listed")
	return names
}

// readByPeople reports whether a file holds prose. Fixtures of events, fuzz inputs and old logs are data.
func readByPeople(name string) bool {
	switch {
	case name == "internal/layout/phrases_test.go", strings.Contains(name, "testdata/fuzz/"),
		strings.HasPrefix(name, "domain/testdata/"):
		return false
	}
	switch filepath.Ext(name) {
	case ".go", ".md", ".txt", ".txtar", ".yaml", ".yml", ".service", ".env", ".sh", ".cfg":
		return true
	}
	return slices.Contains([]string{"Makefile", ".ci/run", "Dockerfile"}, name)
}

var compiledPhrases = func() []*regexp.Regexp {
	all := make([]*regexp.Regexp, len(bannedPhrases))
	for i, p := range bannedPhrases {
		all[i] = regexp.MustCompile("(?i)" + p.pattern)
	}
	return all
}()

// phrasesIn returns one line per banned phrase in a file, with its place and what to write instead.
func phrasesIn(name, text string) []string {
	found := wordsIn(name, strings.TrimSuffix(filepath.Base(name), filepath.Ext(name)), "file name")
	if filepath.Ext(name) == ".go" {
		return append(found, phrasesInGo(name, text)...)
	}
	for i, line := range strings.Split(text, "\n") {
		found = append(found, phrasesInText(fmt.Sprintf("%s:%d", name, i+1), line)...)
	}
	return found
}

// phrasesInGo examines comments, strings and identifiers, and nothing else of a Go file. It reads the lines of one
// comment as one text.
func phrasesInGo(name, text string) (found []string) {
	var s scanner.Scanner
	files := token.NewFileSet()
	file := files.AddFile(name, files.Base(), len(text))
	s.Init(file, []byte(text), nil, scanner.ScanComments)
	var comment []string
	begin, last := 0, -1
	flush := func() {
		found = append(found, phrasesInText(fmt.Sprintf("%s:%d", name, begin), strings.Join(comment, " "))...)
		comment = nil
	}
	for {
		at, kind, literal := s.Scan()
		line := file.Line(at)
		if kind == token.COMMENT {
			if line != last+1 {
				flush()
				begin = line
			}
			comment, last = append(comment, strings.TrimSpace(strings.Trim(literal, "/*"))), line
			continue
		}
		switch place := fmt.Sprintf("%s:%d", name, line); kind {
		case token.EOF:
			flush()
			return found
		case token.STRING:
			found = append(found, phrasesInText(place, literal)...)
		case token.IDENT:
			found = append(found, wordsIn(place, literal, "identifier")...)
		}
	}
}

func phrasesInText(place, text string) (found []string) {
	for i, pattern := range compiledPhrases {
		if hit := pattern.FindString(text); hit != "" {
			found = append(found, fmt.Sprintf("%s: %q: write instead: %s", place, hit, bannedPhrases[i].instead))
		}
	}
	return found
}

// wordsIn splits a name in snake case or camel case and compares each of its words.
func wordsIn(place, name, what string) (found []string) {
	var word strings.Builder
	flush := func() {
		if w := strings.ToLower(word.String()); slices.Contains(bannedWords, w) {
			found = append(found, fmt.Sprintf("%s: %q in the %s %s: use a standard noun", place, w, what, name))
		}
		word.Reset()
	}
	for _, r := range name {
		if r == '_' || r == '-' || unicode.IsUpper(r) {
			flush()
		}
		if r != '_' && r != '-' {
			word.WriteRune(r)
		}
	}
	flush()
	return found
}
