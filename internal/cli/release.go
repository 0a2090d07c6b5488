package cli

import (
	"context"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/explain"
)

func releaseVerb(a *app) *cobra.Command {
	return parent("release", "Create, show and retire releases",
		"A release is an immutable copy of the steps and variables of a project, under a version.",
		releaseCreateVerb(a), releaseShowVerb(a), releaseRetireVerb(a), releaseRestoreVerb(a))
}

// releaseRequest is the body of POST /projects/NAME/releases.
type releaseRequest struct {
	Version string `json:"version"`
	domain.ReleaseDetails
}

func releaseCreateVerb(a *app) *cobra.Command {
	var details domain.ReleaseDetails
	var variables []string
	var file string
	cmd := verb{
		exits: writeExits(exits{exitMissing: "the project does not exist",
			exitConflict: "the version exists with other content, or the project has no steps"}),
		use: "create PROJECT VERSION", short: "Create a release of a project",
		long: "Create a release: an immutable copy of the current steps and variables of a project, under a\n" +
			"version. --variable sets a variable for this release alone, in every environment. Notes, commit and\n" +
			"URL describe the release to people; `drover release show` prints them.\n\n" +
			"Creating the same release again changes nothing. A version that exists with other steps, variables,\n" +
			"secrets, notes, commit or URL is a conflict.",
		example: "drover release create shop 1.4.3\n" +
			"drover release create shop 1.4.4 --variable PORT=8080 --commit 9f3c2e1 -F CHANGES.md",
		run: func(ctx context.Context, args []string) error {
			var wrong string
			if details.Variables, wrong = domain.ParseVariables(variables); wrong != "" {
				return usage("invalid --variable %s: use NAME=VALUE, each name once", quoted(wrong))
			}
			if file != "" {
				notes, err := a.notes(file)
				if err != nil {
					return err
				}
				details.Notes = notes
			}
			written, err := a.command(ctx, client.Path("projects", args[0], "releases"), releaseRequest{args[1], details})
			if err != nil {
				return err
			}
			return a.wrote(written, "release "+args[1]+" of "+args[0]+pick(unchanged(written), " already exists", " is created"))
		},
	}.command()
	flags := cmd.Flags()
	flags.StringArrayVar(&variables, "variable", nil, "set a variable for this release alone: `NAME=VALUE`; repeatable")
	flags.StringVar(&details.Notes, "notes", "", "`TEXT` that describes what changed")
	flags.StringVarP(&file, "notes-file", "F", "", "read the notes from this `FILE`; -: from stdin")
	flags.StringVar(&details.Commit, "commit", "", "`COMMIT` of the source")
	flags.StringVar(&details.URL, "url", "", "`URL` with more information about the release")
	cmd.MarkFlagsMutuallyExclusive("notes", "notes-file")
	return cmd
}

func releaseShowVerb(a *app) *cobra.Command {
	return verb{
		exits: readExits(exits{exitMissing: "the release does not exist"}),
		use:   "show PROJECT VERSION", short: "Show what a release contains",
		long: "Show a release: who created it and when, its notes, its variables and names of secrets with their\n" +
			"origins, and the scripts of its steps. If a variable has several rows, each row overrides the rows\n" +
			"above it. `drover variables` shows what one machine gets.",
		example: "drover release show shop 1.4.3\n" +
			"drover release show shop 1.4.3 -o yaml",
		run: func(ctx context.Context, args []string) error {
			if a.structured() {
				return a.getOne(ctx, releaseKind, args[1], args[0], "", false)
			}
			text, _, err := a.describeRelease(ctx, client.Path(releaseKind.plural, args[0], args[1]), "")
			if err != nil {
				return err
			}
			return a.printRaw(text)
		},
	}.command()
}

func releaseRetireVerb(a *app) *cobra.Command {
	var reason string
	cmd := verb{
		exits: writeExits(exits{exitMissing: "the project or release does not exist",
			exitConflict: "the release is wanted or pinned in an environment, or it is being deployed"}),
		use: "retire PROJECT VERSION --reason TEXT", short: "Make a release undeployable",
		long: "Retire a release, for example because its version is mistyped or its steps are wrong. It stays in\n" +
			"lists and in the event log, but it cannot be deployed, pinned or rolled back to. `drover rollback`\n" +
			"skips it. Machines that have the release keep it.\n\n" +
			"A release that is wanted or pinned in an environment, or that is being deployed, cannot be retired.\n" +
			"`drover release restore` makes a retired release deployable again.",
		example: `drover release retire shop 14.3 --reason "mistyped: this is 1.4.3"`,
		run: func(ctx context.Context, args []string) error {
			written, err := a.command(ctx, client.Path(releaseKind.plural, args[0], args[1], "retire"),
				map[string]string{"reason": reason})
			if err != nil {
				return err
			}
			return a.wrote(written, "release "+args[1]+" of "+args[0]+" is retired")
		},
	}.command()
	cmd.Flags().StringVar(&reason, "reason", "", "`TEXT` that says why nobody should deploy the release")
	return cmd
}

func releaseRestoreVerb(a *app) *cobra.Command {
	var reason string
	yes := &consent{app: a}
	cmd := verb{
		exits: writeExits(exits{exitMissing: "the project or release does not exist"}),
		use:   "restore PROJECT VERSION", short: "Make a retired release deployable again",
		long: "Make a retired release deployable again, for example because the wrong one was retired. A machine\n" +
			"that is held at the release, but was replaced and does not have it, can then get it." + consentHelp,
		example: `drover release restore shop 1.4.3 --reason "retired the wrong one"`,
		run: func(ctx context.Context, args []string) error {
			return a.postPrinting(ctx, yes, client.Path(releaseKind.plural, args[0], args[1], "restore"),
				map[string]string{"reason": reason}, "release "+args[1]+" of "+args[0]+" is deployable")
		},
	}.command()
	cmd.Flags().StringVar(&reason, "reason", "", "record this `TEXT` in the event log as the reason")
	yes.flag(cmd)
	return cmd
}

// describeRelease returns what a release contains as text.
func (a *app) describeRelease(ctx context.Context, path, after string) (text, position string, err error) {
	var r explain.Release
	if position, err = a.readAt(ctx, path, query("after", after), &r); err != nil {
		return "", "", err
	}
	text = explain.ReleaseText(r)
	if r.Spec == nil {
		return text, position, nil
	}
	if table := explain.ReleaseVariablesTable(r); len(table.Rows) > 0 {
		t := tableWriter{style: a.style()}
		text += "\n" + t.draw(table)
	}
	return text + explain.ReleaseStepsText(r.Spec.Steps), position, nil
}

// notes reads the notes of a release, without the line breaks at their end.
func (a *app) notes(path string) (string, error) {
	input := a.In
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return "", invalid("%v", err)
		}
		defer file.Close()
		input = file
	}
	text, err := io.ReadAll(io.LimitReader(input, 4*domain.MaxNotesBytes))
	if err != nil {
		return "", invalid("read the notes: %v", err)
	}
	return strings.TrimRight(string(text), "\r\n"), nil
}
