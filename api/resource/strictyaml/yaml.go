package strictyaml

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// composer turns a parsed document into values: it follows aliases, merges mappings and rejects duplicate keys.
type composer struct {
	src     *Source
	at      Location // of the document
	anchors map[string]*Value
	found   *Findings
	broken  bool
}

// parse returns the root value of a document, or nil after a problem and for an empty document.
func (s *Source) parse(c chunk, found *Findings) *Value {
	m := composer{src: s, at: c.at, anchors: map[string]*Value{}, found: found}
	if len(c.text) > MaxDocumentBytes {
		m.fault(c.at, fmt.Sprintf("the document is %d bytes long", len(c.text)),
			fmt.Sprintf("use at most %d; put large files where the machine can fetch them", MaxDocumentBytes))
		return nil
	}
	tokens := lexer.Tokenize(c.text)
	if reason := tooMuch(tokens); reason != "" {
		m.fault(c.at, reason, "")
		return nil
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		m.syntax(err)
		return nil
	}
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

// tooMuch reports a document for which the parser would need too much time or stack.
func tooMuch(tokens token.Tokens) string {
	if len(tokens) > maxTokens {
		return fmt.Sprintf("the document has too many values: more than about %d", maxTokens/2)
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

// syntax reports the parser's error at its location.
func (c *composer) syntax(err error) {
	var at yaml.Error
	if !errors.As(err, &at) || at.GetToken() == nil || at.GetToken().Position == nil {
		c.fault(c.at, fmt.Sprintf("invalid YAML: %.200s", err), "")
		return
	}
	reason, hint := fmt.Sprintf("invalid YAML: %.200s", at.GetMessage()), "" // it can quote the whole text
	switch {
	case strings.Contains(reason, `'	'`), strings.Contains(reason, "tab character"):
		reason, hint = "a tab indents this line", "use spaces"
	case strings.HasSuffix(reason, "mapping value is not allowed in this context"):
		hint = `quote text that contains ": ", and indent the keys of a mapping equally`
	}
	c.fault(c.location(at.GetToken()), reason, hint)
}

// fault reports a problem that makes the document unusable.
func (c *composer) fault(at Location, reason, hint string) *Value {
	c.broken = true
	c.found.report(c.src, at, reason, hint)
	return &Value{At: at, size: 1}
}

// location returns the location of a token in the source.
func (c *composer) location(t *token.Token) Location {
	if t == nil || t.Position == nil {
		return c.at
	}
	at := Location{t.Position.Line + c.at.Line - 1, t.Position.Column}
	if t.Position.Line == 1 {
		at.Column += c.at.Column - 1
	}
	return at
}

// value returns the value of a node, and of all nodes below it.
func (c *composer) value(n ast.Node, depth int) *Value {
	v := &Value{At: c.location(n.GetToken()), size: 1}
	if depth > maxDepth {
		return c.fault(v.At, "the document is nested too deep", "")
	}
	switch n := n.(type) {
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			v.At = c.location(n.Values[0].Key.GetToken())
		}
		c.mapping(v, n.Values, depth)
	case *ast.MappingValueNode:
		v.At = c.location(n.Key.GetToken())
		c.mapping(v, []*ast.MappingValueNode{n}, depth)
	case *ast.SequenceNode:
		c.sequence(v, n, depth)
	case *ast.AnchorNode:
		v = c.value(n.Value, depth+1)
		c.anchors[n.Name.GetToken().Value] = v
	case *ast.AliasNode:
		return c.alias(n, v.At)
	case *ast.TagNode:
		return c.tag(n, v.At, depth)
	default:
		c.scalar(v, n)
	}
	if v.size > maxValues && !c.broken {
		return c.fault(v.At, "the document has too many values once its aliases are expanded", "use fewer aliases")
	}
	return v
}

func (c *composer) scalar(v *Value, n ast.Node) {
	switch n := n.(type) {
	case nil, *ast.NullNode, *ast.CommentGroupNode:
	case *ast.StringNode:
		v.Shape, v.Text = Text, n.Value
	case *ast.LiteralNode:
		v.Shape, v.Text = Text, n.Value.Value
	case *ast.BoolNode:
		v.Shape, v.Text = Boolean, n.GetToken().Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		v.Shape, v.Text = Number, n.GetToken().Value
	default:
		c.fault(v.At, "unsupported value", "use text, a number, a list or a mapping")
	}
}

func (c *composer) sequence(v *Value, n *ast.SequenceNode, depth int) {
	v.Shape = List
	for _, item := range n.Values {
		v.add(c.value(item, depth+1))
	}
}

func (c *composer) mapping(v *Value, pairs []*ast.MappingValueNode, depth int) {
	v.Shape = Mapping
	seen := make(map[string]Location, len(pairs))
	var merged []*Value
	for _, pair := range pairs {
		at, held := c.location(pair.Key.GetToken()), c.value(pair.Value, depth+1)
		if _, merge := pair.Key.(*ast.MergeKeyNode); merge {
			merged = append(merged, held)
			continue
		}
		name, ok := keyText(pair.Key)
		first, twice := seen[name]
		switch {
		case !ok:
			c.fault(at, "a key is not text", "use text as the key")
		case twice:
			c.fault(at, fmt.Sprintf("duplicate key %.80q, first on line %d", name, first.Line), "keep one of the two")
		default:
			seen[name] = at
			v.set(Field{Name: name, At: at, Value: held})
		}
	}
	for _, from := range merged {
		c.merge(v, from, seen)
	}
}

// merge adds the keys that the mapping does not have yet. If several merged mappings have a key, the first one counts.
func (c *composer) merge(v, from *Value, seen map[string]Location) {
	switch {
	case from.Shape == List && c.broken: // the size of its aliases is no longer limited
	case from.Shape == List:
		for _, item := range from.Items {
			c.merge(v, item, seen)
		}
	case from.Shape == Mapping:
		for _, f := range from.Fields {
			if _, has := seen[f.Name]; !has {
				seen[f.Name] = f.At
				v.set(f)
			}
		}
	default:
		c.fault(from.At, fmt.Sprintf("<< must be a mapping, not %s", from.describe()), "refer to one with *ANCHOR")
	}
}

// keyText returns the text of a key. It returns false for a list or a mapping.
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

// alias returns the value that an alias refers to. An anchor is known only after the end of its value, so no value
// contains itself.
func (c *composer) alias(n *ast.AliasNode, at Location) *Value {
	name := n.Value.GetToken().Value
	v := c.anchors[name]
	if v == nil {
		return c.fault(
			at,
			fmt.Sprintf("unknown anchor *%.80s", name),
			DidYouMean(name, slices.Sorted(maps.Keys(c.anchors))),
		)
	}
	return v
}

// tag supports only !!str, which turns any scalar into text.
func (c *composer) tag(n *ast.TagNode, at Location, depth int) *Value {
	v := c.value(n.Value, depth+1)
	if n.Start.Value != "!!str" || v.Shape == List || v.Shape == Mapping {
		return c.fault(at, fmt.Sprintf("unsupported tag %.40q", n.Start.Value), "leave it out")
	}
	held := *v
	held.Shape = Text
	return &held
}
