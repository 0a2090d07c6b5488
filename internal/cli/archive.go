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

func logExportVerb(s *shell) *cobra.Command {
	var log string
	var force bool
	cmd := verb{
		exits: asks(exits{exitError: "the file is there already, or cannot be written; the log cannot be read; or no server answers"}),
		use:   "export FILE", short: "Write the whole log as an archive",
		long: "Write the whole log as an archive: text, a line of JSON for each event, in order. `drover eventlog import` brings it into\n" +
			"any other kind of log. A server is asked for it; with --log the log is opened directly. - is standard output.\n" +
			"Its servers may go on; the archive ends where the log stood when it began, or a little later.",
		example: "drover eventlog export drover.jsonl\ndrover eventlog export - --log sqlite:/var/lib/drover/drover.db | gzip > drover.jsonl.gz",
		run: func(ctx context.Context, args []string) error {
			if args[0] == "-" {
				return s.export(ctx, log, words(s.Out))
			}
			return s.exportTo(ctx, log, args[0], force)
		},
	}.command()
	cmd.Flags().StringVar(&log, "log", "", "open the log at this `URL` instead of asking a server")
	cmd.Flags().BoolVar(&force, "force", false, "replace the file if it is there")
	return cmd
}

// counting tells people at a terminal how far long work has come.
func (s *shell) counting(sentence string) func(events int) {
	return func(events int) {
		if isTerminal(s.Err) && events%100_000 == 0 {
			s.say(sentence, events)
		}
	}
}

func (s *shell) export(ctx context.Context, log string, out io.Writer) error {
	if log == "" {
		c, err := s.connect(ctx)
		if err != nil {
			return err
		}
		return c.Download(ctx, client.Path("log", "export"), out)
	}
	opened, err := s.readLog(ctx, log)
	if err != nil {
		return err
	}
	defer opened.Close()
	_, err = eventlog.Export(ctx, opened, out, s.counting("%d events are exported"))
	return err
}

// exportTo writes an archive beside the file's name and puts it in its place once it is known to be whole.
func (s *shell) exportTo(ctx context.Context, log, path string, force bool) (err error) {
	if err := checkTarget(path, force); err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.part")
	if err != nil {
		return invalid("the archive cannot be written: %v", err)
	}
	defer func() {
		if err = errors.Join(err, file.Close()); err != nil {
			err = errors.Join(err, os.Remove(file.Name()))
		}
	}()
	if err := s.export(ctx, log, file); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return fmt.Errorf("write %s: %w", file.Name(), err)
	}
	archive, err := whole(file)
	if err != nil {
		return fmt.Errorf("the archive that was written is not whole: %w", err)
	}
	if err := place(file.Name(), path, force); err != nil {
		return err
	}
	if err := os.Remove(file.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) { // its other name
		return err
	}
	s.say("%d events are in %s", archive.Events(), path)
	return nil
}

// whole reads an archive from its beginning to its end.
func whole(file io.ReadSeeker) (*eventlog.Archive, error) {
	archive, err := openAgain(file)
	if err != nil {
		return nil, err
	}
	return archive, archive.Check()
}

func openAgain(file io.ReadSeeker) (*eventlog.Archive, error) {
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	return eventlog.OpenArchive(file)
}

func logImportVerb(s *shell) *cobra.Command {
	var log string
	cmd := verb{
		exits: alone(exits{exitError: "the archive is damaged, the log is not empty, or one of them cannot be opened"}),
		use:   "import FILE", short: "Bring an archive into an empty log",
		long: "Bring an archive into a log of any kind, in its order and under its ids, the log's own too: drover goes on there as if\n" +
			"nothing had happened. Until the import has come to its end no server starts on the log. One that was cut off is simply repeated.",
		example: "drover eventlog import drover.jsonl --log 'postgres://drover@db/drover'",
		run: func(ctx context.Context, args []string) error {
			if log == "" {
				return usage("--log URL is missing: it says which log the archive is brought into")
			}
			return s.importFrom(ctx, args[0], log)
		},
	}.command()
	cmd.Flags().StringVar(&log, "log", "", "the log at this `URL`, which is made if it is not there")
	return cmd
}

func (s *shell) importFrom(ctx context.Context, path, log string) error {
	file, err := os.Open(path)
	if err != nil {
		return invalid("the archive cannot be read: %v", err)
	}
	defer file.Close()
	if _, err := whole(file); err != nil { // before anything is written
		return invalid("%s: %v", path, err)
	}
	archive, err := openAgain(file)
	if err != nil {
		return invalid("%s: %v", path, err)
	}
	opened, err := server.OpenLog(ctx, server.LogConfig{Address: log, ID: archive.ID()})
	if err != nil {
		return invalid("%v", err)
	}
	defer opened.Close()
	again := func() (*eventlog.Archive, error) { return openAgain(file) }
	there, added, err := eventlog.ImportExclusive(ctx, again, opened, s.counting("%d events are there"))
	if err != nil {
		return invalid("import %s: %v", path, err)
	}
	s.say("%d events are there, %d of them new", there, added)
	return nil
}
