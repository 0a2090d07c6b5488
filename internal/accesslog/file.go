package accesslog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Name is the name of the file in the data folder. Older files are named access.log.1, the newest of them, to
// access.log.4.
const Name = "access.log"

// The limits of the files. Together they need at most (oldFiles+1) × maxFileBytes.
const (
	maxFileBytes = 16 << 20
	oldFiles     = 4
)

// file is a file that is replaced when it is full. It is not safe for concurrent use.
type file struct {
	path string
	max  int64

	open *os.File
	size int64
	torn bool // the last line is incomplete
}

// write appends a line. After an error, a later call tries again.
func (f *file) write(line []byte) error {
	if f.size+int64(len(line)) > f.max {
		f.reopen() // a server that shares the folder may have replaced the file
	}
	if f.open == nil {
		if err := f.begin(); err != nil {
			return err
		}
	}
	if f.size > 0 && f.size+int64(len(line)) > f.max {
		if err := f.rotate(); err != nil {
			return err
		}
	}
	if f.torn {
		line = append([]byte{'\n'}, line...)
	}
	n, err := f.open.Write(line)
	f.size += int64(n)
	if err != nil {
		f.torn = f.torn || n > 0
		return err // names the file
	}
	f.torn = false
	return nil
}

// begin opens the file. It does not wait for a reader if the path is a pipe.
func (f *file) begin() error {
	open, err := os.OpenFile(f.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return err
	}
	info, err := open.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return errors.Join(err, open.Close(), fmt.Errorf("%s is not a regular file", f.path))
	}
	f.open, f.size = open, info.Size()
	return nil
}

// rotate renames the file and its predecessors, deletes the oldest one, and begins another file.
func (f *file) rotate() error {
	f.close()
	for n := oldFiles; n >= 1; n-- {
		older := fmt.Sprint(f.path, ".", n)
		newer := f.path
		if n > 1 {
			newer = fmt.Sprint(f.path, ".", n-1)
		}
		if err := os.Rename(newer, older); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return f.begin()
}

// reopen opens the file again if another program, such as logrotate, has renamed or deleted it.
func (f *file) reopen() {
	if f.open == nil {
		return
	}
	at, err := os.Lstat(f.path)
	if own, failed := f.open.Stat(); err == nil && failed == nil && os.SameFile(at, own) {
		return
	}
	f.close() // the next write opens it
}

func (f *file) close() {
	if f.open != nil {
		_ = f.open.Close() // every line is written already
	}
	f.open, f.size, f.torn = nil, 0, false
}

// pathIn returns the path of the access log in a data folder.
func pathIn(folder string) string { return filepath.Join(folder, Name) }
