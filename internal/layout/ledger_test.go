package layout_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The ledger of the simulation judges the fold, so it must not use the fold, the claim check or a state of the domain.
var (
	// ledgerCalls lists the functions of domain that the ledger may call: they decode events and name streams.
	ledgerCalls = []string{"CategoryOf", "Decode", "Expand", "ID", "MachineStream", "Name", "ParsePartStream",
		"ParseReleaseStream", "PartStream", "ProjectStream", "SplitStream"}
	// ledgerTypes lists what else of domain has methods that fold or decide.
	ledgerTypes = []string{"Machine", "Project", "Trigger", "Token", "Part", "World", "Hold"}
	// ledgerCluster lists the members of the cluster that the ledger may use. claimCounted is the only one that reads the
	// fold: judgeClaim compares its own result with it.
	ledgerCluster = []string{"checkExpiry", "checkForgotten", "checkOffline", "checkScope", "checkVerified", "claimCounted",
		"isInstance", "isPermitted", "now", "origins", "transcript", "violate", "violation", "watched"}
	ledgerImports = []string{"domain", "eventlog"}
)

func TestLedgerOfSimulationDoesNotUseTheFold(t *testing.T) {
	set := token.NewFileSet()
	files, err := filepath.Glob("../../scenario/sim/*.go")
	require.NoError(t, err)
	model, methods := map[string]bool{}, 0
	var parsed []*ast.File
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(set, name, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		parsed = append(parsed, file)
		if base := filepath.Base(name); strings.HasPrefix(base, "ledger") || base == "pending.go" {
			require.Empty(t, importsOfLedger(file), base)
			declaredTypes(file, model)
		}
	}
	require.True(t, model["ledger"] && model["machineFacts"] && model["deploymentState"], "%v", model)
	for _, file := range parsed {
		for _, method := range methodsOf(file, model) {
			methods++
			require.Empty(t, usesOfFold(method), "%s: the ledger must be independent of the fold", set.Position(method.Pos()))
		}
	}
	require.Greater(t, methods, 50)
}

// TestUsesOfFoldAreFound verifies the check itself.
func TestUsesOfFoldAreFound(t *testing.T) {
	for body, want := range map[string]string{
		`_ = h.Evolve(id, fact)`:                            "Evolve",
		`d := l.cluster.audit.Deployments[id]`:              "cluster.audit",
		`return domain.InScope(m, e, nil, nil)`:             "domain.InScope",
		`m := domain.Machine{}`:                             "domain.Machine",
		`return v.ClaimCheck(part, session) == ""`:          "ClaimCheck",
		`var v *projections.View`:                           "projections",
		`if triggers.Delay(b, n) > 0 { return }`:            "triggers",
		`l.cluster.violate("law 1", "x"); l.cluster.heal()`: "cluster.heal",
	} {
		file, err := parser.ParseFile(token.NewFileSet(), "x.go", "package sim\n\nfunc (l *ledger) f() {\n"+body+"\n}\n", 0)
		require.NoError(t, err, body)
		found := usesOfFold(methodsOf(file, map[string]bool{"ledger": true})[0])
		require.Equal(t, []string{want}, found, body)
	}
}

// importsOfLedger returns the packages of the module that a file must not import.
func importsOfLedger(file *ast.File) (found []string) {
	for _, spec := range file.Imports {
		path, ours := strings.CutPrefix(strings.Trim(spec.Path.Value, `"`), module)
		if ours && !slices.Contains(ledgerImports, path) {
			found = append(found, path)
		}
	}
	return found
}

// declaredTypes adds the names of the types that a file declares.
func declaredTypes(file *ast.File, names map[string]bool) {
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.TypeSpec); ok {
			names[spec.Name.Name] = true
		}
		return true
	})
}

// methodsOf returns the methods of these types.
func methodsOf(file *ast.File, types map[string]bool) (methods []*ast.FuncDecl) {
	for _, decl := range file.Decls {
		function, ok := decl.(*ast.FuncDecl)
		if !ok || function.Recv == nil {
			continue
		}
		receiver := function.Recv.List[0].Type
		if pointer, ok := receiver.(*ast.StarExpr); ok {
			receiver = pointer.X
		}
		if name, ok := receiver.(*ast.Ident); ok && types[name.Name] {
			methods = append(methods, function)
		}
	}
	return methods
}

// usesOfFold returns the names in a method that lead to the fold or to a decision of the domain.
func usesOfFold(method *ast.FuncDecl) (found []string) {
	called := map[ast.Expr]bool{}
	ast.Inspect(method, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			called[call.Fun] = true
		}
		if selector, ok := n.(*ast.SelectorExpr); ok {
			if use := useOfFold(selector, called[selector]); use != "" {
				found = append(found, use)
			}
		}
		return true
	})
	return found
}

func useOfFold(s *ast.SelectorExpr, called bool) string {
	of, name := "", s.Sel.Name
	switch x := s.X.(type) {
	case *ast.Ident:
		of = x.Name
	case *ast.SelectorExpr:
		of = x.Sel.Name
	}
	switch {
	case slices.Contains(append([]string{"projections", "engine"}, deciders...), of):
		return of
	case of == "domain" && (called && !slices.Contains(ledgerCalls, name) || slices.Contains(ledgerTypes, name)),
		of == "cluster" && !slices.Contains(ledgerCluster, name):
		return fmt.Sprintf("%s.%s", of, name)
	case name == "Evolve" || name == "ClaimCheck":
		return name
	}
	return ""
}
