// Command drover is the server, the agent and the command line client of drover.
package main

import (
	"context"
	"os"

	"github.com/droverhq/drover/internal/cli"
)

func main() {
	os.Exit(cli.Run(context.Background(), cli.Program{
		Args: os.Args[1:], In: os.Stdin, Out: os.Stdout, Err: os.Stderr,
	}))
}
