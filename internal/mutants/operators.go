package main

import (
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"strings"
)

// visit adds the mutants of one node. Mutants of the whole node come before mutants of its operator, because edits of an
// outer node come first.
func (w *finder) visit(n ast.Node) {
	switch n := n.(type) {
	case ast.Stmt:
		w.statement(n)
	case *ast.CompositeLit:
		w.rows(n)
	case *ast.KeyValueExpr:
		w.field(n)
	}
	if e, ok := n.(ast.Expr); ok {
		w.expression(e)
	}
}

func (w *finder) expression(e ast.Expr) {
	if w.pkg.info.Types[e].IsType() {
		return
	}
	w.condition(e)
	w.result(e)
	w.number(e)
	w.caseValue(e)
	if b, ok := e.(*ast.BinaryExpr); ok && !w.isConstant(e) {
		w.binary(b)
	}
	if c, ok := e.(*ast.CallExpr); ok {
		w.bound(c)
	}
}

// condition replaces a condition by a constant. An operand of && or || only gets the constant without effect.
func (w *finder) condition(e ast.Expr) {
	if w.basic(e)&types.IsBoolean == 0 || w.isConstant(e) || !w.decides(e) {
		return
	}
	if _, grouped := e.(*ast.ParenExpr); grouped {
		return
	}
	switch p := w.parent(0).(type) {
	case *ast.BinaryExpr:
		w.operand(e, p)
	case *ast.ForStmt:
		w.call(e, "mutantBool", ", false", "→ false")
	case *ast.CaseClause:
		w.call(e, "mutantBool", ", false", "removed from the switch")
	default:
		w.call(e, "mutantBool", ", false", "→ false")
		w.call(e, "mutantBool", ", true", "→ true")
	}
}

func (w *finder) operand(e ast.Expr, of *ast.BinaryExpr) {
	switch of.Op {
	case token.LAND:
		w.call(e, "mutantBool", ", true", "removed from &&")
	case token.LOR:
		w.call(e, "mutantBool", ", false", "removed from ||")
	}
}

// decides reports whether a boolean expression stands where its value has an effect and can be replaced.
func (w *finder) decides(e ast.Expr) bool {
	switch p := w.parent(0).(type) {
	case *ast.BinaryExpr:
		inner, binary := e.(*ast.BinaryExpr)
		return (p.Op == token.LAND || p.Op == token.LOR) && (!binary || inner.Op != p.Op)
	case *ast.AssignStmt:
		return len(p.Rhs) == len(p.Lhs) && contains(p.Rhs, e)
	case *ast.CallExpr:
		return p.Fun != e
	case *ast.CaseClause:
		owner, ok := w.parent(2).(*ast.SwitchStmt)
		return ok && owner.Tag == nil && contains(p.List, e)
	case *ast.IfStmt, *ast.ForStmt, *ast.ReturnStmt:
		return true
	}
	return false
}

func contains(list []ast.Expr, e ast.Expr) bool {
	for _, other := range list {
		if other == e || ast.Unparen(other) == e {
			return true
		}
	}
	return false
}

// binary changes the operator of an expression.
func (w *finder) binary(e *ast.BinaryExpr) {
	ordered := w.basic(e.X)&types.IsOrdered != 0
	numeric := w.basic(e)&types.IsNumeric != 0
	switch {
	case e.Op == token.LAND:
		w.operator(e, "mutantAnd", ", func() bool { return (", ") })", "&& → ||")
	case e.Op == token.LOR:
		w.operator(e, "mutantOr", ", func() bool { return (", ") })", "|| → &&")
	case e.Op == token.LSS && ordered:
		w.operator(e, "mutantLess", ",", ")", "< → <=")
	case e.Op == token.LEQ && ordered:
		w.operator(e, "mutantAtMost", ",", ")", "<= → <")
	case e.Op == token.GTR && ordered:
		w.operator(e, "mutantMore", ",", ")", "> → >=")
	case e.Op == token.GEQ && ordered:
		w.operator(e, "mutantAtLeast", ",", ")", ">= → >")
	case e.Op == token.ADD && numeric:
		w.operator(e, "mutantSum", ",", ")", "+ → -")
	case e.Op == token.SUB && numeric:
		w.operator(e, "mutantDifference", ",", ")", "- → +")
	}
}

