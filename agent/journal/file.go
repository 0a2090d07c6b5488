package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// format is the version of every file of the journal. A file with a higher version was written by a newer drover.
const format = 1

// temporaryPrefix begins the names of files that are being written.
const temporaryPrefix = ".new-"

// writeJSON durably replaces the whole file at path with v as JSON.
func writeJSON(path string, v any) error {
	content, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return writeFile(path, append(content, '\n'))
}

// writeFile durably replaces the whole file at path.
func writeFile(path string, content []byte) error {
	file, err := os.CreateTemp(filepath.Dir(path), temporaryPrefix) // mode 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", path, cause(err))
	}
	if err := writeAndClose(file, content); err != nil {
		_ = os.Remove(file.Name())
		return fmt.Errorf("write %s: %w", path, cause(err))
	}
	if err := os.Rename(file.Name(), path); err != nil {
		_ = os.Remove(file.Name())
		return err // it contains both paths
	}
	return syncFolder(filepath.Dir(path))
}

// writeAndClose durably writes the content of a file and closes it.
func writeAndClose(file *os.File, content []byte) error {
	_, err := file.Write(content)
	if err == nil {
		err = file.Sync()
	}
	if closed := file.Close(); err == nil {
		err = closed
	}
	return err
}

// cause returns an error without the name of the temporary file.
func cause(err error) error {
	if of := (*fs.PathError)(nil); errors.As(err, &of) {
		return of.Err
	}
	return err
}

// Cause returns why a file could not be written, without the names of files.
func Cause(err error) error {
	if errno := syscall.Errno(0); errors.As(err, &errno) {
		return errno
	}
	return cause(err)
}

// syncFolder makes files durable that were created, renamed or removed in a folder.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	defer folder.Close()
	if err := folder.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", path, err)
	}
	return nil
}

// maxFileBytes bounds how much of a file is read.
const maxFileBytes = 16 << 20

// readFile reads the file at path, up to maxFileBytes.
func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxFileBytes))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return content, nil
}

// readJSON reads the file at path into v. The hint tells an operator what to do about a damaged file.
func readJSON(path, hint string, v any) error {
	content, err := readFile(path)
	if err != nil {
		return err
	}
	var version struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(content, &version); err != nil {
		return fmt.Errorf("%s is damaged (%w); %s", path, err, hint)
	}
	if version.Format != format {
		return fmt.Errorf("%s has format %d, but this version of drover supports only format %d; "+
			"use the version that wrote it, or a newer one",
			path, version.Format, format)
	}
	if err := json.Unmarshal(content, v); err != nil {
		return fmt.Errorf("%s is damaged (%w); %s", path, err, hint)
	}
	return nil
}

// removeTemporary removes incomplete files that a crash left behind.
func removeTemporary(folder string) {
	left, _ := filepath.Glob(filepath.Join(folder, temporaryPrefix+"*"))
	for _, path := range left {
		_ = os.Remove(path)
	}
}
