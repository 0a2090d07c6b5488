package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"
	modernc "modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/droverhq/drover/eventlog"
)

// Config configures a log. The zero value works.
type Config struct {
	// Logger receives a message when a write to the log fails and when the log is reopened. nil disables logging.
	Logger *zap.Logger
	// ID is the id of a new log. The zero id selects a random one. An existing log keeps its id.
	ID uuid.UUID
	// EventsOnly stores leases and output in memory, so that no second file is created. It is for programs that only
	// read events.
	EventsOnly bool
	// Readers is the largest number of concurrent reads. 0 selects 4.
	Readers int
	// synchronous replaces FULL in the test that shows why FULL is necessary.
	synchronous string
}

func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
	if c.Readers <= 0 {
		c.Readers = 4
	}
	if c.synchronous == "" {
		c.synchronous = "FULL"
	}
	return c
}

// oldestLibrary is the first SQLite version without a bug that could corrupt a file when two connections wrote and
// checkpointed concurrently, as several servers do.
var oldestLibrary = [3]int{3, 51, 3}

// Open opens the log in the file at path. It creates the file and its folder if they are missing, readable only by
// their owner. It returns ErrForeign if the file is not a drover log or has a newer format, or if the SQLite library
// could corrupt it.
func Open(ctx context.Context, path string, config Config) (*Log, error) {
	log, err := open(ctx, path, config.withDefaults())
	if err != nil {
		return nil, fmt.Errorf("open log %s: %w", path, err)
	}
	return log, nil
}

func open(ctx context.Context, path string, config Config) (*Log, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := makeFile(path); err != nil {
		return nil, err
	}
	id, err := prepare(ctx, path, config.ID)
	if err != nil {
		return nil, err
	}
	l := &Log{path: path, id: id, config: config, done: make(chan struct{})}
	if l.readers, err = openReaders(ctx, path, config.Readers); err != nil {
		return nil, explain(err)
	}
	if l.ephemera, err = ephemeraOf(ctx, path, config); err != nil {
		return nil, errors.Join(err, l.readers.Close())
	}
	if l.writer, err = startWriter(ctx, path, config); err != nil {
		return nil, errors.Join(explain(err), l.readers.Close(), l.ephemera.close())
	}
	return l, nil
}

// makeFile creates the folder and an empty file if they are missing. SQLite would create a file that everyone can
// read. makeFile does not open an existing file: closing it would release the locks of another log in this process on
// the same file.
func makeFile(path string) error {
	folder := filepath.Dir(path)
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return fmt.Errorf("%w: it is a folder; use a file in it, such as %s", eventlog.ErrForeign,
			filepath.Join(path, "drover.db"))
	}
	if err := makeFolder(folder); err != nil {
		return fmt.Errorf("%w: create folder %s: %w", eventlog.ErrUnavailable, folder, err)
	}
	if err := checkFolder(folder); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w: %w", eventlog.ErrUnavailable, err)
	}
	return errors.Join(file.Close(), syncFolder(folder))
}

// makeFolder creates folder and its parents, and syncs each parent. Otherwise a power cut could remove the folder
// together with acknowledged events.
func makeFolder(folder string) error {
	if _, err := os.Stat(folder); err == nil {
		return nil
	}
	parent := filepath.Dir(folder)
	if err := makeFolder(parent); err != nil {
		return err
	}
	if err := os.Mkdir(folder, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncFolder(parent)
}

func syncFolder(folder string) error {
	opened, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(opened.Sync(), opened.Close())
}

// checkFolder creates a file in folder, as SQLite will do later. SQLite itself would only report "unable to open
// database file".
func checkFolder(folder string) error {
	try, err := os.CreateTemp(folder, ".drover-*")
	if err == nil {
		return errors.Join(try.Close(), os.Remove(try.Name()))
	}
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: user %d has no permission to write in folder %s; grant it, or use another folder: %w",
			eventlog.ErrUnavailable, os.Getuid(), folder, err)
	}
	return fmt.Errorf("%w: create a file in folder %s: %w", eventlog.ErrUnavailable, folder, err)
}

// busyTimeout is how long a connection waits for the lock of another process.
const busyTimeout = 5 * time.Second

// connectorTo returns a connector to the file at path. On macOS, fullfsync is necessary for a durable fsync.
func connectorTo(path string, more ...string) (driver.Connector, error) {
	name := url.URL{Scheme: "file", Path: filepath.ToSlash(path)}
	if path == inMemory {
		name = url.URL{Scheme: "file", Opaque: inMemory}
	}
	if path != inMemory {
		more = append([]string{"mode=rw"}, more...) // never create a file in place of one that was deleted
	}
	settings := append([]string{fmt.Sprint("_busy_timeout=", busyTimeout.Milliseconds()), "_pragma=fullfsync(1)",
		"_pragma=checkpoint_fullfsync(1)"}, more...)
	name.RawQuery = strings.Join(settings, "&")
	return modernc.NewConnector(name.String())
}

// connect returns a pool of at most n connections.
func connect(path string, n int, more ...string) (*sql.DB, error) {
	connector, err := connectorTo(path, more...)
	if err != nil {
		return nil, err
	}
	return pool(connector, n), nil
}

