package main

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"strconv"
	"strings"
)

// mutant is one change to the code.
type mutant struct {
	id       int
	file     string // below the module
	line     int
	function string
	before   string // the original text
	change   string // what happens to it
	nth      int    // counts equal changes in one function from 1
	// invalid is set if the mutant does not compile.
	invalid bool
}

// String describes the mutant in one line.
func (m *mutant) String() string {
	return fmt.Sprintf("%s:%d %s", m.file, m.line, m.what())
}

// what describes the change without its line.
func (m *mutant) what() string {
	nth := ""
	if m.nth > 1 {
		nth = fmt.Sprintf(" (%d)", m.nth)
	}
	return fmt.Sprintf("%s: `%s` %s%s", m.function, m.before, m.change, nth)
}

// key identifies the mutant, except for its number among equal ones.
func (m *mutant) key() string { return m.file + " " + m.function + " " + m.before + " " + m.change }

// finder walks a file and adds its mutants.
type finder struct {
	*file
	files    *token.FileSet
	function string
	stack    []ast.Node // the nodes around the current one, outermost first
}

// find adds the mutants of a file.
func find(files *token.FileSet, f *file) {
	for _, decl := range f.syntax.Decls {
		walk := &finder{file: f, files: files, function: nameOf(decl)}
		ast.Inspect(decl, func(n ast.Node) bool {
			if n == nil {
				walk.stack = walk.stack[:len(walk.stack)-1]
				return true
			}
			walk.visit(n)
			walk.stack = append(walk.stack, n)
			return true
		})
	}
}

// nameOf returns the name of a function, or of the first name that a declaration declares.
func nameOf(decl ast.Decl) string {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil {
			return d.Name.Name
		}
		return strings.TrimPrefix(types.ExprString(d.Recv.List[0].Type), "*") + "." + d.Name.Name
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			if value, ok := spec.(*ast.ValueSpec); ok {
				return value.Names[0].Name
			}
		}
	}
	return "declaration"
}

// parent returns the n-th node around the current one, 0 for the closest, without parentheses.
func (w *finder) parent(n int) ast.Node {
	for i := len(w.stack) - 1; i >= 0; i-- {
		if _, grouped := w.stack[i].(*ast.ParenExpr); grouped {
			continue
		}
		if n == 0 {
			return w.stack[i]
		}
		n--
	}
	return nil
}

// offset returns the place of a position in the text.
func (w *finder) offset(pos token.Pos) int { return w.files.Position(pos).Offset }

// add adds a mutant of a node.
func (w *finder) add(n ast.Node, change string, args ...any) *mutant {
	m := &mutant{file: w.name, line: w.files.Position(n.Pos()).Line, function: w.function, before: w.brief(n),
		change: fmt.Sprintf(change, args...)}
	w.mutants = append(w.mutants, m)
	return m
}

// maxBrief bounds the original text in the description of a mutant.
const maxBrief = 90

// brief returns the text of a node in one line.
func (w *finder) brief(n ast.Node) string {
	text := []rune(strings.Join(strings.Fields(string(w.text[w.offset(n.Pos()):w.offset(n.End())])), " "))
	if len(text) > maxBrief {
		return string(text[:maxBrief]) + "…"
	}
	return string(text)
}

// call adds a mutant that passes a node to a function of switches.txt: name(id, node, more…).
func (w *finder) call(n ast.Node, name, more, change string, args ...any) {
	w.wrap(n, name+"(", ", ", more+")", change, args...)
}

// wrap adds a mutant with text before and after a node. The id of the mutant comes between before and middle.
func (w *finder) wrap(n ast.Node, before, middle, after, change string, args ...any) {
	m := w.add(n, change, args...)
	w.edits.wrap(m, w.offset(n.Pos()), w.offset(n.End()),
		func(id int) string { return before + decimal(id) + middle }, fixed(after))
}

// operator adds a mutant of a binary expression, which becomes a call of a function of switches.txt.
func (w *finder) operator(n *ast.BinaryExpr, name, between, after string, change string) {
	m := w.add(n, "%s", change)
	w.edits.wrap(m, w.offset(n.Pos()), w.offset(n.End()),
		func(id int) string { return name + "(" + decimal(id) + ", " }, fixed(after))
	at := w.offset(n.OpPos)
	w.edits.replace(m, at, at+len(n.Op.String()), fixed(between))
}

func fixed(text string) func(int) string { return func(int) string { return text } }

func decimal(n int) string { return strconv.Itoa(n) }

// typeOf returns the type of an expression, or nil.
func (w *finder) typeOf(e ast.Expr) types.Type { return w.pkg.info.Types[e].Type }

// typeName returns how the file writes a type. It returns false if it cannot, because it does not import a package.
func (w *finder) typeName(t types.Type) (name string, ok bool) {
	ok = t != nil
	if !ok {
		return "", false
	}
	name = types.TypeString(t, func(p *types.Package) string {
		local := w.imports[p.Path()]
		if p == w.pkg.types {
			return ""
		}
		if local == "" {
			ok = false
		}
		return local
	})
	return name, ok && !strings.Contains(name, "untyped") && !strings.Contains(name, "invalid")
}

func (w *finder) basic(e ast.Expr) types.BasicInfo {
	t := w.typeOf(e)
	if t == nil {
		return 0
	}
	b, ok := t.Underlying().(*types.Basic)
	if !ok {
		return 0
	}
	return b.Info()
}

// isConstant reports whether the value of an expression is known to the compiler.
func (w *finder) isConstant(e ast.Expr) bool { return w.pkg.info.Types[e].Value != nil }
