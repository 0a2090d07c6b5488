package resource

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// chunk is the text of one document and the number of lines before it.
type chunk struct {
	text  string
	above int
}

// chunks parts a text into documents at its --- and ... lines, so that what is wrong in one does
// not hide the next. YAML lets no text, quoted or not, hold such a line.
func (s *source) chunks() []chunk {
	var all []chunk
	begin := 0
	for i := range s.lines {
		line := s.line(i + 1)
		switch {
		case i == begin:
		case marker(line, "---"):
			all = s.chunk(all, begin, i)
			begin = i
		case marker(line, "..."):
			all = s.chunk(all, begin, i)
			begin = i + 1
		}
	}
	return s.chunk(all, begin, len(s.lines))
}

func marker(line, mark string) bool {
	rest, ok := strings.CutPrefix(line, mark)
	return ok && (rest == "" || rest[0] == ' ' || rest[0] == '\t')
}

// chunk adds the lines from begin up to end, unless there is nothing in them.
func (s *source) chunk(all []chunk, begin, end int) []chunk {
	if begin >= end {
		return all
	}
	from, to := s.lines[begin], len(s.text)
	if end < len(s.lines) {
		to = s.lines[end]
	}
	for n := begin; n < end; n++ {
		line := s.line(n + 1)
		if n == begin && marker(line, "---") {
			line = line[3:]
		}
		line = strings.TrimSpace(line)
		if line != "" && line[0] != '#' && line[0] != '%' && !(n == begin && line == "...") {
			return append(all, chunk{text: s.text[from:to], above: begin})
		}
	}
	return all
}

// yamlValues yields the documents of a YAML text that could be read.
func (s *source) yamlValues(found *findings, yield func(*value) bool) {
	for _, c := range s.chunks() {
		if v := s.compose(c, found); v != nil && !yield(v) || found.full() {
			return
		}
	}
}

// composer turns a parsed document into values.
type composer struct {
	src     *source
	above   int
	anchors map[string]*value
	found   *findings
	broken  bool
}

// compose parses one document. It is nil where there is nothing, or after a problem was found.
func (s *source) compose(c chunk, found *findings) *value {
	first := place{c.above + 1, 1}
	if len(c.text) > MaxDocumentBytes {
		found.add(s.problem(first, fmt.Sprintf("the document is %d bytes long", len(c.text)),
			fmt.Sprintf("use at most %d; put large files where the machine can fetch them", MaxDocumentBytes)))
		return nil
	}
	tokens := lexer.Tokenize(c.text)
	if reason := tooMuch(tokens); reason != "" {
		found.add(s.problem(first, reason, ""))
		return nil
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		found.add(s.syntax(c.above, err))
		return nil
	}
	m := composer{src: s, above: c.above, anchors: map[string]*value{}, found: found}
	for _, doc := range file.Docs {
		if _, directive := doc.Body.(*ast.DirectiveNode); directive || doc.Body == nil {
			continue
		}
		if v := m.value(doc.Body, 0); !m.broken {
			return v
		}
		return nil
	}
	return nil
}

// tooMuch refuses what the parser would need too long or too deep a stack for.
func tooMuch(tokens token.Tokens) string {
	if len(tokens) > maxTokens {
		return fmt.Sprintf("the document holds too many values: more than about %d", maxTokens/2)
	}
	flow := 0
	for _, t := range tokens {
		switch t.Type {
		case token.MappingStartType, token.SequenceStartType:
			flow++
		case token.MappingEndType, token.SequenceEndType:
			flow--
		}
		if flow > maxDepth {
			return "the document is nested too deep"
		}
	}
	return ""
}

// syntax is the parser's own sentence, at its place.
func (s *source) syntax(above int, err error) Problem {
	var at yaml.Error
	if !errors.As(err, &at) || at.GetToken() == nil || at.GetToken().Position == nil {
		return s.problem(place{above + 1, 1}, "invalid YAML: "+err.Error(), "")
	}
	p := at.GetToken().Position
	reason, hint := at.GetMessage(), ""
	switch {
	case strings.Contains(reason, `'	'`), strings.Contains(reason, "tab character"):
		reason, hint = "a tab indents this line", "use spaces"
	case reason == "mapping value is not allowed in this context":
		reason, hint = "a second key stands where none can be", `quote text that holds ": ", and indent keys of one mapping alike`
	}
	return s.problem(place{above + p.Line, p.Column}, reason, hint)
}

// fault reports and marks the document as one not to go on with.
func (c *composer) fault(at place, reason, hint string) *value {
	c.broken = true
	c.found.add(c.src.problem(at, reason, hint))
	return &value{at: at, size: 1}
}