// bound exchanges min and max.
func (w *finder) bound(c *ast.CallExpr) {
	name, ok := c.Fun.(*ast.Ident)
	if !ok || len(c.Args) != 2 || w.isConstant(c) || name.Name != "min" && name.Name != "max" {
		return
	}
	if _, builtin := w.pkg.info.Uses[name].(*types.Builtin); !builtin {
		return
	}
	to, change := "mutantMin(", "min → max"
	if name.Name == "max" {
		to, change = "mutantMax(", "max → min"
	}
	m := w.add(c, "%s", change)
	w.edits.replace(m, w.offset(name.Pos()), w.offset(c.Lparen)+1, func(id int) string { return to + decimal(id) + ", " })
}

// number changes a constant by one, or a duration by a factor of two. Operands of < and the like are left out if they
// are literals: another mutant moves that boundary.
func (w *finder) number(e ast.Expr) {
	value := w.pkg.info.Types[e].Value
	if value == nil || value.Kind() != constant.Int || !w.changeable(e) {
		return
	}
	name, ok := w.typeName(types.Default(w.typeOf(e)))
	if !ok {
		return
	}
	if strings.HasSuffix(name, ".Duration") && constant.Sign(value) == 0 {
		return
	}
	if strings.HasSuffix(name, ".Duration") {
		text := value.ExactString()
		w.wrap(e, "mutantPlus["+name+"](", ", ", ", "+text+")", "doubled")
		w.wrap(e, "mutantLessen["+name+"](", ", ", ", "+text+"/2)", "halved")
		return
	}
	w.wrap(e, "mutantPlus["+name+"](", ", ", ", 1)", "+ 1")
	if constant.Sign(value) > 0 {
		w.wrap(e, "mutantLessen["+name+"](", ", ", ", 1)", "- 1")
	}
}

// changeable reports whether a constant is the whole of a constant expression that a program may compute.
func (w *finder) changeable(e ast.Expr) bool {
	_, literal := ast.Unparen(e).(*ast.BasicLit)
	switch p := w.parent(0).(type) {
	case *ast.BinaryExpr:
		return !w.isConstant(p) && p.Op != token.SHL && (!literal || !compares(p.Op))
	case *ast.CallExpr:
		called, _ := p.Fun.(*ast.Ident)
		return !w.isConstant(p) && p.Fun != e && (called == nil || called.Name != "make")
	case *ast.ReturnStmt, *ast.KeyValueExpr:
		return true
	case *ast.AssignStmt:
		return contains(p.Rhs, e)
	}
	return false
}

func compares(op token.Token) bool {
	return op == token.LSS || op == token.LEQ || op == token.GTR || op == token.GEQ
}

// result replaces a returned value by the zero value of its type.
func (w *finder) result(e ast.Expr) {
	p, ok := w.parent(0).(*ast.ReturnStmt)
	if !ok || w.basic(e)&types.IsBoolean != 0 || !contains(p.Results, e) || w.isZero(e) {
		return
	}
	function := w.signature()
	if function == nil || function.Results().Len() != len(p.Results) {
		return
	}
	for i, result := range p.Results {
		if result == e {
			w.zero(e, function.Results().At(i).Type(), "→ zero value")
		}
	}
}

// signature returns the type of the function around the current node.
func (w *finder) signature() *types.Signature {
	for i := len(w.stack) - 1; i >= 0; i-- {
		switch f := w.stack[i].(type) {
		case *ast.FuncLit:
			s, _ := w.typeOf(f).(*types.Signature)
			return s
		case *ast.FuncDecl:
			s, _ := w.pkg.info.Defs[f.Name].Type().(*types.Signature)
			return s
		}
	}
	return nil
}

func (w *finder) zero(e ast.Expr, t types.Type, change string) {
	if name, ok := w.typeName(t); ok {
		w.wrap(e, "mutantZero["+name+"](", ", ", ")", "%s", change)
	}
}

// isZero reports whether an expression is certainly the zero value of its type.
func (w *finder) isZero(e ast.Expr) bool {
	known := w.pkg.info.Types[e]
	if known.IsNil() {
		return true
	}
	if literal, ok := e.(*ast.CompositeLit); ok {
		switch w.typeOf(e).Underlying().(type) {
		case *types.Struct, *types.Array:
			return len(literal.Elts) == 0
		}
		return false
	}
	if known.Value == nil {
		return false
	}
	text := known.Value.ExactString()
	return text == `""` || text == "0" || text == "false"
}

