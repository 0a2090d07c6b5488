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

	"github.com/droverhq/drover/api/resource/strictyaml"
)

// keys lists the keys of a config file: the flags of the server, the agent and the client. A command ignores keys for
// which it has no flag, so that one file can serve all commands.
var keys = []string{
	"listen", "address", "log", "tick", "data", "tls-cert", "tls-key", "insecure",
	"server", "join", "name", "environment", "role", "ca", "ephemeral", "policy", "pass-env",
	"token", "output", "accept-server",
}

// File is a config file. It maps each key to its value and line. The zero value is an empty file.
type File struct {
	Path   string
	values map[string]value
}

// Text returns the first value of a key, or "" if the file does not have it.
func (f File) Text(key string) string {
	if found := f.values[key]; len(found.texts) > 0 {
		return found.texts[0]
	}
	return ""
}

// Location returns the location of a key, for messages.
func (f File) Location(key string) string {
	return fmt.Sprintf("%s:%d: key %q", f.Path, f.values[key].line, key)
}

type value struct {
	texts []string
	line  int
}

// Has reports whether one of the keys has a value.
func (f File) Has(keys ...string) bool {
	return slices.ContainsFunc(keys, func(key string) bool { return len(f.values[key].texts) > 0 })
}

// ReadFile reads the config file at path. If path is empty, it reads the user's file (config.yaml beside the contexts)
// or else the system's file (/etc/drover/config.yaml). If neither exists, it returns an empty file.
func ReadFile(path string) (File, error) {
	if path != "" {
		return readFile(path)
	}
	paths := []string{"/etc/drover/config.yaml"}
	if folder, err := Folder(); err == nil {
		paths = slices.Insert(paths, 0, filepath.Join(folder, "config.yaml"))
	}
	for _, path := range paths {
		file, err := readFile(path)
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
	text, err := io.ReadAll(io.LimitReader(opened, strictyaml.MaxInputBytes+1))
	if err != nil {
		return File{}, unreadable{path, err}
	}
	return parse(path, text)
}

// unreadable is the error for a config file that could not be read.
type unreadable struct {
	path  string
	cause error
}

// Error returns the path and the cause.
func (u unreadable) Error() string {
	return fmt.Sprintf("config file %.200q could not be read: %v; name another with --config", u.path, Reason(u.cause))
}

// Unwrap returns the cause.
func (u unreadable) Unwrap() error { return u.cause }

// Reason returns the cause of a file error without the path.
func Reason(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

// parse reads the keys of the file. It retains the text of the values, so 1.10 stays 1.10; flags parse it.
func parse(path string, text []byte) (File, error) {
	file := File{Path: path, values: map[string]value{}}
	src, problem := strictyaml.NewSource(path, text)
	if problem != nil {
		return File{}, problem
	}
	d := &strictyaml.Decoder{Source: src, Found: &strictyaml.Findings{}}
	src.Read(d.Found, func(document *strictyaml.Value) { file.add(d, document) })
	if problems := d.Found.Sorted(); len(problems) > 0 {
		first := problems[0]
		first.Quote = "" // on one line, like the other messages about settings
		return File{}, first
	}
	return file, nil
}

// add adds the keys of a document, or reports why it cannot.
func (f *File) add(d *strictyaml.Decoder, document *strictyaml.Value) {
	if document.Shape == strictyaml.Nothing {
		return
	}
	if document.Shape != strictyaml.Mapping {
		d.Report(document.At, "the file has no keys and values", "write `listen: 127.0.0.1:7070`")
	}
	for _, key := range document.Fields {
		_, twice := f.values[key.Name]
		texts, ok := scalars(key.Value)
		switch {
		case !slices.Contains(keys, key.Name):
			d.Report(key.At, fmt.Sprintf("unknown key %.80q", key.Name), strictyaml.DidYouMean(key.Name, keys))
		case twice:
			d.Report(key.At, fmt.Sprintf("duplicate key %q", key.Name), "keep one of the two")
		case !ok:
			d.Report(
				key.At,
				fmt.Sprintf("invalid value of key %q", key.Name),
				"use text, a number, true, false or a list of these",
			)
		default:
			f.values[key.Name] = value{texts: texts, line: key.At.Line}
		}
	}
}

// scalars returns the text of a scalar, or the texts of a list.
func scalars(v *strictyaml.Value) (texts []string, ok bool) {
	switch v.Shape {
	case strictyaml.Nothing:
		return nil, true
	case strictyaml.Mapping:
		return nil, false
	case strictyaml.List:
		for _, item := range v.Items {
			one, ok := scalars(item)
			if !ok || item.Shape == strictyaml.List {
				return nil, false
			}
			texts = append(texts, one...)
		}
		return texts, true
	}
	return []string{strings.TrimSuffix(v.Text, "\n")}, true
}
