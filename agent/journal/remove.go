//go:build unix

package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// errMounted is why a mount point and what is below it stay.
var errMounted = errors.New("something is mounted there")

// maxLeft bounds how many files an error names; the rest is only counted.
const maxLeft = 5

// Left is the error for files in the folder of a part that could not be removed.
type Left struct {
	Files []string // each with the reason; at most maxLeft
	Count int
}

func (e *Left) Error() string {
	text := "files of an ended part could not be removed: " + strings.Join(e.Files, "; ")
	if more := e.Count - len(e.Files); more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	return text
}

// remover removes files and records what it cannot remove. It follows no link and crosses no mount: a step may have
// mounted the data of somebody else in its folder.
type remover struct{ left Left }

// removeIn removes the named entries of a folder, with everything below them.
func removeIn(path string, names ...string) error {
	folder, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer folder.Close()
	return removeNames(folder, path, names)
}

// removeNames removes the named entries of an open folder, with everything below them.
func removeNames(folder *os.File, path string, names []string) error {
	var r remover
	for _, name := range names {
		r.remove(folder, path, name)
	}
	if r.left.Count > 0 {
		return &r.left
	}
	return nil
}

// remove removes one entry of an open folder and reports whether it is gone. path is the path of the folder.
func (r *remover) remove(folder *os.File, path, name string) bool {
	err := unlink(folder, name, 0)
	if errors.Is(err, unix.EISDIR) || errors.Is(err, unix.EPERM) { // EPERM: a folder on other systems than Linux
		return r.removeFolder(folder, path, name, err)
	}
	return r.done(path, name, err)
}

// removeFolder removes a folder. unlinked is the error of the attempt to remove it as a file.
func (r *remover) removeFolder(parent *os.File, path, name string, unlinked error) bool {
	folder, err := openInside(parent, name)
	if errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return r.done(path, name, unlinked)
	}
	if err != nil {
		return r.done(path, name, err)
	}
	defer folder.Close()
	names, err := folder.Readdirnames(-1)
	if err != nil {
		return r.done(path, name, err)
	}
	empty := true
	for _, inside := range names {
		empty = r.remove(folder, filepath.Join(path, name), inside) && empty
	}
	return empty && r.done(path, name, unlink(parent, name, unix.AT_REMOVEDIR))
}

// done records an entry that could not be removed.
func (r *remover) done(path, name string, err error) bool {
	switch {
	case err == nil || errors.Is(err, fs.ErrNotExist):
		return true
	case errors.Is(err, unix.EXDEV) || errors.Is(err, unix.EBUSY):
		err = errMounted
	}
	if r.left.Count++; len(r.left.Files) < maxLeft {
		r.left.Files = append(r.left.Files, fmt.Sprintf("%s (%v)", filepath.Join(path, name), err))
	}
	return false
}

// unlink removes an entry of a folder. If the folder is read-only, it makes it writable first.
func unlink(folder *os.File, name string, flags int) error {
	err := unix.Unlinkat(int(folder.Fd()), name, flags)
	if errors.Is(err, unix.EACCES) && folder.Chmod(0o700) == nil {
		err = unix.Unlinkat(int(folder.Fd()), name, flags)
	}
	return err
}
