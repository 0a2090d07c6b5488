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

func logBackupVerb(s *shell) *cobra.Command {
	var log string
	var force bool
	cmd := verb{
		exits: asks(exits{exitError: "the file is there already, or cannot be written; the copy is not whole; or no server answers",
			exitDenied: "no token is known, or its scope is not admin"}),
		use: "backup FILE", short: "Copy the log's file while servers use it",
		long: "Copy the log's SQLite file while servers use it. A server is asked for the copy; with --log the log is opened directly.\n" +
			"It holds every event that was acknowledged before, is read whole and checked event by event, and only then gets its name.\n" +
			"The server needs room for a second log on its disk meanwhile.\n\n" +
			"To restore it: stop the servers, put the copy in the log's place, delete NAME-wal, NAME-shm and NAME.ephemera beside it, and\n" +
			"start them. They notice what the log has lost and decide nothing until `drover eventlog accept-restore`. What the steps of\n" +
			"deployments have printed is not in a backup. A log in a database is backed up with the database's own tools.",
		example: "drover eventlog backup /backup/drover-$(date +%F).db\ndrover eventlog backup copy.db --force --log sqlite:/var/lib/drover/drover.db",
		run: func(ctx context.Context, args []string) error {
			return s.backupTo(ctx, log, args[0], force)
		},
	}.command()
	cmd.Flags().StringVar(&log, "log", "", "open the log at this `URL` instead of asking a server")
	cmd.Flags().BoolVar(&force, "force", false, "replace the file if it is there")
	return cmd
}

// backupTo copies the log into a folder beside the file's name, and puts the copy in its place once it is known to be whole.
func (s *shell) backupTo(ctx context.Context, log, path string, force bool) (err error) {
	if err := checkTarget(path, force); err != nil {
		return err
	}
	folder, err := os.MkdirTemp(filepath.Dir(path), filepath.Base(path)+".*.part") // 0700
	if err != nil {
		return invalid("the backup cannot be written: %v", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	part := filepath.Join(folder, "drover.db")
	if err := s.copyLog(ctx, log, part); err != nil {
		return err
	}
	found, err := s.wholeCopy(ctx, part)
	if err != nil {
		return &failure{code: exitError, kind: "damaged", text: fmt.Sprintf("the copy is not whole and was thrown away: %v", err),
			hint: "if `drover eventlog verify` finds the same, the log itself is damaged: restore an older backup"}
	}
	info, err := os.Stat(part)
	if err != nil {
		return err
	}
	if err := place(part, path, force); err != nil {
		return err
	}
	s.say("%d events, head #%s, %d bytes are in %s; every event is whole", found.Events, found.Head, info.Size(), path)
	return nil
}

func checkTarget(path string, force bool) error {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return invalid("%s is a folder; name a file in it", path)
	case err == nil && !force:
		return existing(path)
	}
	return nil
}

func existing(path string) error {
	return &failure{code: exitError, kind: client.Invalid, text: path + " is there already and was left alone", hint: "name another file, or replace it with --force"}
}

// copyLog writes a copy of the log to a new file, from a server or from the log itself.
func (s *shell) copyLog(ctx context.Context, log, path string) error {
	if log == "" {
		return s.downloadLog(ctx, path)
	}
	if _, isFile := server.LogFile(log); !isFile {
		return noFile()
	}
	opened, err := s.openLog(ctx, log)
	if err != nil {
		return err
	}
	defer opened.Close()
	copier, can := opened.(server.Copier)
	if !can {
		return noFile()
	}
	if err := copier.CopyTo(ctx, path); err != nil {
		return invalid("%v", err)
	}
	return nil
}

// noFile is what is said of a log that is in a database.
func noFile() error {
	return &failure{code: exitError, kind: client.Invalid, text: "this log is in no SQLite file, so there is nothing to copy",
		hint: "use the database's own tools for a backup, or `drover eventlog export FILE` for an archive"}
}

func (s *shell) downloadLog(ctx context.Context, path string) error {
	c, err := s.connect(ctx)
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

// wholeCopy opens a copy as a log, reads it to its end and makes it durable.
func (s *shell) wholeCopy(ctx context.Context, path string) (found eventlog.Verified, err error) {
	opened, err := server.OpenLog(ctx, server.LogConfig{Address: "sqlite:" + path, Existing: true})
	if err != nil {
		return found, err
	}
	found, err = eventlog.Verify(ctx, opened, s.counting("%d events are whole"))
	if err = errors.Join(err, opened.Close()); err != nil {
		return found, err
	}
	return found, synced(path)
}

// synced makes what is at path durable.
func synced(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}

// place gives a finished file its name. Without force nothing is replaced, even if it came up meanwhile.
func place(part, path string, force bool) error {
	if force {
		return os.Rename(part, path)
	}
	switch err := os.Link(part, path); {
	case errors.Is(err, fs.ErrExist):
		return existing(path)
	case err != nil: // a file system without links
		if err := checkTarget(path, false); err != nil {
			return err
		}
		return os.Rename(part, path)
	}
	return nil
}
