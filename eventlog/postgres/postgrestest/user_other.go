//go:build !unix

package postgrestest

import (
	"errors"
	"os"
	"os/exec"
)

var errSystem = errors.New("a PostgreSQL for tests is started on Unix alone")

func become(*exec.Cmd) error { return errSystem }

func give(string) error { return errSystem }

var signals = map[Mode]os.Signal{}
