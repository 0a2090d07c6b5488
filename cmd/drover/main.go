// Command drover is server, agent and command line in one program.
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
