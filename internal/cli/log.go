package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/internal/server"
)

func eventlogVerb(a *app) *cobra.Command {
	cmd := parent("eventlog", "Verify, back up, move and repair the event log",
		"The event log stores every fact and every decision. Most subcommands send a request to a\n"+
			"server; with --log they open the log directly.",
		logVerifyVerb(a), logExportVerb(a), logImportVerb(a), logBackupVerb(a), logClearVerb(a), logAcceptVerb(a))
	cmd.Aliases = []string{"log"} // the name in earlier versions; withoutAliases hides it in the help
	return cmd
}

// logFlags adds the flags of a command that can open the log itself.
func (a *app) logFlags(cmd *cobra.Command, log *string, usage string) {
	cmd.Flags().StringVar(log, "log", "", usage)
	cmd.Flags().BoolVar(&a.insecure, "insecure", false, "with --log, use a database on another machine without verified TLS")
}

// openLog opens an existing log. It never creates one.
func (a *app) openLog(ctx context.Context, address string) (eventlog.Backend, error) {
	return a.openWith(ctx, server.LogConfig{Address: address, Existing: true})
}

// readLog opens an existing log for reading events; it leaves no files beside the log.
func (a *app) readLog(ctx context.Context, address string) (eventlog.Backend, error) {
	return a.openWith(ctx, server.LogConfig{Address: address, Existing: true, EventsOnly: true})
}

func (a *app) openWith(ctx context.Context, c server.LogConfig) (eventlog.Backend, error) {
	c.Insecure = a.insecure
	log, err := server.OpenLog(ctx, c)
	if err != nil {
		return nil, invalid("%v", err)
	}
	return log, nil
}

func logAcceptVerb(a *app) *cobra.Command {
	var what struct {
		Machine string   `json:"machine,omitempty"`
		Except  []string `json:"except,omitempty"`
	}
	var yes bool
	cmd := verb{
		exits: writeExits(exits{exitConflict: "the log has lost no events, so there is nothing to accept",
			exitMissing: "the machine does not exist"}),
		use: "accept-restore", short: "Continue with a log that has lost its newest events",
		long: "Continue with an event log that has lost its newest events, after a backup was restored or a\n" +
			"stale standby took over. Servers stop deciding when a server has seen events that the log does not\n" +
			"have, or the agents of several machines have; `/readyz` and `drover doctor` report it.\n\n" +
			"If the agent of one machine remembers such events, only that machine is doubted: nothing is\n" +
			"deployed to it. Accept that with --machine.\n\n" +
			"The command gives the log a new id, ends the doubts about all machines except those of --except,\n" +
			"and sets a hold on each machine whose last success is lost. Lift these holds with `drover unhold`.\n" +
			"With --machine it does so for that machine only, and the log keeps its id.\n\n" +
			"On a terminal, the command asks for confirmation. With --yes or without a terminal, it does not ask.",
		example: "drover eventlog accept-restore\ndrover eventlog accept-restore --except web-01\n" +
			"drover eventlog accept-restore --machine web-01",
		run: func(ctx context.Context, _ []string) error {
			if err := a.askAcceptance(yes, what.Machine); err != nil {
				return err
			}
			written, err := a.command(ctx, client.Path("log", "accept-restore"), what)
			switch {
			case err != nil:
				return err
			case what.Machine != "":
				return a.wrote(written, "the memory of machine "+what.Machine+" is accepted as lost")
			}
			return a.wrote(written, "the restored log is accepted")
		},
	}.command()
	cmd.Flags().StringVarP(&what.Machine, "machine", "m", "", "accept only what the agent of this `MACHINE` remembers")
	cmd.Flags().StringSliceVar(&what.Except, "except", nil, "leave this `MACHINE` doubted; repeatable")
	cmd.MarkFlagsMutuallyExclusive("machine", "except")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask for confirmation")
	return cmd
}

// askAcceptance asks on a terminal whether lost events are accepted as lost.
func (a *app) askAcceptance(yes bool, machine string) error {
	switch {
	case yes || !isTerminal(a.In):
		return nil
	case !isTerminal(a.Err): // the user would not see the question
		return errNotAccepted
	}
	question := "All events that the log has lost stay lost. Continue?"
	if machine != "" {
		question = "The events that the log has lost and the agent of " + machine + " remembers stay lost. Continue?"
	}
	if err := a.askYes(question); err != nil {
		return errNotAccepted
	}
	return nil
}

// errNotAccepted is the error of accept-restore without confirmation.
var errNotAccepted = &failure{code: exitError, kind: "declined", text: "nothing was accepted",
	hint: "use --yes to continue without confirmation"}

func logClearVerb(a *app) *cobra.Command {
	return verb{
		exits: writeExits(exits{exitMissing: "the stream is not set aside",
			exitConflict: "the log has lost events; nothing was changed"}),
		use: "clear STREAM", short: "Resume a stream that was set aside",
		long: "Resume a stream that was set aside, without the event that could not be folded.\n\n" +
			"A stream is set aside when one of its events cannot be folded, for example because a newer\n" +
			"version wrote it. Its machine or project waits, all others continue. `/readyz`, `drover doctor`\n" +
			"and `drover why` name the stream.",
		example: "drover eventlog clear machine/web-01",
		run: func(ctx context.Context, args []string) error {
			written, err := a.command(ctx, client.Path("log", "clear"), map[string]string{"stream": args[0]})
			if err != nil {
				return err
			}
			return a.wrote(written, "stream "+args[0]+" is resumed")
		},
	}.command()
}
