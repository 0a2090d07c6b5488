package config

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// ClientFlags are the flags of all commands that send requests to a server.
var ClientFlags = []string{"server", "token", "output", "ca", "accept-server"}

// Variable returns the environment variable of a flag.
func Variable(flag string) string {
	return "DROVER_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// Fill sets the named flags that are not on the command line: from their environment variables, or else from the config
// file. It ignores flags that the set does not have, and empty variables.
func Fill(flags *pflag.FlagSet, names []string, file File) error {
	for _, name := range names {
		flag := flags.Lookup(name)
		if flag == nil || flag.Changed {
			continue
		}
		if text := os.Getenv(Variable(name)); text != "" {
			if err := flags.Set(name, text); err != nil {
				return fmt.Errorf("environment variable %s: %w", Variable(name), cause(err))
			}
			continue
		}
		if err := file.fill(flags, name); err != nil {
			return err
		}
	}
	return nil
}

func (f File) fill(flags *pflag.FlagSet, name string) error {
	found := f.values[name]
	if list, ok := flags.Lookup(name).Value.(pflag.SliceValue); ok && len(found.texts) > 0 {
		flags.Lookup(name).Changed = true
		return list.Replace(slices.Clone(found.texts))
	}
	if len(found.texts) > 1 {
		return fmt.Errorf("%s:%d: key %q takes one value, not %d", f.Path, found.line, name, len(found.texts))
	}
	for _, text := range found.texts {
		if err := flags.Set(name, text); err != nil {
			return fmt.Errorf("%s:%d: key %q: %w", f.Path, found.line, name, cause(err))
		}
	}
	return nil
}

// cause returns why a flag rejects a value, without pflag's description of the source of the value.
func cause(err error) error {
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) {
		return fmt.Errorf("invalid value %.80q: %s", invalid.GetValue(), ValueHint(invalid.GetFlag()))
	}
	return err
}

// ValueHint returns a hint that states the values that a flag accepts.
func ValueHint(flag *pflag.Flag) string {
	switch flag.Value.Type() {
	case "int":
		return "use a whole number, such as 10"
	case "duration":
		return "use a duration, such as 30s, 10m or 24h"
	case "bool":
		return "use true or false"
	case "NUMBER": // of machines, in the command line
		return "use a whole number such as 16, or a percentage such as 25%"
	case "SIZES":
		return "use the sizes of the waves, such as 1,10%,50%"
	}
	return "use a " + flag.Value.Type()
}