func (c *composer) placeOf(n ast.Node) place {
	t := n.GetToken()
	if t == nil || t.Position == nil {
		return place{c.above + 1, 1}
	}
	return place{c.above + t.Position.Line, t.Position.Column}
}

func (c *composer) value(n ast.Node, depth int) *value {
	v := &value{at: c.placeOf(n), size: 1}
	if depth > maxDepth {
		return c.fault(v.at, "the document is nested too deep", "")
	}
	switch n := n.(type) {
	case *ast.MappingNode:
		c.mapping(v, n.Values, depth)
	case *ast.MappingValueNode:
		c.mapping(v, []*ast.MappingValueNode{n}, depth)
	case *ast.SequenceNode:
		c.sequence(v, n, depth)
	case *ast.AnchorNode:
		v = c.value(n.Value, depth+1)
		c.anchors[n.Name.GetToken().Value] = v
	case *ast.AliasNode:
		return c.alias(n, v.at)
	case *ast.TagNode:
		return c.tag(n, v.at, depth)
	default:
		c.scalar(v, n)
	}
	if v.size > maxValues && !c.broken {
		return c.fault(v.at, "the document holds too many values once its aliases are followed", "write out what is meant")
	}
	return v
}

func (c *composer) scalar(v *value, n ast.Node) {
	switch n := n.(type) {
	case nil, *ast.NullNode, *ast.CommentGroupNode:
	case *ast.StringNode:
		v.shape, v.text = text, n.Value
	case *ast.LiteralNode:
		v.shape, v.text = text, n.Value.Value
	case *ast.BoolNode:
		v.shape, v.text = boolean, n.GetToken().Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		v.shape, v.text = number, n.GetToken().Value
	default:
		c.fault(v.at, "unsupported value", "use text, a number, a list or a mapping")
	}
}

func (c *composer) sequence(v *value, n *ast.SequenceNode, depth int) {
	v.shape = list
	for _, item := range n.Values {
		v.add(c.value(item, depth+1))
	}
}

func (c *composer) mapping(v *value, pairs []*ast.MappingValueNode, depth int) {
	v.shape = mapping
	if len(pairs) > 0 {
		v.at = c.placeOf(pairs[0].Key)
	}
	var merged []*value
	for _, pair := range pairs {
		at, held := c.placeOf(pair.Key), c.value(pair.Value, depth+1)
		if _, merge := pair.Key.(*ast.MergeKeyNode); merge {
			merged = append(merged, held)
			continue
		}
		name, ok := keyText(pair.Key)
		if !ok {
			c.fault(at, "a key is not text", "use text as the key")
			continue
		}
		if first := v.get(name); first != nil {
			c.fault(at, fmt.Sprintf("duplicate key %.80q, first in line %d", name, first.at.line), "keep one of the two")
			continue
		}
		v.set(field{name: name, at: at, value: held})
	}
	for _, from := range merged {
		c.merge(v, from)
	}
}

// merge takes over what the mapping does not say itself; of a list the earlier mapping wins.
func (c *composer) merge(v, from *value) {
	switch from.shape {
	case list:
		for _, item := range from.items {
			c.merge(v, item)
		}
	case mapping:
		for _, f := range from.fields {
			if v.get(f.name) == nil {
				v.set(f)
			}
		}
	default:
		c.fault(from.at, fmt.Sprintf("<< wants a mapping, not %s", from.describe()), "name one with *ANCHOR")
	}
}

func keyText(key ast.Node) (string, bool) {
	switch key := key.(type) {
	case *ast.MappingKeyNode:
		return keyText(key.Value)
	case *ast.StringNode:
		return key.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode, *ast.InfinityNode, *ast.NanNode:
		return key.GetToken().Value, true
	}
	return "", false
}

func (c *composer) alias(n *ast.AliasNode, at place) *value {
	name := n.Value.GetToken().Value
	v := c.anchors[name]
	if v == nil {
		known := make([]string, 0, len(c.anchors))
		for anchor := range c.anchors {
			known = append(known, anchor)
		}
		return c.fault(at, fmt.Sprintf("*%.80s names no anchor above it in this document", name), didYouMean(name, sorted(known)))
	}
	return v
}

// tag knows one tag, that which makes text of anything.
func (c *composer) tag(n *ast.TagNode, at place, depth int) *value {
	v := c.value(n.Value, depth+1)
	if n.Start.Value != "!!str" || v.shape == list || v.shape == mapping {
		return c.fault(at, fmt.Sprintf("unsupported tag %.40q", n.Start.Value), "leave it out")
	}
	held := *v
	held.shape = text
	return &held
}
