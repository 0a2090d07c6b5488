package run

import (
	"os"
	"os/user"
	"strconv"
	"strings"
)

// withHome adds HOME if environ has none or an empty one. systemd sets no HOME for a service without User=, and many
// programs fail without it.
func withHome(environ []string) []string {
	home := ""
	for _, entry := range environ { // the last entry applies
		if value, ok := strings.CutPrefix(entry, "HOME="); ok {
			home = value
		}
	}
	if home != "" {
		return environ
	}
	return append(environ, "HOME="+homeFolder())
}

// homeFolder returns the home of this process's user, or "/" if the system knows none, as containers do.
func homeFolder() string {
	if of, err := user.LookupId(strconv.Itoa(os.Geteuid())); err == nil && of.HomeDir != "" {
		return of.HomeDir
	}
	return "/"
}
