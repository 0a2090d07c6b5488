package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/internal/clock"
	"github.com/droverhq/drover/internal/ids"
	"github.com/droverhq/drover/internal/server"
	"github.com/droverhq/drover/internal/witness"
)

// restoreIt is the hint for a damaged log. Some errors of the log contain it already.
const restoreIt = "restore a backup"

// verified is the output of `drover eventlog verify`.
type verified struct {
	Events  int     `json:"events"`
	Head    string  `json:"head"`
	Damaged *string `json:"damaged"`
	Lost    *string `json:"lost"`
}

func logVerifyVerb(a *app) *cobra.Command {
	var log, data string
	cmd := verb{
		exits: readExits(exits{exitOK: "the log is intact",
			exitError: "an event is damaged or missing, or no server answered"}),
		use: "verify", short: "Check that no event is damaged or missing",
		long: "Read the whole event log and check that every event matches its checksum and that none is\n" +
			"missing. Print the number of events and the position of the last one. A server does the check;\n" +
			"with --log the log is opened directly.\n\n" +
			"The end of a log can be lost without a trace in the log. Each server therefore records the last\n" +
			"event that it has read, in the file head-ID in its data folder. The check looks for that event.\n" +
			"With --log, it uses head-ID in the folder of an SQLite log, or in the folder that --data names.",
		example: "drover eventlog verify\n" +
			"drover eventlog verify --log sqlite:/var/lib/drover/drover.db\n" +
			"drover eventlog verify --log 'postgres://drover@db/drover' --data /var/lib/drover",
		run: func(ctx context.Context, _ []string) error {
			if data != "" && log == "" {
				return usage("--data needs --log URL: a server uses its own data folder")
			}
			found, err := a.verify(ctx, log, data)
			if err != nil {
				return err
			}
			return a.showVerified(found)
		},
	}.command()
	a.logFlags(cmd, &log, "open the event log at `URL` instead of asking a server")
	cmd.Flags().StringVar(&data, "data", "", "`FOLDER` with the data of a server of the log; needs --log")
	return cmd
}

// showVerified prints the result of a check, and returns an error if the log is not intact.
func (a *app) showVerified(found verified) error {
	if a.structured() {
		if err := a.value(found); err != nil {
			return err
		}
	} else if err := a.print(fmt.Sprintf("%d events, head #%s\n", found.Events, found.Head)); err != nil {
		return err
	}
	switch {
	case found.Damaged != nil:
		hint := pick(strings.Contains(*found.Damaged, restoreIt), "", restoreIt)
		return &failure{code: exitError, kind: "damaged", text: *found.Damaged, hint: hint}
	case found.Lost != nil:
		return &failure{code: exitError, kind: "lost", text: *found.Lost,
			hint: "restore a newer backup, or start the servers and run `drover eventlog accept-restore`"}
	}
	a.info("the log is intact")
	return nil
}

func (a *app) verify(ctx context.Context, log, data string) (found verified, err error) {
	if log == "" {
		err = a.read(ctx, client.Path("log", "verify"), nil, &found)
		return found, err
	}
	opened, err := a.readLog(ctx, log)
	if err != nil {
		return found, err
	}
	defer opened.Close()
	whole, err := eventlog.Verify(ctx, opened, a.counting("%d events are intact"))
	found = verified{Events: whole.Events, Head: whole.Head.String()}
	switch {
	case errors.Is(err, eventlog.ErrDamaged):
		sentence := err.Error()
		found.Damaged, err = &sentence, nil
	case err == nil:
		found.Lost, err = a.lostFrom(ctx, opened, log, data)
	}
	return found, err
}

// lostFrom describes the event that a server has seen, according to its head witness, and the log does not have.
func (a *app) lostFrom(ctx context.Context, log eventlog.Backend, address, data string) (*string, error) {
	seen, err := a.seenBy(ctx, log, address, data)
	if err != nil {
		return nil, err
	}
	e, err := engine.Open(ctx, engine.Config{Log: log, Clock: clock.New(), Server: ids.New(), Witness: readOnly(seen)})
	if err != nil {
		return nil, err
	}
	var lost *string
	if err := e.LostEvents(); err != nil {
		sentence := err.Error()
		lost = &sentence
	}
	return lost, nil
}

// seenBy returns what the head witness of a server has recorded. Without data, only a server whose log file has the same
// name in the same folder counts: a backup beside the log lacks the newest events, and that is no loss.
func (a *app) seenBy(ctx context.Context, log eventlog.Backend, address, data string) ([]eventlog.Seen, error) {
	made, err := log.ID(ctx)
	if err != nil {
		return nil, err
	}
	c := witness.Config{Folder: data, Made: made}
	if data == "" {
		file, ok := server.LogFile(address)
		if !ok {
			return nil, nil
		}
		c.Folder, c.LogFile = filepath.Dir(file), file
	}
	seen, err := witness.Read(c)
	switch {
	case err != nil:
		a.info("warning: %v; it is unknown whether the last events of the log were lost", err)
	case len(seen) == 0 && data != "":
		return nil, invalid("folder %s has no head witness of log %s: name the data folder of a server of this log", data,
			made)
	}
	return seen, nil
}

// readOnly is a witness that is not changed.
type readOnly []eventlog.Seen

// Seen returns the recorded events.
func (r readOnly) Seen() []eventlog.Seen { return r }

// Record does nothing.
func (readOnly) Record(eventlog.Seen) {}
