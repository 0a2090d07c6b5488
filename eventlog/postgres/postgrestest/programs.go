package postgrestest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// ErrMissing says that there is no PostgreSQL on this machine.
var ErrMissing = errors.New("there is no PostgreSQL here")

// places are where distributions put the server's programs beside PATH.
var places = []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin", "/usr/local/opt/postgresql*/bin"}

// programs returns the folder that holds the programs of one PostgreSQL.
func programs() (string, error) {
	if found, err := exec.LookPath("initdb"); err == nil {
		if found, err = filepath.EvalSymlinks(found); err == nil {
			return filepath.Dir(found), nil
		}
	}
	for _, place := range places {
		folders, err := filepath.Glob(place)
		if err != nil {
			return "", err
		}
		slices.Sort(folders)
		for _, folder := range slices.Backward(folders) {
			if _, err := os.Stat(filepath.Join(folder, "initdb")); err == nil {
				return folder, nil
			}
		}
	}
	return "", fmt.Errorf("%w: initdb is neither on PATH nor where it is usually installed; install the package postgresql", ErrMissing)
}

// run runs one program to its end, as the user that the server runs as.
func run(folder, program string, arguments ...string) error {
	command := exec.Command(filepath.Join(folder, program), arguments...)
	command.Dir = os.TempDir()
	if err := become(command); err != nil {
		return err
	}
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", program, err, out)
	}
	return nil
}