// field replaces the value of a field in a literal by its zero value.
func (w *finder) field(kv *ast.KeyValueExpr) {
	literal, ok := w.parent(0).(*ast.CompositeLit)
	if !ok || w.isZero(kv.Value) {
		return
	}
	structure, ok := w.typeOf(literal).Underlying().(*types.Struct)
	name, named := kv.Key.(*ast.Ident)
	if !ok || !named {
		return
	}
	for f := range structure.Fields() {
		if f.Name() == name.Name {
			if typed, ok := w.typeName(f.Type()); ok {
				m := w.add(kv, "→ zero value")
				w.edits.wrap(m, w.offset(kv.Value.Pos()), w.offset(kv.Value.End()),
					func(id int) string { return "mutantZero[" + typed + "](" + decimal(id) + ", " }, fixed(")"))
			}
		}
	}
}

// rows removes each row of a slice literal, and exchanges neighbours in a table of the package.
func (w *finder) rows(literal *ast.CompositeLit) {
	if _, slice := w.typeOf(literal).Underlying().(*types.Slice); !slice || literal.Type == nil {
		return
	}
	for i, row := range literal.Elts {
		w.rowCall(literal, row, "mutantWithout", i, "row removed")
		if w.signature() == nil && i+1 < len(literal.Elts) {
			w.rowCall(literal, row, "mutantSwapped", i, "row exchanged with the next")
		}
	}
}

func (w *finder) rowCall(literal *ast.CompositeLit, row ast.Expr, name string, i int, change string) {
	m := w.add(row, "%s", change)
	w.edits.wrap(m, w.offset(literal.Pos()), w.offset(literal.End()),
		func(id int) string { return name + "(" + decimal(id) + ", " + decimal(i) + ", " }, fixed(")"))
}

// statement removes a statement, or the cases of a type switch.
func (w *finder) statement(s ast.Stmt) {
	switch s := s.(type) {
	case *ast.ExprStmt:
		if call, ok := s.X.(*ast.CallExpr); !ok || types.ExprString(call.Fun) != "panic" {
			w.remove(s)
		}
	case *ast.IncDecStmt:
		w.remove(s)
	case *ast.AssignStmt:
		if s.Tok != token.DEFINE && types.ExprString(s.Lhs[0]) != "_" {
			w.remove(s)
		}
	case *ast.TypeSwitchStmt:
		w.typeCases(s)
	}
}

func (w *finder) remove(s ast.Stmt) {
	switch w.parent(0).(type) {
	case *ast.BlockStmt, *ast.CaseClause:
		w.wrap(s, "if mutantKeep(", ") { ", " }", "removed")
	}
}

// typeCases removes each type of a type switch without a default case.
func (w *finder) typeCases(s *ast.TypeSwitchStmt) {
	subject := subjectOf(s)
	for _, statement := range s.Body.List {
		if clause := statement.(*ast.CaseClause); clause.List == nil {
			return
		}
	}
	for _, statement := range s.Body.List {
		clause := statement.(*ast.CaseClause)
		if len(clause.Body) == 0 {
			continue
		}
		first, last := clause.Body[0], clause.Body[len(clause.Body)-1]
		for _, one := range clause.List {
			other := ""
			if len(clause.List) > 1 {
				other = "_, is := any(" + w.brief(subject) + ").(" + w.brief(one) + "); !is || "
			}
			m := w.add(one, "removed from the switch")
			w.edits.wrap(m, w.offset(first.Pos()), w.offset(last.End()),
				func(id int) string { return "if " + other + "mutantKeep(" + decimal(id) + ") { " }, fixed(" }"))
		}
	}
}

// subjectOf returns the expression whose type a switch examines.
func subjectOf(s *ast.TypeSwitchStmt) ast.Expr {
	e := ast.Expr(nil)
	switch assign := s.Assign.(type) {
	case *ast.ExprStmt:
		e = assign.X
	case *ast.AssignStmt:
		e = assign.Rhs[0]
	}
	return e.(*ast.TypeAssertExpr).X
}

// caseValue removes a value from a switch with a tag.
func (w *finder) caseValue(e ast.Expr) {
	clause, ok := w.parent(0).(*ast.CaseClause)
	if !ok || !contains(clause.List, e) {
		return
	}
	owner, ok := w.parent(2).(*ast.SwitchStmt)
	if !ok || owner.Tag == nil {
		return
	}
	name, ok := w.typeName(w.typeOf(owner.Tag))
	switch info := w.basic(owner.Tag); {
	case !ok:
	case info&types.IsString != 0:
		w.wrap(e, "mutantText["+name+"](", ", ", ")", "removed from the switch")
	case info&types.IsInteger != 0:
		w.wrap(e, "mutantOther["+name+"](", ", ", ")", "removed from the switch")
	}
}
