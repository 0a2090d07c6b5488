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

// Config says how a log is kept; the zero value works.
type Config struct {
	// Logger hears when the log stops and begins to write again; nil is silence.
	Logger *zap.Logger
	// ID is the id of a log that is made now; the zero id stands for one chosen at random. A log that is there keeps its own.
	ID uuid.UUID
	// EventsOnly keeps leases and output in memory, for who reads events alone: no file is made beside the log.
	EventsOnly bool
	// Readers is how many reads may run at once; 0 is 4.
	Readers int
	// synchronous replaces FULL in the test that shows why it must be FULL.
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

// oldestLibrary is the first SQLite without the bug that could corrupt a file when two
// connections wrote and checkpointed at once, which is what several servers do.
var oldestLibrary = [3]int{3, 51, 3}

// Open opens the log in the file at path and makes file and folder where they are
// missing, readable for their owner alone. It returns ErrForeign for a file that is no
// drover log, for one of a newer format, and with a SQLite library that could corrupt it.
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

// makeFile makes the folder and an empty file where they are missing. SQLite would make
// the file readable for everybody. An existing file is not opened here: closing it again
// would drop the locks of another log in this process on the same file.
func makeFile(path string) error {
	folder := filepath.Dir(path)
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return fmt.Errorf("%w: it is a folder; name a file in it, such as %s", eventlog.ErrForeign, filepath.Join(path, "drover.db"))
	}
	if err := makeFolder(folder); err != nil {
		return fmt.Errorf("%w: folder %s cannot be made: %w", eventlog.ErrUnavailable, folder, err)
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

// makeFolder makes folder and those above it, and makes each durable in the one above:
// events in a folder that a power cut takes away would be lost with it.
func makeFolder(folder string) error {
	if _, err := os.Stat(folder); err == nil {
		return nil
	}
	above := filepath.Dir(folder)
	if err := makeFolder(above); err != nil {
		return err
	}
	if err := os.Mkdir(folder, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncFolder(above)
}

func syncFolder(folder string) error {
	opened, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(opened.Sync(), opened.Close())
}

// checkFolder tries what SQLite will do later, make files beside the log, because its own
// words for a refusal are "unable to open database file".
func checkFolder(folder string) error {
	try, err := os.CreateTemp(folder, ".drover-*")
	if err == nil {
		return errors.Join(try.Close(), os.Remove(try.Name()))
	}
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: user %d may not write in folder %s; give it the right, or name another folder: %w",
			eventlog.ErrUnavailable, os.Getuid(), folder, err)
	}
	return fmt.Errorf("%w: nothing can be written in folder %s: %w", eventlog.ErrUnavailable, folder, err)
}

// busyTimeout is how long a connection waits for another process's lock.
const busyTimeout = 5 * time.Second

// connectorTo makes connections to the file at path. fullfsync asks macOS for what fsync means elsewhere.
func connectorTo(path string, more ...string) (driver.Connector, error) {
	name := url.URL{Scheme: "file", Path: filepath.ToSlash(path)}
	if path == inMemory {
		name = url.URL{Scheme: "file", Opaque: inMemory}
	}
	settings := append([]string{fmt.Sprint("_busy_timeout=", busyTimeout.Milliseconds()), "_pragma=fullfsync(1)", "_pragma=checkpoint_fullfsync(1)"}, more...)
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

// prepare makes sure that the file is a drover log that this program can use, and makes
// it one if it is empty. Nothing is written to a file before it is known to be ours.
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
	if err := retryBusy(ctx, func() error { _, err := db.ExecContext(ctx, `PRAGMA journal_mode = WAL`); return err }); err != nil {
		return uuid.Nil, explain(err)
	}
	if err := retryBusy(ctx, func() error { _, err := db.ExecContext(ctx, itemsSchema); return err }); err != nil {
		return uuid.Nil, explain(err)
	}
	var text string
	if err := db.QueryRowContext(ctx, `SELECT log_id FROM info`).Scan(&text); err != nil {
		return uuid.Nil, fmt.Errorf("%w: its id cannot be read: %w", eventlog.ErrDamaged, err)
	}
	id, err := uuid.Parse(text)
	if err != nil {
		return uuid.Nil, fmt.Errorf("%w: its id %q is none: %w", eventlog.ErrDamaged, text, err)
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

// checkLibrary refuses a SQLite older than oldestLibrary.
func checkLibrary(version string) error {
	parts := strings.Split(version, ".")
	for i, oldest := range oldestLibrary {
		n, err := 0, error(nil)
		if i < len(parts) {
			n, err = strconv.Atoi(parts[i])
		}
		if err != nil {
			return fmt.Errorf("%w: SQLite calls itself %q, which is no version", eventlog.ErrForeign, version)
		}
		if n > oldest {
			return nil
		}
		if n < oldest {
			return fmt.Errorf("%w: this program was built with SQLite %s, which can corrupt a log that several processes write; build it with %d.%d.%d or newer",
				eventlog.ErrForeign, version, oldestLibrary[0], oldestLibrary[1], oldestLibrary[2])
		}
	}
	return nil
}

// checkFormat says whether the file is empty, and refuses what is no drover log.
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
		return false, fmt.Errorf("%w: the file is an SQLite file of another program; name another file", eventlog.ErrForeign)
	case version > format:
		return false, fmt.Errorf("%w: the file has format %d and this drover knows formats up to %d; use a newer drover", eventlog.ErrForeign, version, format)
	case version < 1:
		return false, fmt.Errorf("%w: the file says format %d, which never was", eventlog.ErrForeign, version)
	}
	return false, nil
}

// makeLog writes schema and id, unless another process did so meanwhile.
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

// retryBusy repeats what SQLite refuses at once instead of waiting for a lock: the change
// of the journal mode while another process opens the same new file.
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
