package resource

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/droverhq/drover/api/resource/strictyaml"
)

// Stdin is the path that means standard input for Load. Messages call it stdinName.
const (
	Stdin     = "-"
	stdinName = "stdin"
)

// Read reads all documents of one input; name is for messages. If the input is invalid it returns Problems and no
// documents. Other errors come from r.
func Read(name string, r io.Reader) ([]Document, error) {
	data, err := readAll(r)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	found := &strictyaml.Findings{}
	docs := parse(name, data, found)
	duplicates(docs, found)
	if err := found.Err(); err != nil {
		return nil, err
	}
	return docs, nil
}

// Load reads the documents of files, of all resource files in folders (IsResourceFile), and of stdin for "-". A repeated
// path is read once. Its errors are those of Read.
func Load(paths []string, stdin io.Reader) ([]Document, error) {
	return (&input{stdin: stdin}).load(paths)
}

// LoadFrom is like Load for paths that are relative to a folder. Messages name the paths as given. It refuses special
// files, which might never end, and does not read stdin.
func LoadFrom(folder string, paths []string) ([]Document, error) {
	return (&input{folder: folder, regular: true}).load(paths)
}

// input is where Load reads from.
type input struct {
	folder  string
	stdin   io.Reader // nil: "-" is a file
	regular bool      // only regular files
}

// at returns the path on disk.
func (in *input) at(path string) string {
	if in.folder == "" {
		return path
	}
	return filepath.Join(in.folder, path)
}

func (in *input) isStdin(path string) bool { return path == Stdin && in.stdin != nil }

func (in *input) load(paths []string) ([]Document, error) {
	files, err := in.expand(paths)
	if err != nil {
		return nil, err
	}
	found := &strictyaml.Findings{}
	var docs []Document
	for _, file := range files {
		name, data, err := in.readFile(file)
		if err != nil {
			return nil, err
		}
		docs = append(docs, parse(name, data, found)...)
	}
	duplicates(docs, found)
	if err := found.Err(); err != nil {
		return nil, err
	}
	return docs, nil
}

// expand replaces folders with their sorted files, and removes repeated paths.
func (in *input) expand(paths []string) ([]string, error) {
	var files []string
	for _, path := range paths {
		found := []string{path}
		if !in.isStdin(path) {
			info, err := os.Stat(in.at(path))
			if err != nil {
				return nil, fmt.Errorf("read %s: %w", path, cause(err))
			}
			if info.IsDir() {
				if found, err = in.filesOf(path); err != nil {
					return nil, err
				}
			}
		}
		for _, file := range found {
			if !in.isStdin(file) {
				file = filepath.Clean(file)
			}
			if !slices.Contains(files, file) {
				files = append(files, file)
			}
		}
	}
	return files, nil
}

// cause returns a file system error without the path, which the message already contains.
func cause(err error) error {
	var at *os.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

// IsResourceFile reports whether a folder's entry is one of its resource files: a *.yaml or *.yml file. Files whose names
// begin with a dot do not count. They are hidden files and the locks of editors, which may be links to nothing.
func IsResourceFile(entry os.DirEntry) bool {
	ext := strings.ToLower(filepath.Ext(entry.Name()))
	return !entry.IsDir() && !strings.HasPrefix(entry.Name(), ".") && (ext == ".yaml" || ext == ".yml")
}

// filesOf returns the YAML files of a folder.
func (in *input) filesOf(path string) ([]string, error) {
	entries, err := os.ReadDir(in.at(path))
	if err != nil {
		return nil, fmt.Errorf("read folder %s: %w", path, cause(err))
	}
	var files []string
	for _, entry := range entries {
		if IsResourceFile(entry) {
			files = append(files, filepath.Join(path, entry.Name()))
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("folder %s contains no *.yaml or *.yml files", path)
	}
	return files, nil
}

func (in *input) readFile(path string) (name string, data []byte, err error) {
	if in.isStdin(path) {
		data, err = readAll(in.stdin)
		if err != nil {
			err = fmt.Errorf("read %s: %w", stdinName, err)
		}
		return stdinName, data, err
	}
	if info, err := os.Stat(in.at(path)); in.regular && err == nil && !info.Mode().IsRegular() {
		return path, nil, fmt.Errorf("read %s: it is not a regular file", path)
	}
	file, err := os.Open(in.at(path))
	if err != nil {
		return path, nil, fmt.Errorf("read %s: %w", path, cause(err))
	}
	defer file.Close()
	if data, err = readAll(file); err != nil {
		err = fmt.Errorf("read %s: %w", path, cause(err))
	}
	return path, data, err
}

// readAll reads at most one byte more than is allowed, which NewSource rejects.
func readAll(r io.Reader) ([]byte, error) { return io.ReadAll(io.LimitReader(r, MaxInputBytes+1)) }

// parse reads the documents of one text. It recovers from panics, since no file may stop a server.
func parse(name string, data []byte, found *strictyaml.Findings) (docs []Document) {
	defer func() {
		if trouble := recover(); trouble != nil {
			found.Add(
				Problem{
					File:   name,
					Reason: fmt.Sprintf("the input could not be read: %v", trouble),
					Hint:   "please report it",
				},
			)
		}
	}()
	src, problem := strictyaml.NewSource(name, data)
	if problem != nil {
		found.Add(*problem)
		return nil
	}
	src.Read(found, func(v *strictyaml.Value) {
		if doc, ok := decode(src, v, found); ok {
			docs = append(docs, doc)
		}
	})
	return docs
}

// duplicates reports resources that several documents describe.
func duplicates(docs []Document, found *strictyaml.Findings) {
	first := map[string]Document{}
	for _, doc := range docs {
		if found.Full() {
			return
		}
		name := doc.String()
		if before, twice := first[name]; twice {
			found.Add(
				doc.problem(
					"metadata.name",
					fmt.Sprintf("duplicate %s, first at %s:%d", name, before.File, before.Line),
					"keep one of the two",
				),
			)
			continue
		}
		first[name] = doc
	}
}

// problem returns a problem at the value with this path, or at the beginning of the document.
func (d Document) problem(path, reason, hint string) Problem {
	if d.src == nil {
		return Problem{File: d.File, Line: d.Line, Column: 1, Reason: reason, Hint: hint}
	}
	at, ok := d.locations[path]
	if !ok {
		at = d.locations[""]
	}
	return d.src.Problem(at, reason, hint)
}
