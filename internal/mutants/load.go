package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// source is the code that is mutated.
type source struct {
	root     string // of the module
	files    *token.FileSet
	packages []*pkg
	exports  map[string]string // the export data of each imported package
}

// pkg is one package that is mutated.
type pkg struct {
	name   string // of the package
	path   string // below the module
	folder string
	parsed []*file
	info   *types.Info
	types  *types.Package
}

// file is one source file with its mutants.
type file struct {
	pkg     *pkg
	path    string
	name    string // below the module
	text    []byte
	syntax  *ast.File
	imports map[string]string // path to local name
	mutants []*mutant
	edits   edits
}

// listedPackage is what `go list -json` says about a package.
type listedPackage struct {
	Dir, ImportPath, Name, Export string
	GoFiles                       []string
	DepOnly                       bool
	Module                        *struct{ Dir, Path string }
}

// load parses and type-checks packages of the module in a folder and finds their mutants. Test files are not mutated.
func load(ctx context.Context, folder string, paths []string) (*source, error) {
	args := []string{"list", "-export", "-deps", "-json=Dir,ImportPath,Name,Export,GoFiles,DepOnly,Module"}
	root, err := moduleRoot(ctx, folder)
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		args = append(args, "./"+path)
	}
	all, err := goList(ctx, root, args)
	if err != nil {
		return nil, err
	}
	s := &source{root: root, files: token.NewFileSet(), exports: map[string]string{}}
	for _, p := range all {
		s.exports[p.ImportPath] = p.Export
	}
	for _, p := range all {
		if !p.DepOnly {
			if err := s.add(p); err != nil {
				return nil, err
			}
		}
	}
	s.number()
	return s, nil
}

func moduleRoot(ctx context.Context, folder string) (string, error) {
	env := exec.CommandContext(ctx, "go", "env", "GOMOD")
	env.Dir = folder
	out, err := env.Output()
	return filepath.Dir(string(bytes.TrimSpace(out))), err
}

func goList(ctx context.Context, root string, args []string) (all []listedPackage, err error) {
	list := exec.CommandContext(ctx, "go", args...) //nolint:gosec // packages of this module
	list.Dir, list.Stderr = root, os.Stderr
	out, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	for in := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listedPackage
		if err := in.Decode(&p); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, fmt.Errorf("decode the output of go list: %w", err)
		}
		all = append(all, p)
	}
}

// add parses and checks one package and finds its mutants.
func (s *source) add(p listedPackage) error {
	path, err := filepath.Rel(s.root, p.Dir)
	if err != nil {
		return err
	}
	added := &pkg{name: p.Name, path: filepath.ToSlash(path), folder: p.Dir}
	var syntax []*ast.File
	for _, name := range p.GoFiles {
		f, err := s.parse(added, name)
		if err != nil {
			return err
		}
		added.parsed, syntax = append(added.parsed, f), append(syntax, f.syntax)
	}
	added.info = &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{},
		Defs: map[*ast.Ident]types.Object{}, Selections: map[*ast.SelectorExpr]*types.Selection{}}
	config := types.Config{Importer: importer.ForCompiler(s.files, "gc", s.open)}
	if added.types, err = config.Check(p.ImportPath, s.files, syntax, added.info); err != nil {
		return err
	}
	for _, f := range added.parsed {
		f.nameImports()
		find(s.files, f)
	}
	s.packages = append(s.packages, added)
	return nil
}

// open opens the export data of an imported package.
func (s *source) open(path string) (io.ReadCloser, error) { return os.Open(s.exports[path]) }

func (s *source) parse(p *pkg, name string) (*file, error) {
	f := &file{pkg: p, path: filepath.Join(p.folder, name), name: p.path + "/" + name}
	var err error
	if f.text, err = os.ReadFile(f.path); err != nil {
		return nil, err
	}
	f.syntax, err = parser.ParseFile(s.files, f.path, f.text, parser.SkipObjectResolution|parser.ParseComments)
	return f, err
}

// nameImports records the local names of the file's imports.
func (f *file) nameImports() {
	f.imports = map[string]string{}
	for _, imported := range f.pkg.types.Imports() {
		for _, spec := range f.syntax.Imports {
			if spec.Path.Value != `"`+imported.Path()+`"` {
				continue
			}
			f.imports[imported.Path()] = imported.Name()
			if spec.Name != nil {
				f.imports[imported.Path()] = spec.Name.Name
			}
		}
	}
}

// mutants returns all mutants, in the order of the source.
func (s *source) mutants() (all []*mutant) {
	for _, p := range s.packages {
		for _, f := range p.parsed {
			all = append(all, f.mutants...)
		}
	}
	return all
}

// number gives each mutant its id, and distinguishes equal changes in one function.
func (s *source) number() {
	seen := map[string]int{}
	for i, m := range s.mutants() {
		m.id = i + 1
		key := m.key()
		seen[key]++
		m.nth = seen[key]
	}
}
