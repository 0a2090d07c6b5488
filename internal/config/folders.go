package config

import (
	"fmt"
	"os"
	"path/filepath"
)

// SystemData is the data folder of root.
const SystemData = "/var/lib/drover"

// Data is the folder that server and agent keep their files in unless they are told another.
func Data() (string, error) {
	if os.Geteuid() == 0 {
		return SystemData, nil
	}
	return home("XDG_DATA_HOME", ".local", "share")
}

// Folder is where the client's own files are.
func Folder() (string, error) { return home("XDG_CONFIG_HOME", ".config") }

// home is drover's folder below the one that variable names, or that is in HOME by custom.
func home(variable string, custom ...string) (string, error) {
	if root := os.Getenv(variable); filepath.IsAbs(root) { // the standard says to pass over a relative one
		return filepath.Join(root, "drover"), nil
	}
	root, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("no home folder is known: set HOME or %s: %w", variable, err)
	}
	return filepath.Join(append(append([]string{root}, custom...), "drover")...), nil
}
