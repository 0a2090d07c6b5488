package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/doctor"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/explain"
	"github.com/droverhq/drover/internal/clock"
	"github.com/droverhq/drover/internal/config"
	"github.com/droverhq/drover/internal/ids"
	"github.com/droverhq/drover/internal/server"
	"github.com/droverhq/drover/projections"
)

// doctorReport is the structured output of `drover doctor`.
type doctorReport struct {
	Worst    doctor.Severity  `json:"worst"`
	Findings []doctor.Finding `json:"findings"`
}

func doctorVerb(a *app) *cobra.Command {
	var log, data string
	cmd := verb{
		exits: localExits(exits{exitOK: "no finding is bad",
			exitError: "a finding is bad, or the findings could not be written"}),
		use: "doctor", short: "Check servers, the event log and this machine for problems",
		long: "Check for problems and print how to fix them. Nothing is changed. The checks cover the\n" +
			"connection to the servers, TLS, clocks, disk space, the event log, versions, servers that stopped\n" +
			"without shutting down, dangling references, machines that have been behind or offline for a long\n" +
			"time, releases that no machine can take, agents that are refused repeatedly, tokens that expire\n" +
			"soon or never, and old pins and holds.\n\n" +
			"Each line has a severity (ok, warn or bad), what was found, and a command that fixes it. If a\n" +
			"server does not answer, that is reported as a finding, and the checks on this machine still run.\n" +
			"With --log, the log is opened directly; use it while its server is stopped.",
		example: "drover doctor\n" +
			"drover doctor -o json | jq -r '.findings[] | select(.severity != \"ok\") | .do'\n" +
			"drover doctor --log sqlite:/var/lib/drover/drover.db",
	}.command()
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := config.Fill(cmd.Flags(), []string{"data"}, a.files); err != nil {
			return invalid("%v", err)
		}
		found := a.examineFiles(data)
		if log != "" {
			found = append(found, a.examineLog(cmd.Context(), log)...)
		} else {
			found = append(a.examineServers(cmd.Context()), found...)
		}
		if err := cmd.Context().Err(); err != nil {
			return err
		}
		return a.report(unique(found))
	}
	a.logFlags(cmd, &log, "check the event log at `URL` instead of asking a server")
	cmd.Flags().StringVar(&data, "data", "",
		"`FOLDER` with the files of the server or agent on this machine; default: the default of their --data")
	return cmd
}

// unique removes duplicate findings: a server on this machine reports the same disk.
func unique(found []doctor.Finding) (kept []doctor.Finding) {
	for _, f := range found {
		if !slices.Contains(kept, f) {
			kept = append(kept, f)
		}
	}
	return kept
}

// report prints the findings and returns an error if one of them is bad.
func (a *app) report(found []doctor.Finding) error {
	worst := doctor.Worst(found)
	if a.structured() {
		if err := a.value(doctorReport{Worst: worst, Findings: found}); err != nil {
			return err
		}
	} else if err := a.findings(found); err != nil {
		return err
	}
	if worst != doctor.Bad {
		return nil
	}
	bad := 0
	for _, f := range found {
		if f.Severity == doctor.Bad {
			bad++
		}
	}
	return &failure{code: exitError, kind: "unwell", text: fmt.Sprintf("%s out of %d", plural(bad, "bad finding"),
		len(found)), hint: pick(bad == 1, "the last column shows how to fix it", "the last column shows how to fix each")}
}

// findings prints the findings as a table without cutting columns, because the last column holds the command to run.
func (a *app) findings(found []doctor.Finding) error {
	t, columns := doctor.FindingsTable(found), explain.Unlimited
	if a.output == "" && !isTerminal(a.Out) {
		columns, t.Header = 0, nil
	}
	if err := t.Write(a.Out, columns); err != nil {
		return fmt.Errorf("write to stdout: %w", err)
	}
	return nil
}

// examineServers asks all known servers concurrently and checks the connections to them.
func (a *app) examineServers(ctx context.Context) (found []doctor.Finding) {
	t, found := a.clientSettings()
	probes := make([]probe, len(t.servers))
	var all sync.WaitGroup
	for i, address := range t.servers {
		all.Go(func() { probes[i] = a.probe(ctx, address, t) })
	}
	all.Wait()
	others := slices.ContainsFunc(probes, func(v probe) bool { return v.answered() })
	listed := "" // the file that the addresses come from
	if len(a.servers) == 0 {
		listed, _ = config.ContextsPath()
	}
	found = append(found, differentLogs(probes, listed)...)
	var reported []doctor.Finding // by servers, each once
	for _, v := range probes {
		found = append(found, v.findings(Version(), others, listed)...)
		for _, f := range v.checkup.Findings {
			switch {
			case slices.Contains(reported, f):
				continue
			case len(reported) > 0 && v.address != probes[0].address:
				f.Text = v.address + ": " + f.Text
			}
			reported = append(reported, f)
		}
	}
	return append(found, reported...)
}

// clientSettings returns the servers, token and certificate authorities that other commands use. Unlike connect, it
// does not wait for a server that is starting.
func (a *app) clientSettings() (t target, found []doctor.Finding) {
	var current *config.Context
	if path, err := config.ContextsPath(); err == nil {
		all, err := config.ReadContexts(path)
		named := ""
		if len(a.servers) > 0 {
			named = a.servers[0]
		}
		current = all.For(named)
		switch {
		case err != nil:
			found = append(found, doctor.Unreadable(err.Error(), "mv "+path+" "+path+".bad && drover server"))
		case current == nil && a.token == "":
			found = append(found, doctor.NoContext(path))
		}
	}
	t, err := a.target(current)
	if err != nil {
		f := asFailure(err)
		found = append(found, doctor.Unreadable(f.text, cmp.Or(f.hint, "drover doctor --help")))
	}
	return t, found
}

// examineLog opens a log and runs the checks of a server on it.
func (a *app) examineLog(ctx context.Context, address string) []doctor.Finding {
	// The command must not contain the password, because users share findings.
	verify := "drover eventlog verify --log " + server.Redacted(address)
	opened, err := a.openLog(ctx, address)
	if err != nil {
		f := doctor.Unreadable(asFailure(err).text, verify)
		f.Check = "log"
		return []doctor.Finding{f}
	}
	defer opened.Close()
	seen, err := a.seenBy(ctx, opened, address, "")
	if err != nil {
		return []doctor.Finding{doctor.Unreadable(err.Error(), verify)}
	}
	e, err := engine.Open(ctx, engine.Config{Log: opened, Clock: clock.New(), Server: ids.New(), Witness: readOnly(seen)})
	if err != nil {
		f := doctor.Unreadable(err.Error(), verify)
		f.Check = "log"
		return []doctor.Finding{f}
	}
	vitals := doctor.Vitals{Now: clock.New().Now(), Self: domain.ID{}, Version: Version(),
		Storage: server.StorageOf(address, ""),
		Log:     doctor.TailVitals(eventlog.VerifyTail(ctx, opened, e.TailStart(doctor.TailEvents), doctor.MaxTailEvents))}
	if err := e.LostEvents(); err != nil {
		vitals.LostEvents = err.Error()
	}
	var checkup doctor.Checkup
	e.ReadWithAge(func(v *projections.View, age projections.Age) { checkup = doctor.Examine(v, age, vitals) })
	return checkup.Findings
}
