//go:build !unix

package postgrestest

import (
	"errors"
	"os"
	"os/exec"
)

var errSystem = errors.New("PostgreSQL for tests is supported on Unix only")

func runAsAccount(*exec.Cmd) error { return errSystem }

func chownToAccount(string) error { return errSystem }

var signals = map[Mode]os.Signal{}
