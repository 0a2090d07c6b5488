package witness

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/droverhq/drover/eventlog"
)

// readTries is how often a file with a damaged record is read. A server that writes at the same moment can make a
// record look damaged.
const readTries = 3

// readRecords returns the valid records of a file, at most two. It returns nothing if the file does not exist. The error
// is about records that are not valid.
func readRecords(path string, made uuid.UUID) (found []record, err error) {
	for range readTries {
		var content []byte
		content, err = readFile(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, nil
		case err != nil:
			return nil, err
		}
		if found, err = decodeFile(content, made); err == nil {
			break
		}
	}
	return found, err
}

// readFile reads the records of a regular file. Reading a pipe would block.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", path)
	}
	if err != nil {
		return nil, err
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, slots*slotBytes))
}

// Read returns the events that the witness of a log has recorded, at most two, without changing the file. If
// Config.LogFile is set, it returns only events that were read from a log file with the same base name. It returns an
// error if the file has no valid record.
func Read(c Config) (seen []eventlog.Seen, err error) {
	found, err := readRecords(c.path(), c.Made)
	if len(found) == 0 && err != nil {
		return nil, fmt.Errorf("head witness %s: %w", c.path(), err)
	}
	for _, r := range found {
		if c.LogFile == "" || r.File == filepath.Base(c.LogFile) {
			seen = append(seen, r.seen())
		}
	}
	return seen, nil
}

// Other is the witness of another log in a data folder, with its last event.
type Other struct {
	Path     string
	Made     uuid.UUID
	Position eventlog.Position
	Time     time.Time
}

// Others returns the witnesses in a data folder, except that of the log which was created with the id made.
func Others(folder string, made uuid.UUID) (all []Other) {
	files, _ := os.ReadDir(folder)
	for _, file := range files {
		name, ok := strings.CutPrefix(file.Name(), prefix)
		id, err := uuid.Parse(name)
		if !ok || err != nil || id == made {
			continue
		}
		path := filepath.Join(folder, file.Name())
		found, _ := readRecords(path, id) // a damaged witness names no event
		other := Other{Path: path, Made: id}
		for _, r := range found {
			if r.Position > other.Position {
				other.Position, other.Time = r.Position, r.Time
			}
		}
		if len(found) > 0 {
			all = append(all, other)
		}
	}
	return all
}
