package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/internal/server"
)

func eventlogVerb(s *shell) *cobra.Command {
	cmd := parent("eventlog", "Verify, back up, move and repair the event log",
		logVerifyVerb(s), logExportVerb(s), logImportVerb(s), logBackupVerb(s), logClearVerb(s), logAcceptVerb(s))
	cmd.Aliases = []string{"log"} // the name in earlier versions; withoutAliases keeps it out of the help
	return cmd
}

// restoreIt is the hint for a damaged log; the logs themselves say it of some damage.
const restoreIt = "restore a backup"

// verified is what `eventlog verify` prints.
type verified struct {
	Events  int     `json:"events"`
	Head    string  `json:"head"`
	Damaged *string `json:"damaged"`
}

func logVerifyVerb(s *shell) *cobra.Command {
	var log string
	cmd := verb{
		exits: asks(exits{exitOK: "the log is whole", exitError: "an event is damaged or missing, or no server answers"}),
		use:   "verify", short: "Check that every event is whole",
		long:    "Read the whole log and check that every event matches its checksum and none is missing. A server is\nasked to do it; with --log the log is opened directly.",
		example: "drover eventlog verify\ndrover eventlog verify --log sqlite:/var/lib/drover/drover.db",
		run: func(ctx context.Context, _ []string) error {
			found, err := s.verify(ctx, log)
			if err != nil {
				return err
			}
			if s.structured() {
				if err := s.value(found); err != nil {
					return err
				}
			} else if err := s.print(fmt.Sprintf("%d events, head #%s\n", found.Events, found.Head)); err != nil {
				return err
			}
			if found.Damaged != nil {
				hint := pick(strings.Contains(*found.Damaged, restoreIt), "", restoreIt)
				return &failure{code: exitError, kind: "damaged", text: *found.Damaged, hint: hint}
			}
			s.say("the log is whole")
			return nil
		},
	}.command()
	cmd.Flags().StringVar(&log, "log", "", "open the log at this `URL` instead of asking a server")
	return cmd
}

func (s *shell) verify(ctx context.Context, log string) (found verified, err error) {
	if log == "" {
		err = s.read(ctx, client.Path("log", "verify"), nil, &found)
		return found, err
	}
	opened, err := s.readLog(ctx, log)
	if err != nil {
		return found, err
	}
	defer opened.Close()
	whole, err := eventlog.Verify(ctx, opened, s.counting("%d events are whole"))
	found = verified{Events: whole.Events, Head: whole.Head.String()}
	if errors.Is(err, eventlog.ErrDamaged) {
		sentence := err.Error()
		found.Damaged, err = &sentence, nil
	}
	return found, err
}

// openLog opens a log that must be there; opening one to look at must not make one.
func (s *shell) openLog(ctx context.Context, address string) (eventlog.Backend, error) {
	return s.opened(ctx, server.LogConfig{Address: address, Existing: true})
}

// readLog is openLog for who reads events alone: nothing is left beside the log.
func (s *shell) readLog(ctx context.Context, address string) (eventlog.Backend, error) {
	return s.opened(ctx, server.LogConfig{Address: address, Existing: true, EventsOnly: true})
}

func (s *shell) opened(ctx context.Context, c server.LogConfig) (eventlog.Backend, error) {
	log, err := server.OpenLog(ctx, c)
	if err != nil {
		return nil, invalid("%v", err)
	}
	return log, nil
}

func logAcceptVerb(s *shell) *cobra.Command {
	return verb{
		exits: writes(exits{exitConflict: "there is nothing to accept"}),
		use:   "accept-restore", short: "Go on with a log that has lost its newest events",
		long: "Go on with a log that was restored from a backup, or that an old copy took over. Servers stop deciding when an\n" +
			"agent or a server remembers events that the log does not have; `/readyz` says so. From here on the log goes by\n" +
			"another id, and each machine whose last success the log has lost is held as it is, until `drover unhold`.",
		example: "drover eventlog accept-restore",
		run: func(ctx context.Context, _ []string) error {
			written, err := s.command(ctx, client.Path("log", "accept-restore"), nil)
			if err != nil {
				return err
			}
			return s.wrote(written, "the restore is accepted")
		},
	}.command()
}

func logClearVerb(s *shell) *cobra.Command {
	return verb{
		exits: writes(exits{exitMissing: "the stream is not set aside"}),
		use:   "clear STREAM", short: "Let a stream that was set aside go on",
		long: "Let a stream that was set aside go on, as if the event that cannot be folded were not there.\n\n" +
			"A stream is set aside when one of its events cannot be understood: its machine or project waits, all others\ngo on. `/readyz` and `drover why` name it.",
		example: "drover eventlog clear machine/web-01",
		run: func(ctx context.Context, args []string) error {
			written, err := s.command(ctx, client.Path("log", "clear"), map[string]string{"stream": args[0]})
			if err != nil {
				return err
			}
			return s.wrote(written, "stream "+args[0]+" goes on")
		},
	}.command()
}
