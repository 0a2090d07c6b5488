package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// keys are all that a config file may hold: the flags of server and agent, and the client's own. A key
// that a command has no flag for is passed over, so that one file serves all of them.
var keys = []string{
	"listen", "address", "log", "tick", "data", "tls-cert", "tls-key", "insecure",
	"server", "join", "name", "environment", "role", "ca", "ephemeral",
	"token", "output",
}

// File is what a config file says: for each key its values, and where it stands.
type File struct {
	Path   string
	values map[string]value
}

// Text is the value of a key; empty where the file does not have it.
func (f File) Text(key string) string {
	if found := f.values[key]; len(found.texts) > 0 {
		return found.texts[0]
	}
	return ""
}

// Place is where a key that the file has stands in it, for messages.
func (f File) Place(key string) string {
	return fmt.Sprintf("%s:%d: key %q", f.Path, f.values[key].line, key)
}

type value struct {
	texts []string
	line  int
}

// Has says whether the file gives one of the keys a value.
func (f File) Has(keys ...string) bool {
	return slices.ContainsFunc(keys, func(key string) bool { return len(f.values[key].texts) > 0 })
}

// maxFileBytes bounds a config file.
const maxFileBytes = 1 << 20

// ReadFile reads the config file at path. With an empty path it reads the first that is there of the
// user's (config.yaml beside the contexts) and the system's (/etc/drover/config.yaml); none is an empty one.
func ReadFile(path string) (File, error) {
	if path != "" {
		return readFile(path)
	}
	places := []string{"/etc/drover/config.yaml"}
	if folder, err := Folder(); err == nil {
		places = slices.Insert(places, 0, filepath.Join(folder, "config.yaml"))
	}
	for _, place := range places {
		file, err := readFile(place)
		if !errors.Is(err, fs.ErrNotExist) {
			return file, err
		}
	}
	return File{}, nil
}

func readFile(path string) (File, error) {
	opened, err := os.Open(path)
	if err != nil {
		return File{}, unreadable{path, err}
	}
	defer opened.Close()
	text, err := io.ReadAll(io.LimitReader(opened, maxFileBytes+1))
	if err != nil {
		return File{}, unreadable{path, err}
	}
	if len(text) > maxFileBytes {
		return File{}, fmt.Errorf("config file %s is longer than %d bytes; is it another file?", path, maxFileBytes)
	}
	return parse(path, text)
}

// unreadable is a config file that cannot be read.
type unreadable struct {
	path  string
	cause error
}

// Error says which file it is, and why.
func (u unreadable) Error() string {
	return fmt.Sprintf("config file %.200q cannot be read: %v; name another with --config", u.path, Reason(u.cause))
}

// Unwrap is the cause.
func (u unreadable) Unwrap() error { return u.cause }

// Reason is why a file could not be used, without the words that repeat its name.
func Reason(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

// parse takes keys and values letter by letter, so that 1.10 stays 1.10; flags know their own types.
func parse(path string, text []byte) (File, error) {
	file := File{Path: path, values: map[string]value{}}
	tree, err := parser.ParseBytes(text, 0)
	if err != nil {
		return File{}, fmt.Errorf("config file %s: invalid YAML: %s", path, firstLine(err))
	}
	for _, doc := range tree.Docs {
		if doc.Body == nil {
			continue
		}
		pairs, ok := mapping(doc.Body)
		if !ok {
			return File{}, fmt.Errorf("%s: the file does not hold keys and values; write `listen: 127.0.0.1:7070`", at(path, doc.Body))
		}
		for _, pair := range pairs {
			if err := file.add(pair); err != nil {
				return File{}, err
			}
		}
	}
	return file, nil
}

// mapping is a map's pairs; a map with one key is no MappingNode to the parser.
func mapping(node ast.Node) ([]*ast.MappingValueNode, bool) {
	switch node := node.(type) {
	case *ast.MappingNode:
		return node.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{node}, true
	case *ast.NullNode, *ast.CommentGroupNode:
		return nil, true
	}
	return nil, false
}

func (f *File) add(pair *ast.MappingValueNode) error {
	place := at(f.Path, pair.Key)
	key := pair.Key.GetToken().Value
	if !slices.Contains(keys, key) {
		return fmt.Errorf("%s: unknown key %.80q%s", place, key, meant(key, keys))
	}
	if _, twice := f.values[key]; twice {
		return fmt.Errorf("%s: duplicate key %q", place, key)
	}
	texts, ok := scalars(pair.Value)
	if !ok {
		return fmt.Errorf("%s: key %q takes a text, a number, true or false, or a list of these", place, key)
	}
	f.values[key] = value{texts: texts, line: pair.Key.GetToken().Position.Line}
	return nil
}

// scalars are the one text of a value, or those of a list.
func scalars(node ast.Node) ([]string, bool) {
	if list, ok := node.(*ast.SequenceNode); ok {
		var texts []string
		for _, item := range list.Values {
			one, ok := scalars(item)
			if _, nested := item.(*ast.SequenceNode); !ok || nested {
				return nil, false
			}
			texts = append(texts, one...)
		}
		return texts, true
	}
	switch node := node.(type) {
	case *ast.NullNode:
		return nil, true
	case *ast.LiteralNode:
		return []string{strings.TrimSuffix(node.Value.Value, "\n")}, true
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return []string{node.GetToken().Value}, true
	}
	return nil, false
}

func at(path string, node ast.Node) string {
	place := node.GetToken().Position
	return fmt.Sprintf("%s:%d:%d", path, place.Line, place.Column)
}

// maxQuoted is how much of a parser's sentence is told: it quotes what it did not understand, however long that is.
const maxQuoted = 200

// firstLine is a parser's own sentence without the picture that it draws.
func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	line = strings.Map(func(c rune) rune {
		if unicode.IsPrint(c) {
			return c
		}
		return '\uFFFD'
	}, line)
	return fmt.Sprintf("%.*s", maxQuoted, line)
}

// meant ends a sentence with the known word that is most like the one that was used.
func meant(word string, known []string) string {
	if best := Nearest(word, known); best != "" {
		return fmt.Sprintf("; did you mean %q?", best)
	}
	return "; known are " + strings.Join(known, ", ")
}
