package accesslog

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/droverhq/drover/access"
)

// maxTextBytes is the maximum length of a text in a line. The longest line, with all texts, has less than 4 KiB.
const maxTextBytes = 160

// credential matches the secret half of a token, and the secret of an agent, in a text that a caller sent.
var credential = regexp.MustCompile(`([0-9a-f]{12}\.|agent:[0-9a-fA-F-]{36}:)[^\s"']+`)

// lineOf returns an entry as one line of JSON with a line break.
func lineOf(e access.Entry) []byte {
	for _, text := range []*string{&e.Remote, &e.Token, &e.TokenName, &e.Owner, &e.Machine, &e.Route, &e.Detail,
		&e.Subject} {
		*text = clean(*text)
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(e); err != nil {
		return nil // impossible: an entry contains only texts, numbers and a time
	}
	return b.Bytes()
}

// clean removes control characters, invalid UTF-8 and secrets from a text, and shortens it.
func clean(text string) string {
	if plain(text) {
		return text
	}
	if len(text) > 4*maxTextBytes { // before anything that reads all of it
		text = text[:4*maxTextBytes]
	}
	text = credential.ReplaceAllString(text, "$1…")
	text = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, text)
	if len(text) <= maxTextBytes {
		return text
	}
	end := maxTextBytes - len("…")
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}

// plain reports whether clean would not change a text. Most texts are plain.
func plain(text string) bool {
	if len(text) > maxTextBytes {
		return false
	}
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '.' || c == ':' {
			return false
		}
	}
	return true
}
