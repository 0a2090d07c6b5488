package sqlite

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/droverhq/drover/eventlog"
)

// A file that is deleted, moved or replaced while it is open remains writable, and its content is lost when the last
// process closes it. SQLite does not notice this. So the writer compares the files at the path of the log with the files
// that it has opened: before it writes, and again before it acknowledges.

// parts are the suffixes of the files of a log: the log itself, its write-ahead log, and the index of the write-ahead log. A new
// process would create a missing file, and would then write without the locks of this process. The first partsWithEvents
// of them contain events.
var parts = []string{"", "-wal", "-shm"}

const partsWithEvents = 2

// place identifies the files of an open log.
type place struct {
	names []string // in the order of parts
	files []fs.FileInfo
}

// placeOf identifies the files at the path of a log that a connection has just opened.
func placeOf(path string) (*place, error) {
	p := &place{}
	for _, suffix := range parts {
		info, err := os.Stat(path + suffix)
		if err != nil {
			return nil, err
		}
		p.names, p.files = append(p.names, path+suffix), append(p.files, info)
	}
	return p, nil
}

// missing returns the name of the first of n files that is not at its path any more, or an empty string.
func (p *place) missing(n int) string {
	for i, name := range p.names[:n] {
		if info, err := os.Stat(name); err != nil || !os.SameFile(info, p.files[i]) {
			return name
		}
	}
	return ""
}

// logMissing reports whether the log itself is not at its path any more.
func (p *place) logMissing() bool { return p.missing(1) != "" }

// errMisplaced means that a file of the log is not at its path any more.
var errMisplaced = fmt.Errorf("%w: new events are refused", eventlog.ErrUnavailable)

// check returns an error that wraps errMisplaced if one of the first n files is not at its path any more.
func (p *place) check(n int) error {
	name := p.missing(n)
	switch name {
	case "":
		return nil
	case p.names[0]:
		return fmt.Errorf("%w because %s was deleted, moved or replaced while this server runs: put the file back if it "+
			"was moved; otherwise save its events with `drover eventlog export FILE` before you stop this server, and "+
			"import FILE into a new log", errMisplaced, name)
	}
	return fmt.Errorf("%w because %s was deleted, moved or replaced while this server runs: stop all servers of this "+
		"log, then start them again", errMisplaced, name)
}

// Check returns an error if a file of the log was deleted, moved or replaced since the log was opened, see
// eventlog.Checker.
func (l *Log) Check(ctx context.Context) error {
	if err := l.ready(ctx); err != nil {
		return err
	}
	if l.writer.place.Load().missing(len(parts)) == "" {
		l.readers.SetMaxOpenConns(l.config.Readers)
		return nil
	}
	l.readers.SetMaxOpenConns(max(1, l.readers.Stats().OpenConnections)) // a new connection would open another file
	_, err := l.writer.do(ctx, &request{change: noChange{}, check: true, answer: make(chan answer, 1)})
	return err
}

// noChange is the change of a request that only checks the files of the log.
type noChange struct{}

func (noChange) apply(*conn) (answer, error) { return answer{}, nil }

// recheckAfter is how long the writer relies on a check that found all files. An append that is written within this time
// after its file was deleted is not acknowledged, because the check before the acknowledgement finds that out.
const recheckAfter = 100 * time.Millisecond

// checkPlace returns an error if one of the first n files of the log is no longer at its path. If only the write-ahead log
// or its index is missing, it moves all events into the file of the log once: the events in a deleted write-ahead log
// would be lost with this process.
func (w *writer) checkPlace(n int) error {
	err := w.place.Load().check(n)
	if err == nil && n == len(parts) {
		w.checked, w.saved = time.Now(), false
	}
	if err == nil {
		return nil
	}
	w.checked = time.Time{} // the next request is checked before it is written
	if w.saved || w.conn == nil || w.place.Load().logMissing() {
		return err
	}
	busy, failure := w.conn.tryEmptyWAL()
	if busy || failure != nil {
		return fmt.Errorf("%w; the newest events could not be moved into %s (busy: %t, error: %v): first save them with "+
			"`drover eventlog export FILE`", err, filepath.Base(w.path), busy, failure)
	}
	w.saved = true
	return err
}

// checkOpened returns an error unless a new connection has opened the same file as before. SQLite may have deleted the
// write-ahead log in the meantime, when the last connection to it was closed.
func (w *writer) checkOpened() error {
	opened, err := placeOf(w.path)
	if before := w.place.Load(); err == nil && before != nil && !os.SameFile(opened.files[0], before.files[0]) {
		return before.check(len(parts))
	}
	if err == nil {
		w.place.Store(opened)
	}
	return err
}

// refuse answers all requests of a batch with the same error.
func refuse(batch []*request, err error) []answer {
	answers := make([]answer, len(batch))
	for i := range answers {
		answers[i].err = err
	}
	return answers
}
