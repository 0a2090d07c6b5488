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

// examined is what `doctor -o json` prints.
type examined struct {
	Worst    doctor.Severity  `json:"worst"`
	Findings []doctor.Finding `json:"findings"`
}

func doctorVerb(s *shell) *cobra.Command {
	var log, data string
	cmd := verb{
		exits: alone(exits{exitOK: "nothing is bad", exitError: "something is bad, or the findings could not be written"}),
		use:   "doctor", short: "Look for what is wrong, and say what to do",
		long: "Look for what is wrong, and say what to do: the way to the servers, TLS, clocks, disk, the log, versions, servers that\n" +
			"have gone, names of what does not exist, machines that are behind or offline for long, releases that no machine\n" +
			"can take, agents that are refused again and again, tokens that expire or have no bounds, and what is\n" +
			"pinned or held for long. Nothing is changed.\n\n" +
			"Each line is ok, warn or bad, what was seen, and a command that fixes it. The exit code is 1 if something is bad, else 0.\n" +
			"A server that does not answer is said, and what can be seen from here is looked at. With --log the log itself is\n" +
			"looked at, while its server is stopped.",
		example: "drover doctor\ndrover doctor -o json | jq -r '.findings[] | select(.severity != \"ok\") | .do'\ndrover doctor --log sqlite:/var/lib/drover/drover.db",
	}.command()
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := config.Fill(cmd.Flags(), []string{"data"}, s.files); err != nil {
			return invalid("%v", err)
		}
		found := s.examineFiles(data)
		if log != "" {
			found = append(found, s.examineLog(cmd.Context(), log)...)
		} else {
			found = append(s.examineServers(cmd.Context()), found...)
		}
		if err := cmd.Context().Err(); err != nil {
			return err
		}
		return s.examined(once(found))
	}
	cmd.Flags().StringVar(&log, "log", "", "look at the log at this `URL` instead of asking a server")
	cmd.Flags().StringVar(&data, "data", "", "`FOLDER` of the server's or agent's files on this machine; default: as theirs")
	return cmd
}

// once leaves out what two of them found alike: a server on this machine sees the same disk.
func once(found []doctor.Finding) (kept []doctor.Finding) {
	for _, f := range found {
		if !slices.Contains(kept, f) {
			kept = append(kept, f)
		}
	}
	return kept
}

// examined prints the findings, and fails the command if one of them is bad.
func (s *shell) examined(found []doctor.Finding) error {
	worst := doctor.Worst(found)
	if s.structured() {
		if err := s.value(examined{Worst: worst, Findings: found}); err != nil {
			return err
		}
	} else if err := s.findings(found); err != nil {
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
	return &failure{code: exitError, kind: "unwell", text: fmt.Sprintf("something is bad: %d of %s", bad, plural(len(found), "finding")), hint: "its line says what to do"}
}

// findings draws them as a table of which nothing is cut: what is to be done stands at the end of a line.
func (s *shell) findings(found []doctor.Finding) error {
	t, columns := doctor.FindingsTable(found), explain.Unlimited
	if s.output == "" && !isTerminal(s.Out) {
		columns, t.Header = 0, nil
	}
	if err := t.Write(s.Out, columns); err != nil {
		return fmt.Errorf("write to stdout: %w", err)
	}
	return nil
}

// examineServers asks every server that is known, all at once, and looks at the way to them.
func (s *shell) examineServers(ctx context.Context) (found []doctor.Finding) {
	servers, token, ca, found := s.known()
	visits := make([]visit, len(servers))
	var all sync.WaitGroup
	for i, address := range servers {
		all.Go(func() { visits[i] = s.visit(ctx, address, token, ca) })
	}
	all.Wait()
	others := slices.ContainsFunc(visits, func(v visit) bool { return v.answered() })
	listed := "" // where the addresses come from
	if len(s.servers) == 0 {
		listed, _ = config.ContextsPath()
	}
	found = append(found, doubles(visits, listed)...)
	var told []doctor.Finding // by servers, each once
	for _, v := range visits {
		found = append(found, v.findings(Version(), others, listed)...)
		for _, f := range v.checkup.Findings {
			switch {
			case slices.Contains(told, f):
				continue
			case len(told) > 0 && v.address != visits[0].address:
				f.Seen = v.address + ": " + f.Seen
			}
			told = append(told, f)
		}
	}
	return append(found, told...)
}

// known are the servers, the token and the authorities that another command would use, without any wait for a server that
// is only just starting.
func (s *shell) known() (servers []string, token, ca string, found []doctor.Finding) {
	servers, token, ca = s.servers, s.token, s.ca
	if path, err := config.ContextsPath(); err == nil {
		all, err := config.ReadContexts(path)
		named := ""
		if len(servers) > 0 {
			named = servers[0]
		}
		switch c := all.For(named); {
		case err != nil:
			found = append(found, doctor.Unreadable(err.Error(), "mv "+path+" "+path+".bad && drover server"))
		case c != nil:
			servers, token, ca = or(servers, c.Servers), cmp.Or(token, c.Token), cmp.Or(ca, c.CA)
		case token == "":
			found = append(found, doctor.NoContext(path))
		}
	}
	return or(servers, []string{"http://" + server.DefaultListen}), token, ca, found
}

// examineLog opens a log and looks at it as a server would.
func (s *shell) examineLog(ctx context.Context, address string) []doctor.Finding {
	verify := "drover eventlog verify --log " + server.Redacted(address) // findings are pasted into other people's windows
	opened, err := s.openLog(ctx, address)
	if err != nil {
		f := doctor.Unreadable(asFailure(err).text, verify)
		f.Check = "log"
		return []doctor.Finding{f}
	}
	defer opened.Close()
	e, err := engine.Open(ctx, engine.Config{Log: opened, Clock: clock.New(), Server: ids.New()})
	if err != nil {
		f := doctor.Unreadable(err.Error(), verify)
		f.Check = "log"
		return []doctor.Finding{f}
	}
	vitals := doctor.Vitals{Now: clock.New().Now(), Self: domain.ID{}, Version: Version(), Storage: server.StorageOf(address, ""),
		Log: doctor.LogOf(eventlog.VerifyTail(ctx, opened, e.TailStart(doctor.TailEvents), doctor.TailMost))}
	var checkup doctor.Checkup
	e.ReadWithAge(func(v *projections.View, age projections.Age) { checkup = doctor.Examine(v, age, vitals) })
	return checkup.Findings
}
