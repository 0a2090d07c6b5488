package resource

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Stdin is the path that Load takes for standard input, and stdinName what problems call it.
const (
	Stdin     = "-"
	stdinName = "stdin"
)

// Read reads every document of one input; name is for messages. The error is Problems when the
// input is wrong, and then no document is returned; else it is from r.
func Read(name string, r io.Reader) ([]Document, error) {
	data, err := readAll(r)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	found := &findings{}
	docs := parse(name, data, found)
	repeats(docs, found)
	if err := found.err(); err != nil {
		return nil, err
	}
	return docs, nil
}

// Load reads the documents of files, of all *.yaml and *.yml of folders, and of stdin for "-".
// A file that is named twice is read once. The error is as Read's.
func Load(paths []string, stdin io.Reader) ([]Document, error) {
	files, err := expand(paths)
	if err != nil {
		return nil, err
	}
	found := &findings{}
	var docs []Document
	for _, file := range files {
		name, data, err := readFile(file, stdin)
		if err != nil {
			return nil, err
		}
		docs = append(docs, parse(name, data, found)...)
	}
	repeats(docs, found)
	if err := found.err(); err != nil {
		return nil, err
	}
	return docs, nil
}

// expand replaces folders by their files, sorted, and drops paths that are there twice.
func expand(paths []string) ([]string, error) {
	var files []string
	for _, path := range paths {
		found := []string{path}
		if path != Stdin {
			info, err := os.Stat(path)
			if err != nil {
				return nil, fmt.Errorf("read %s: %w", path, cause(err))
			}
			if info.IsDir() {
				if found, err = folder(path); err != nil {
					return nil, err
				}
			}
		}
		for _, file := range found {
			if file != Stdin {
				file = filepath.Clean(file)
			}
			if !slices.Contains(files, file) {
				files = append(files, file)
			}
		}
	}
	return files, nil
}

// cause is an error of the file system without the path, which the sentence names already.
func cause(err error) error {
	var at *os.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

func folder(path string) ([]string, error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, fmt.Errorf("read folder %s: %w", path, cause(err))
	}
	var files []string
	for _, entry := range entries {
		if ext := strings.ToLower(filepath.Ext(entry.Name())); !entry.IsDir() && (ext == ".yaml" || ext == ".yml") {
			files = append(files, filepath.Join(path, entry.Name()))
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("folder %s holds no *.yaml and no *.yml file", path)
	}
	return files, nil
}

func readFile(path string, stdin io.Reader) (name string, data []byte, err error) {
	if path == Stdin {
		data, err = readAll(stdin)
		if err != nil {
			err = fmt.Errorf("read %s: %w", stdinName, err)
		}
		return stdinName, data, err
	}
	file, err := os.Open(path)
	if err != nil {
		return path, nil, fmt.Errorf("read %s: %w", path, cause(err))
	}
	defer file.Close()
	if data, err = readAll(file); err != nil {
		err = fmt.Errorf("read %s: %w", path, cause(err))
	}
	return path, data, err
}

// readAll reads one byte more than is allowed at most, so that newSource can tell.
func readAll(r io.Reader) ([]byte, error) { return io.ReadAll(io.LimitReader(r, MaxInputBytes+1)) }

// parse reads the documents of one text. It is the one place that catches a panic, be it the
// parser's or ours: a file is no reason for a server to fall.
func parse(name string, data []byte, found *findings) (docs []Document) {
	defer func() {
		if trouble := recover(); trouble != nil {
			found.add(Problem{File: name, Reason: fmt.Sprintf("the input cannot be read: %v", trouble), Hint: "please report it"})
		}
	}()
	src, problem := newSource(name, data)
	if problem != nil {
		found.add(*problem)
		return nil
	}
	keep := func(v *value) bool {
		if doc, ok := src.document(v, found); ok {
			docs = append(docs, doc)
		}
		return !found.full()
	}
	if src.isJSON() {
		src.jsonValues(found, keep)
	} else {
		src.yamlValues(found, keep)
	}
	return docs
}

// repeats reports things that are described more than once.
func repeats(docs []Document, found *findings) {
	first := map[string]Document{}
	for _, doc := range docs {
		name := doc.String()
		if before, twice := first[name]; twice {
			found.add(doc.problem("metadata.name", fmt.Sprintf("duplicate %s, first at %s:%d", name, before.File, before.Line), "keep one of the two"))
			continue
		}
		first[name] = doc
	}
}

// problem is a sentence about the value at a path of the document, or about its beginning.
func (d Document) problem(path, reason, hint string) Problem {
	if d.src == nil {
		return Problem{File: d.File, Line: d.Line, Column: 1, Reason: reason, Hint: hint}
	}
	at, ok := d.places[path]
	if !ok {
		at = d.places[""]
	}
	return d.src.problem(at, reason, hint)
}