func pool(connector driver.Connector, n int) *sql.DB {
	made := sql.OpenDB(connector)
	made.SetMaxOpenConns(n)
	made.SetMaxIdleConns(n)
	return made
}

// prepare checks that the file is a drover log that this program can use. It initializes an empty file. It writes
// nothing to a file before it knows that the file is a drover log or empty.
func prepare(ctx context.Context, path string, wanted uuid.UUID) (uuid.UUID, error) {
	db, err := connect(path, 1, "_txlock=immediate", "_pragma=synchronous(FULL)")
	if err != nil {
		return uuid.Nil, err
	}
	defer db.Close()
	if err := checkLibraryOf(ctx, db); err != nil {
		return uuid.Nil, err
	}
	fresh, err := checkFormat(ctx, db)
	if err != nil {
		return uuid.Nil, err
	}
	if fresh {
		if err := makeLog(ctx, db, wanted); err != nil {
			return uuid.Nil, explain(err)
		}
	}
	if err := retryBusy(ctx, func() error {
		_,
			err := db.ExecContext(ctx, `PRAGMA journal_mode = WAL`)
		return err
	}); err != nil {
		return uuid.Nil, explain(err)
	}
	if err := retryBusy(ctx, func() error { _, err := db.ExecContext(ctx, itemsSchema); return err }); err != nil {
		return uuid.Nil, explain(err)
	}
	var text string
	if err := db.QueryRowContext(ctx, `SELECT log_id FROM info`).Scan(&text); err != nil {
		return uuid.Nil, fmt.Errorf("%w: read the id of the log: %w", eventlog.ErrDamaged, err)
	}
	id, err := uuid.Parse(text)
	if err != nil {
		return uuid.Nil, fmt.Errorf("%w: invalid log id %q: %w", eventlog.ErrDamaged, text, err)
	}
	return id, nil
}

func checkLibraryOf(ctx context.Context, db *sql.DB) error {
	var version string
	if err := db.QueryRowContext(ctx, `SELECT sqlite_version()`).Scan(&version); err != nil {
		return explain(err)
	}
	return checkLibrary(version)
}

// checkLibrary returns an error if version is older than oldestLibrary.
func checkLibrary(version string) error {
	parts := strings.Split(version, ".")
	for i, oldest := range oldestLibrary {
		n, err := 0, error(nil)
		if i < len(parts) {
			n, err = strconv.Atoi(parts[i])
		}
		if err != nil {
			return fmt.Errorf("%w: invalid SQLite version %q", eventlog.ErrForeign, version)
		}
		if n > oldest {
			return nil
		}
		if n < oldest {
			return fmt.Errorf("%w: this program was built with SQLite %s, which can corrupt a log of several writers; "+
				"use %d.%d.%d or newer",
				eventlog.ErrForeign, version, oldestLibrary[0], oldestLibrary[1], oldestLibrary[2])
		}
	}
	return nil
}

// checkFormat reports whether the file is empty. It returns an error if the file is not empty and not a drover log of
// a supported format.
func checkFormat(ctx context.Context, db *sql.DB) (fresh bool, err error) {
	var application, version, tables int
	err = db.QueryRowContext(ctx, `SELECT a.application_id, v.user_version, (SELECT count(*) FROM sqlite_schema)
		FROM pragma_application_id a, pragma_user_version v`).Scan(&application, &version, &tables)
	switch {
	case err != nil:
		return false, explain(err)
	case application == 0 && version == 0 && tables == 0:
		return true, nil
	case application != applicationID:
		return false, fmt.Errorf("%w: the file is a SQLite file of another program; use another file",
			eventlog.ErrForeign)
	case version > format:
		return false, checkSupported(int64(version))
	case version < 1:
		return false, fmt.Errorf("%w: invalid file format %d", eventlog.ErrForeign, version)
	}
	return false, nil
}

// checkSupported returns an error if a newer drover has created or migrated the file.
func checkSupported(version int64) error {
	if version <= format {
		return nil
	}
	return fmt.Errorf("%w: unsupported file format %d (this drover supports formats up to %d); use a newer drover",
		eventlog.ErrForeign, version, format)
}

// makeLog writes the schema and the id, unless another process has just done so.
func makeLog(ctx context.Context, db *sql.DB, id uuid.UUID) error {
	if id == uuid.Nil {
		id = uuid.New()
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	var version int
	if err := tx.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&version); err != nil || version != 0 {
		return err
	}
	marks := fmt.Sprintf(`PRAGMA application_id = %d; PRAGMA user_version = %d;`, applicationID, format)
	if _, err := tx.ExecContext(ctx, schema+marks); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO info (one, log_id) VALUES (1, ?)`, id.String()); err != nil {
		return err
	}
	return tx.Commit()
}

// retryBusy retries an operation for which SQLite returns SQLITE_BUSY immediately instead of waiting for the lock. An
// example is the change of the journal mode while another process opens the same new file.
func retryBusy(ctx context.Context, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for {
		err := try()
		if code(err) != lib.SQLITE_BUSY {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(5 * time.Millisecond):
		}
	}
}
