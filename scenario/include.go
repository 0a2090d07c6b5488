package scenario

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// Limits of the files that one file includes, directly and indirectly.
const (
	MaxIncludeDepth = 8
	MaxIncludes     = 100
)

// loader parses a file and the files that it includes.
type loader struct {
	// chain lists the files that are being read, from the file of the run to the innermost one.
	chain           []source
	includes, bytes int
	blocks          int
}

// source is a file on disk. info is nil if the text did not come from a file.
type source struct {
	name string
	info os.FileInfo
}

// load parses a text and the files that it includes. folder is where its file is; if it is empty, the text must not
// name files.
func load(name, text, folder string) (*script, error) {
	top := source{name: name}
	if folder != "" {
		top.info, _ = os.Stat(filepath.Join(folder, filepath.Base(name)))
	}
	return (&loader{chain: []source{top}}).parse(name, text, folder)
}

func (l *loader) parse(name, text, folder string) (*script, error) {
	s, err := parse(name, text)
	if err != nil {
		return nil, err
	}
	s.folder = folder
	if l.bytes += len(text); l.bytes > MaxBytes {
		return nil, s.fail(1, "include smaller files", "the file and its includes have more than %d bytes", MaxBytes)
	}
	for _, p := range s.pieces {
		if p.block == nil {
			continue
		}
		if l.blocks++; l.blocks > MaxBlocks {
			return nil, s.fail(p.block.line, "include fewer files", "the file and its includes have more than %d blocks",
				MaxBlocks)
		}
		if p.block.name == "include" {
			if p.block.included, err = l.include(p.block); err != nil {
				return nil, err
			}
		}
	}
	return s, nil
}

// include parses the file that a block includes.
func (l *loader) include(b *block) (*script, error) {
	if len(b.args) != 1 {
		return nil, b.script.fail(b.line, "usage: "+blockOf("include").usage, "include needs one file")
	}
	path := b.args[0]
	info, err := b.stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, b.failAt(path, "include a file", "%q is a folder", path)
	}
	next := source{filepath.Join(filepath.Dir(b.script.file), path), info}
	if err := l.enter(b, next); err != nil {
		return nil, err
	}
	defer func() { l.chain = l.chain[:len(l.chain)-1] }()
	text, err := readText(filepath.Join(b.script.folder, path))
	if err != nil {
		return nil, b.failAt(path, "", "could not read %q: %s", path, cause(err))
	}
	return l.parse(next.name, text, filepath.Dir(filepath.Join(b.script.folder, path)))
}

// enter adds a file to the chain, unless it is in the chain already or a limit is reached.
func (l *loader) enter(b *block, next source) error {
	var names []string
	for _, s := range l.chain {
		names = append(names, s.name)
		if s.info != nil && os.SameFile(s.info, next.info) {
			return b.failAt(b.args[0], "remove one of the includes", "the file includes itself: %s → %s",
				strings.Join(names, " → "), next.name)
		}
	}
	if len(l.chain) > MaxIncludeDepth {
		return b.failAt(b.args[0], "include the file directly", "includes are nested more than %d deep", MaxIncludeDepth)
	}
	if l.includes++; l.includes > MaxIncludes {
		return b.failAt(b.args[0], "join some of the files", "the file includes more than %d files", MaxIncludes)
	}
	l.chain = append(l.chain, next)
	return nil
}

// readText reads at most one byte more than parse allows.
func readText(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, MaxBytes+1))
	return string(text), err
}

// stat returns what is at a path that a block names. It refuses paths that only work on one computer, and special
// files, which might never end.
func (b *block) stat(path string) (os.FileInfo, error) {
	switch {
	case b.script.folder == "":
		return nil, b.failAt(path, "run it with `drover test FILE`", "a scenario that is not a file cannot name files")
	case filepath.IsAbs(path):
		return nil, b.failAt(path, "use a path relative to the folder of this file", "path %.80q is absolute", path)
	}
	info, err := os.Stat(filepath.Join(b.script.folder, path))
	if errors.Is(err, os.ErrNotExist) {
		return nil, b.failAt(path, "paths are relative to the folder of this file", "file %.80q does not exist", path)
	}
	if err != nil {
		return nil, b.failAt(path, "", "could not read %.80q: %s", path, cause(err))
	}
	if !info.IsDir() && !info.Mode().IsRegular() {
		return nil, b.failAt(path, "use a regular file", "%.80q is not a regular file", path)
	}
	return info, nil
}

// cause returns a file system error without the path, which the message already contains.
func cause(err error) error {
	var at *os.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

// failAt returns an error about a word in the first line of a block.
func (b *block) failAt(word, hint, reason string, args ...any) error {
	err := b.script.fail(b.line, hint, reason, args...)
	var mistake *Error
	if errors.As(err, &mistake) {
		mistake.Column = column(b.raw[0], word)
	}
	return err
}

// column returns the place of the last occurrence of a word in a line, counted in characters from 1.
func column(text, word string) int {
	i := strings.LastIndex(text, word)
	if i < 0 || word == "" {
		return 0
	}
	return utf8.RuneCountInString(text[:i]) + 1
}
