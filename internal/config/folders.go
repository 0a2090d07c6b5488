package config

import (
	"fmt"
	"os"
	"path/filepath"
)

// SystemData is the data folder for root.
const SystemData = "/var/lib/drover"

// Data returns the default folder for the files of server and agent.
func Data() (string, error) {
	if os.Geteuid() == 0 {
		return SystemData, nil
	}
	return home("XDG_DATA_HOME", ".local", "share")
}

// Folder returns the folder of the client's files.
func Folder() (string, error) { return home("XDG_CONFIG_HOME", ".config") }

// home returns drover's folder in the folder that a variable names, or else in the usual folder in HOME.
func home(variable string, custom ...string) (string, error) {
	if root := os.Getenv(variable); filepath.IsAbs(root) { // the XDG standard ignores a relative path
		return filepath.Join(root, "drover"), nil
	}
	root, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("unknown home folder: set HOME or %s: %w", variable, err)
	}
	return filepath.Join(append(append([]string{root}, custom...), "drover")...), nil
}
