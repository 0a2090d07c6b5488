package strictyaml

import (
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"strings"
)

// chunk is the text of one document, and where it begins in the source.
type chunk struct {
	text string
	at   Location
}

// Read calls yield with each document of the source that could be parsed, until MaxProblems problems were found.
func (s *Source) Read(found *Findings, yield func(*Value)) {
	split := s.yaml
	if strings.HasSuffix(strings.ToLower(s.Name), ".json") {
		split = s.json
	}
	split(found, func(c chunk) {
		if v := s.parse(c, found); v != nil {
			yield(v)
		}
	})
}

// marker matches a line that ends a document. No YAML text, quoted or not, can contain this line.
var marker = regexp.MustCompile(`(?m)^(---|\.\.\.)(?:[ \t].*)?$`)

// yaml splits a text at its markers before it is parsed, so that a syntax error in one document does not hide the next.
func (s *Source) yaml(found *Findings, yield func(chunk)) {
	begin := 0
	cut := func(end, next int) {
		if text := s.text[begin:end]; !blank(text) && !found.Full() {
			yield(chunk{text, s.location(begin)})
		}
		begin = next
	}
	for _, at := range marker.FindAllStringIndex(s.text, -1) {
		if s.text[at[0]] == '.' {
			cut(at[0], min(at[1]+1, len(s.text)))
		} else {
			cut(at[0], at[0])
		}
	}
	cut(len(s.text), len(s.text))
}

// blank reports whether the text of a document has only comments and directives.
func blank(text string) bool {
	for line := range strings.Lines(strings.TrimPrefix(text, "---")) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' && line[0] != '%' {
			return false
		}
	}
	return true
}

// json splits a text into its JSON values, up to the first syntax error. The values are then parsed as YAML, which
// contains JSON.
func (s *Source) json(found *Findings, yield func(chunk)) {
	dec := json.NewDecoder(strings.NewReader(s.text))
	for !found.Full() {
		var raw json.RawMessage
		before := int(dec.InputOffset())
		err := dec.Decode(&raw)
		end := int(dec.InputOffset())
		var syntax *json.SyntaxError
		switch {
		case err == nil:
			yield(chunk{string(raw), s.location(end - len(raw))})
			continue
		case errors.Is(err, io.EOF):
		case errors.As(err, &syntax) && !errors.Is(err, io.ErrUnexpectedEOF):
			at := min(max(int(syntax.Offset)-1, before), len(s.text))
			found.report(s, s.location(at), "invalid JSON: "+syntax.Error(), "")
		default:
			found.report(s, s.location(len(strings.TrimRight(s.text, " \t\n"))), "unexpected end of the JSON text", "")
		}
		return
	}
}
