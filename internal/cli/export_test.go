package cli

import (
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// Tree returns the tree of all commands.
func Tree() *cobra.Command {
	root := (&app{Program: Program{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard}}).root()
	root.InitDefaultHelpCmd()
	return root
}

// ExitsKey is the annotation of a command that holds its exit codes.
const ExitsKey = exitsKey

// Commands returns all visible commands.
func Commands() []*cobra.Command { return tree(Tree()) }

// Reference returns the content of docs/reference/commands.md.
func Reference() string { return reference(Tree()) }

// ReplaceText replaces the text of a scenario file.
func ReplaceText(path, was, text string) error { return replaceText(path, was, text) }
