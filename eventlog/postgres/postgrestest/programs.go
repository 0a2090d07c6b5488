package postgrestest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// ErrMissing means that PostgreSQL is not installed.
var ErrMissing = errors.New("PostgreSQL is not installed")

// folders are the patterns of the folders, in addition to PATH, where distributions install the server programs.
var folders = []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin",
	"/usr/local/opt/postgresql*/bin"}

// programs returns the folder with the programs of a PostgreSQL server.
func programs() (string, error) {
	if found, err := exec.LookPath("initdb"); err == nil {
		if found, err = filepath.EvalSymlinks(found); err == nil {
			return filepath.Dir(found), nil
		}
	}
	for _, pattern := range folders {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return "", err
		}
		slices.Sort(found)
		for _, folder := range slices.Backward(found) {
			if _, err := os.Stat(filepath.Join(folder, "initdb")); err == nil {
				return folder, nil
			}
		}
	}
	return "", fmt.Errorf("%w: initdb was not found on PATH and in the usual folders; install the package postgresql",
		ErrMissing)
}

// run runs a program to its end, as the user of the server.
func run(folder, program string, arguments ...string) error {
	command := exec.Command(filepath.Join(folder, program), arguments...)
	command.Dir = os.TempDir()
	if err := runAsAccount(command); err != nil {
		return err
	}
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", program, err, out)
	}
	return nil
}
