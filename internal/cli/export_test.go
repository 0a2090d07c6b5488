package cli

import (
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// Tree is the tree of all commands, for tests.
func Tree() *cobra.Command {
	root := (&shell{Program: Program{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard}}).root()
	root.InitDefaultHelpCmd()
	return root
}

// ExitsKey is where a command keeps its exit codes.
const ExitsKey = exitsKey

// Commands are all that people may know of.
func Commands() []*cobra.Command { return tree(Tree()) }

// Reference is docs/reference/commands.md.
func Reference() string { return reference(Tree()) }
