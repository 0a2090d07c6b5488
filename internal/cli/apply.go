package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/api/resource"
)

// document is one file on its way to the server.
type document struct {
	File string `json:"file"`
	Text string `json:"text"`
}

// applied is the answer to apply.
type applied struct {
	Results  []appliedResult `json:"results"`
	Position string          `json:"position"`
	Due      []string        `json:"due"`
}

type appliedResult struct {
	Kind   string   `json:"kind"`
	Name   string   `json:"name"`
	Change string   `json:"change"` // created, changed, unchanged
	Diff   []string `json:"diff"`
}

func applyVerb(s *shell) *cobra.Command {
	return filesVerb(s, verb{
		exits: writes(exits{exitError: "a file holds a mistake, or no server answers", exitMissing: "something that a file names was deleted meanwhile"}),
		use:   "apply -f FILE|DIR|-", short: "Bring what is kept in files into the log",
		long: "Bring environments, machine policies, projects, triggers and machines to what files say.\n\n" +
			"All documents are checked, in any order and against each other, before the first is written.\nYou are told what becomes due by it.",
		example: "drover apply -f examples/shop\ncat shop.yaml | drover apply -f -",
	}, false)
}

func diffVerb(s *shell) *cobra.Command {
	return filesVerb(s, verb{
		exits: asks(exits{exitError: "a file holds a mistake, or no server answers"}),
		use:   "diff -f FILE|DIR|-", short: "Show what apply would change",
		long: "Show what `drover apply` would change and make due. Nothing is written.", example: "drover diff -f examples/shop",
	}, true)
}

func filesVerb(s *shell, v verb, dry bool) *cobra.Command {
	var files []string
	v.run = func(ctx context.Context, _ []string) error {
		documents, err := s.documents(files)
		if err != nil {
			return err
		}
		var answer applied
		body := map[string]any{"documents": documents, "dryRun": dry}
		if err := s.post(ctx, client.Path("apply"), body, &answer); err != nil {
			return err
		}
		return s.applied(answer, dry)
	}
	cmd := v.command()
	cmd.Flags().StringArrayVarP(&files, "filename", "f", nil, "a `FILE`, all *.yaml and *.yml of a folder, or - for stdin; may be repeated")
	return cmd
}

// documents reads the files, and checks each of them here already: most mistakes need no server.
func (s *shell) documents(paths []string) ([]document, error) {
	var all []document
	stdin, err := s.stdin(paths)
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

func (s *shell) stdin(paths []string) (string, error) {
	if !slices.Contains(paths, resource.Stdin) {
		return "", nil
	}
	text, err := io.ReadAll(io.LimitReader(s.In, resource.MaxInputBytes+1))
	if err != nil {
		return "", invalid("read stdin: %v", err)
	}
	return string(text), nil
}

// expand replaces folders by their files, as resource.Load does.
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
				if ext := strings.ToLower(filepath.Ext(entry.Name())); !entry.IsDir() && (ext == ".yaml" || ext == ".yml") {
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

func (s *shell) applied(a applied, dry bool) error {
	if s.structured() {
		return s.value(a)
	}
	for _, r := range a.Results {
		if dry && r.Change == "unchanged" {
			continue
		}
		line := fmt.Sprintf("%s/%s %s\n", strings.ToLower(r.Kind), r.Name, r.Change)
		if s.output == formatName {
			line = fmt.Sprintf("%s/%s\n", strings.ToLower(r.Kind), r.Name)
		}
		if dry || r.Change == "changed" {
			for _, d := range r.Diff {
				line += "  " + d + "\n"
			}
		}
		if err := s.print(line); err != nil {
			return err
		}
	}
	for _, d := range a.Due {
		s.say("%s", d)
	}
	if dry && !slices.ContainsFunc(a.Results, func(r appliedResult) bool { return r.Change != "unchanged" }) {
		s.say("nothing would change")
	}
	return nil
}
