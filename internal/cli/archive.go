package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/internal/server"
)

func logExportVerb(a *app) *cobra.Command {
	var log string
	var force bool
	cmd := verb{
		exits: readExits(exits{exitError: "the file exists or could not be written, the log could not be read, or " +
			"no server answered"}),
		use: "export FILE", short: "Export the event log to an archive file",
		long: "Export the whole event log to an archive: a text file with one line of JSON per event, in order.\n" +
			"`drover eventlog import` writes an archive to a log of any kind. FILE - is standard output.\n\n" +
			"The export comes from a server; with --log the log is opened directly. Servers may continue to\n" +
			"run. The archive holds at least every event that existed when the export began.",
		example: "drover eventlog export drover.jsonl\n" +
			"drover eventlog export - --log sqlite:/var/lib/drover/drover.db | gzip > drover.jsonl.gz",
		run: func(ctx context.Context, args []string) error {
			if args[0] == "-" {
				return a.export(ctx, log, escaping(a.Out))
			}
			return a.exportTo(ctx, log, args[0], force)
		},
	}.command()
	a.logFlags(cmd, &log, "open the event log at `URL` instead of asking a server")
	cmd.Flags().BoolVar(&force, "force", false, "replace an existing file")
	return cmd
}

// counting returns a progress function that prints the number of events on a terminal.
func (a *app) counting(sentence string) func(events int) {
	return func(events int) {
		if isTerminal(a.Err) && events%100_000 == 0 {
			a.info(sentence, events)
		}
	}
}

func (a *app) export(ctx context.Context, log string, out io.Writer) error {
	if log == "" {
		c, err := a.connect(ctx)
		if err != nil {
			return err
		}
		return c.Download(ctx, client.Path("log", "export"), out)
	}
	opened, err := a.readLog(ctx, log)
	if err != nil {
		return err
	}
	defer opened.Close()
	_, err = eventlog.Export(ctx, opened, out, a.counting("%d events exported"))
	return err
}

// exportTo writes an archive to a temporary file, checks it and renames it to path.
func (a *app) exportTo(ctx context.Context, log, path string, force bool) (err error) {
	if err := checkTarget(path, force); err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.part")
	if err != nil {
		return invalid("could not write the archive: %v", err)
	}
	defer func() {
		if err = errors.Join(err, file.Close()); err != nil {
			err = errors.Join(err, os.Remove(file.Name()))
		}
	}()
	if err := a.export(ctx, log, file); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return fmt.Errorf("write %s: %w", file.Name(), err)
	}
	archive, err := checkArchive(file)
	if err != nil {
		return fmt.Errorf("check the written archive: %w", err)
	}
	if err := place(file.Name(), path, force); err != nil {
		return err
	}
	if err := os.Remove(file.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) { // place may have renamed it
		return err
	}
	a.info("exported %d events to %s", archive.Events(), path)
	return nil
}

// checkArchive reads an archive from its beginning to its end.
func checkArchive(file io.ReadSeeker) (*eventlog.Archive, error) {
	archive, err := reopen(file)
	if err != nil {
		return nil, err
	}
	return archive, archive.Check()
}

func reopen(file io.ReadSeeker) (*eventlog.Archive, error) {
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	return eventlog.OpenArchive(file)
}

func logImportVerb(a *app) *cobra.Command {
	var log string
	cmd := verb{
		exits: localExits(exits{exitError: "the archive is damaged, the log is not empty, or one of them could not " +
			"be opened"}),
		use: "import FILE", short: "Import an archive into an empty event log",
		long: "Import an archive into an empty event log of any kind, for example to move from SQLite to\n" +
			"PostgreSQL. The order and ids of the events and the id of the log stay the same, so that servers\n" +
			"and agents can continue with the new log.\n\n" +
			"No server starts on the log until the import is complete. If an import is interrupted, run the\n" +
			"same command again.",
		example: "drover eventlog import drover.jsonl --log 'postgres://drover@db/drover'",
		run: func(ctx context.Context, args []string) error {
			if log == "" {
				return usage("`drover eventlog import` needs --log URL, the log to import into")
			}
			return a.importFrom(ctx, args[0], log)
		},
	}.command()
	a.logFlags(cmd, &log, "`URL` of the log to import into; created if it does not exist")
	return cmd
}

func (a *app) importFrom(ctx context.Context, path, log string) error {
	file, err := os.Open(path)
	if err != nil {
		return invalid("could not read the archive: %v", err)
	}
	defer file.Close()
	if _, err := checkArchive(file); err != nil { // before anything is written
		return invalid("%s: %v", path, err)
	}
	archive, err := reopen(file)
	if err != nil {
		return invalid("%s: %v", path, err)
	}
	opened, err := server.OpenLog(ctx, server.LogConfig{Address: log, ID: archive.ID(), Insecure: a.insecure})
	if err != nil {
		return invalid("%v", err)
	}
	defer opened.Close()
	open := func() (*eventlog.Archive, error) { return reopen(file) }
	total, added, err := eventlog.ImportExclusive(ctx, open, opened, a.counting("%d events imported"))
	if err != nil {
		return invalid("import %s: %v", path, err)
	}
	a.info("imported %d events; the log has all %d events of the archive", added, total)
	return nil
}
