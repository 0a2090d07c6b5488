package cli

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/api/resource"
	"github.com/droverhq/drover/explain"
)

// document is one file of an apply request.
type document struct {
	File string `json:"file"`
	Text string `json:"text"`
}

// applyResponse is the answer to an apply request.
type applyResponse struct {
	Results  []applyResult `json:"results"`
	Position string        `json:"position"`
	Due      []string      `json:"due"`
	// Effects is nil after an apply, and from a server that is older than this field.
	Effects *explain.Effects `json:"effects,omitempty"`
}

type applyResult struct {
	Kind   string   `json:"kind"`
	Name   string   `json:"name"`
	Change string   `json:"change"` // created, changed, unchanged
	Diff   []string `json:"diff"`
	// Changes is nil if the server is older than this field.
	Changes []resource.Delta `json:"changes"`
	// Effects are nil for an unchanged resource, if many resources change, and from an older server.
	Effects *explain.Effects `json:"effects,omitempty"`
}

func applyVerb(a *app) *cobra.Command {
	return filesVerb(a, verb{
		exits: writeExits(exits{exitError: "a file is invalid, or no server answered",
			exitMissing: "a resource that a file refers to was deleted in the meantime"}),
		use: "apply -f FILE|DIR|-", short: "Create or update resources from files",
		long: "Create or update environments, machine policies, projects, triggers and machines from YAML\n" +
			"files.\n\n" +
			"All documents are checked first, also against each other; their order does not matter. If one is\n" +
			"invalid, none is written. The output lists each resource as created, changed or unchanged, and\n" +
			"which deployments become due." + applyConsentHelp,
		example: "drover apply -f examples/shop\n" +
			"cat shop.yaml | drover apply -f -",
	}, false)
}

func diffVerb(a *app) *cobra.Command {
	return filesVerb(a, verb{
		exits: readExits(exits{exitError: "a file is invalid, or no server answered"}),
		use:   "diff -f FILE|DIR|-", short: "Show what drover apply would change",
		long: "Show what `drover apply` would change for the same files, field by field, and which deployments\n" +
			"each change would make due, after the changes above it. If more than 8 resources change, show only\n" +
			"which deployments all changes together would make due. Nothing is written.",
		example: "drover diff -f examples/shop",
	}, true)
}

func filesVerb(a *app, v verb, dry bool) *cobra.Command {
	var files []string
	yes := &consent{app: a}
	v.run = func(ctx context.Context, _ []string) error {
		documents, err := a.documents(files)
		if err != nil {
			return err
		}
		var answer applyResponse
		body := map[string]any{"documents": documents, "dryRun": dry}
		if !dry && isTerminal(a.In) && !yes.yes { // the only case in which a question is possible
			if err := a.askBeforeApply(ctx, yes, documents); err != nil {
				return err
			}
		}
		if err := a.post(ctx, client.Path("apply"), body, &answer); err != nil {
			return err
		}
		return a.printApplied(answer, dry)
	}
	cmd := v.command()
	if !dry {
		yes.flag(cmd)
	}
	cmd.Flags().StringArrayVarP(&files, "filename", "f", nil,
		"`FILE` to read, a folder with *.yaml and *.yml files whose names begin with no dot, or - for stdin; repeatable")
	return cmd
}

// askBeforeApply asks whether to apply files that give machines an older release.
func (a *app) askBeforeApply(ctx context.Context, yes *consent, documents []document) error {
	var foreseen applyResponse
	err := a.post(ctx, client.Path("apply"), map[string]any{"documents": documents, "dryRun": true}, &foreseen)
	if err != nil || foreseen.Effects == nil { // an older server does not say which releases are older
		return err
	}
	if foreseen.Effects.Older > 0 {
		a.printEffects("", *foreseen.Effects)
	}
	return yes.ask(*foreseen.Effects)
}

// documents reads and checks the files, so that most mistakes are found without a server.
func (a *app) documents(paths []string) ([]document, error) {
	var all []document
	stdin, err := a.stdin(paths)
	if err != nil {
		return nil, err
	}
	if _, err := resource.Load(paths, strings.NewReader(stdin)); err != nil {
		return nil, &failure{code: exitError, kind: client.Invalid, text: err.Error()}
	}
	files, err := expand(paths)
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		if file == resource.Stdin {
			all = append(all, document{File: "stdin", Text: stdin})
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, invalid("%v", err)
		}
		all = append(all, document{File: file, Text: string(text)})
	}
	return all, nil
}

func (a *app) stdin(paths []string) (string, error) {
	if !slices.Contains(paths, resource.Stdin) {
		return "", nil
	}
	text, err := io.ReadAll(io.LimitReader(a.In, resource.MaxInputBytes+1))
	if err != nil {
		return "", invalid("read stdin: %v", err)
	}
	return string(text), nil
}

// expand replaces each folder with its YAML files, as resource.Load does.
func expand(paths []string) ([]string, error) {
	var files []string
	for _, path := range paths {
		found := []string{path}
		if info, err := os.Stat(path); path != resource.Stdin && err == nil && info.IsDir() {
			entries, err := os.ReadDir(path)
			if err != nil {
				return nil, invalid("%v", err)
			}
			found = nil
			for _, entry := range entries {
				if resource.IsResourceFile(entry) {
					found = append(found, filepath.Join(path, entry.Name()))
				}
			}
		}
		for _, file := range found {
			if file != resource.Stdin {
				file = filepath.Clean(file)
			}
			if !slices.Contains(files, file) {
				files = append(files, file)
			}
		}
	}
	return files, nil
}

func (a *app) printApplied(response applyResponse, dry bool) error {
	if a.structured() {
		return a.value(response)
	}
	each := false // the effects are printed below each resource
	for _, r := range response.Results {
		if dry && r.Change == "unchanged" {
			continue
		}
		if err := a.print(r.text(a.output == formatName, dry)); err != nil {
			return err
		}
		if r.Effects != nil {
			each = true
			a.printEffects("  ", *r.Effects)
			if r.changesReleases() {
				a.info("  existing releases keep their steps, variables and secrets; the next release gets the new ones")
			}
		}
	}
	switch {
	case each:
	case dry && response.Effects != nil:
		a.printEffects("", *response.Effects)
	default:
		for _, d := range response.Due {
			a.info("%s", d)
		}
	}
	if dry && !slices.ContainsFunc(response.Results, func(r applyResult) bool { return r.Change != "unchanged" }) {
		a.info("nothing would change")
	}
	return nil
}

// changesReleases reports whether an existing project changes in what releases copy.
func (r applyResult) changesReleases() bool {
	return r.Kind == string(resource.Project) && r.Change == "changed" &&
		slices.ContainsFunc(r.Changes, func(d resource.Delta) bool {
			return strings.HasPrefix(d.Path, "spec.steps") || strings.Contains(d.Path, ".variables") ||
				strings.Contains(d.Path, ".secrets")
		})
}

// text describes what an apply did, or would do, to one resource.
func (r applyResult) text(nameOnly, dry bool) string {
	name := strings.ToLower(r.Kind) + "/" + r.Name
	switch {
	case nameOnly:
		return name + "\n"
	case dry && r.Change == "created":
		return "+ " + name + "\n" + r.changesText()
	case dry:
		return "~ " + name + "\n" + r.changesText()
	case r.Change == "changed":
		return name + " changed\n" + r.changesText()
	}
	return name + " " + r.Change + "\n"
}

func (r applyResult) changesText() string {
	if r.Changes != nil {
		return changesText(r.Changes)
	}
	var b strings.Builder
	for _, line := range r.Diff {
		b.WriteString("    " + line + "\n")
	}
	return b.String()
}
