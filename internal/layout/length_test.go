package layout_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	maxFunction = 80
	maxFile     = 800
)

func checkLengths(t *testing.T, file string) {
	t.Helper()
	set := token.NewFileSet()
	parsed, err := parser.ParseFile(set, file, nil, parser.SkipObjectResolution)
	require.NoError(t, err)
	if lines := set.Position(parsed.End()).Line; lines > maxFile {
		t.Errorf("%s has %d lines, more than %d: split it by topic", file, lines, maxFile)
	}
	for _, decl := range parsed.Decls {
		function, ok := decl.(*ast.FuncDecl)
		if !ok || function.Body == nil || strings.HasSuffix(file, "_test.go") {
			continue
		}
		if lines := set.Position(function.End()).Line - set.Position(function.Pos()).Line + 1; lines > maxFunction {
			t.Errorf("%s: %s has %d lines, more than %d: extract functions", set.Position(function.Pos()),
				function.Name.Name, lines, maxFunction)
		}
	}
}
