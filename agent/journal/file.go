package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// format is the version of every file of the journal; a higher one was written by a newer drover.
const format = 1

// unfinished begins the names of files that are being written.
const unfinished = ".new-"

// writeJSON replaces the file at path by the JSON form of v, durably and as a whole.
func writeJSON(path string, v any) error {
	content, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	file, err := os.CreateTemp(filepath.Dir(path), unfinished) // mode 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", path, cause(err))
	}
	if err := fill(file, append(content, '\n')); err != nil {
		_ = os.Remove(file.Name())
		return fmt.Errorf("write %s: %w", path, cause(err))
	}
	if err := os.Rename(file.Name(), path); err != nil {
		_ = os.Remove(file.Name())
		return err // names both
	}
	return syncFolder(filepath.Dir(path))
}

// fill writes the content of a file durably and closes it.
func fill(file *os.File, content []byte) error {
	_, err := file.Write(content)
	if err == nil {
		err = file.Sync()
	}
	if closed := file.Close(); err == nil {
		err = closed
	}
	return err
}

// cause is an error without the name of the file that is still being written.
func cause(err error) error {
	if of := (*fs.PathError)(nil); errors.As(err, &of) {
		return of.Err
	}
	return err
}

// syncFolder makes what was created, renamed or removed in a folder durable.
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

// maxFileBytes bounds what is read of one file.
const maxFileBytes = 16 << 20

// readJSON reads the file at path into v. The hint says what a person can do about a file
// that is not as it should be.
func readJSON(path, hint string, v any) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxFileBytes))
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	var version struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(content, &version); err != nil {
		return fmt.Errorf("%s cannot be read (%w); %s", path, err, hint)
	}
	if version.Format != format {
		return fmt.Errorf("%s has format %d and this drover knows format %d; use the drover that wrote it, or a newer one", path, version.Format, format)
	}
	if err := json.Unmarshal(content, v); err != nil {
		return fmt.Errorf("%s cannot be read (%w); %s", path, err, hint)
	}
	return nil
}

// removeUnfinished removes what a crash left of files that were being written.
func removeUnfinished(folder string) {
	left, _ := filepath.Glob(filepath.Join(folder, unfinished+"*"))
	for _, path := range left {
		_ = os.Remove(path)
	}
}
