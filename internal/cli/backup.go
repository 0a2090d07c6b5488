package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/internal/server"
)

func logBackupVerb(a *app) *cobra.Command {
	var log string
	var force bool
	cmd := verb{
		exits: readExits(exits{exitError: "the file exists or could not be written, the copy is damaged, or no " +
			"server answered",
			exitDenied: "no token is configured, or its scope is not admin"}),
		use: "backup FILE", short: "Back up an SQLite event log while servers run",
		long: "Copy the SQLite file of the event log while servers run. The copy comes from a server; with\n" +
			"--log the log is opened directly. It holds every event that was acknowledged before the backup\n" +
			"began. The whole copy is checked, event by event, before it gets its name. The server needs free\n" +
			"disk space for a second copy of the log during the backup.\n\n" +
			"To restore a backup: stop the servers, replace the log by the copy, delete NAME-wal, NAME-shm\n" +
			"and NAME.ephemera beside it, and start the servers. They detect which events the log has lost\n" +
			"and decide nothing until `drover eventlog accept-restore`.\n\n" +
			"A backup does not contain the output of deployment steps. For a log in a database, use the\n" +
			"backup tools of the database.",
		example: "drover eventlog backup /backup/drover-$(date +%F).db\n" +
			"drover eventlog backup copy.db --force --log sqlite:/var/lib/drover/drover.db",
		run: func(ctx context.Context, args []string) error {
			return a.backupTo(ctx, log, args[0], force)
		},
	}.command()
	a.logFlags(cmd, &log, "open the event log at `URL` instead of asking a server")
	cmd.Flags().BoolVar(&force, "force", false, "replace an existing file")
	return cmd
}

// backupTo copies the log into a temporary folder beside path, checks the copy and renames it to path.
func (a *app) backupTo(ctx context.Context, log, path string, force bool) (err error) {
	if err := checkTarget(path, force); err != nil {
		return err
	}
	folder, err := os.MkdirTemp(filepath.Dir(path), filepath.Base(path)+".*.part") // 0700
	if err != nil {
		return invalid("could not write the backup: %v", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	part := filepath.Join(folder, "drover.db")
	if err := a.copyLog(ctx, log, part); err != nil {
		return err
	}
	found, err := a.verifyCopy(ctx, part)
	if err != nil {
		return &failure{code: exitError, kind: "damaged", text: fmt.Sprintf("the copy is damaged and was deleted: %v",
			err),
			hint: "if `drover eventlog verify` reports the same, the log itself is damaged: restore an older backup"}
	}
	info, err := os.Stat(part)
	if err != nil {
		return err
	}
	if err := place(part, path, force); err != nil {
		return err
	}
	a.info("wrote %s: %d events, head #%s, %d bytes; every event is intact", path, found.Events, found.Head,
		info.Size())
	return nil
}

func checkTarget(path string, force bool) error {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return invalid("%s is a folder; name a file in it", path)
	case err == nil && !force:
		return alreadyExists(path)
	}
	return nil
}

func alreadyExists(path string) error {
	return &failure{code: exitError, kind: client.Invalid, text: path + " already exists and was not changed",
		hint: "name another file, or replace it with --force"}
}

// copyLog writes a copy of the log to a new file, from a server or directly from the log.
func (a *app) copyLog(ctx context.Context, log, path string) error {
	if log == "" {
		return a.downloadLog(ctx, path)
	}
	if _, isFile := server.LogFile(log); !isFile {
		return notAFile()
	}
	opened, err := a.openLog(ctx, log)
	if err != nil {
		return err
	}
	defer opened.Close()
	copier, can := opened.(server.Copier)
	if !can {
		return notAFile()
	}
	if err := copier.CopyTo(ctx, path); err != nil {
		return invalid("%v", err)
	}
	return nil
}

// notAFile returns the error for a log in a database.
func notAFile() error {
	return &failure{code: exitError, kind: client.Invalid,
		text: "this log is not an SQLite file, and only a file can be copied",
		hint: "use the backup tools of the database, or `drover eventlog export FILE` for an archive"}
}

func (a *app) downloadLog(ctx context.Context, path string) error {
	c, err := a.connect(ctx)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	err = c.Download(ctx, client.Path("log", "backup"), file)
	if closed := file.Close(); err == nil && closed != nil {
		err = fmt.Errorf("write %s: %w", path, closed)
	}
	return err
}

// verifyCopy opens a copy as a log, verifies every event and syncs the file to disk.
func (a *app) verifyCopy(ctx context.Context, path string) (found eventlog.Verified, err error) {
	opened, err := server.OpenLog(ctx, server.LogConfig{Address: "sqlite:" + path, Existing: true})
	if err != nil {
		return found, err
	}
	found, err = eventlog.Verify(ctx, opened, a.counting("%d events are intact"))
	if err = errors.Join(err, opened.Close()); err != nil {
		return found, err
	}
	return found, synced(path)
}

// synced syncs the file at path to disk.
func synced(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}

// place renames a finished file to path. Without force it never replaces a file, even one created in the meantime.
func place(part, path string, force bool) error {
	if force {
		return os.Rename(part, path)
	}
	switch err := os.Link(part, path); {
	case errors.Is(err, fs.ErrExist):
		return alreadyExists(path)
	case err != nil: // a file system without links
		if err := checkTarget(path, false); err != nil {
			return err
		}
		return os.Rename(part, path)
	}
	return nil
}
