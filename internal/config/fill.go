package config

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// ClientFlags are those of every command that asks a server.
var ClientFlags = []string{"server", "token", "output", "ca"}

// Variable is the environment variable of a flag.
func Variable(flag string) string {
	return "DROVER_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// Fill gives the named flags that were not given on the command line the value of their environment
// variable, else that of the config file. A flag that the set does not have, and an empty variable, are passed over.
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

// cause is what is wrong with a value, without pflag's words for where it came from.
func cause(err error) error {
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) {
		return fmt.Errorf("invalid value %.80q: %s", invalid.GetValue(), Takes(invalid.GetFlag()))
	}
	return err
}

// Takes says which values a flag takes.
func Takes(flag *pflag.Flag) string {
	switch flag.Value.Type() {
	case "int":
		return "use a whole number, such as 10"
	case "duration":
		return "use a duration, such as 30s, 10m or 24h"
	case "bool":
		return "use true or false"
	}
	return "use a " + flag.Value.Type()
}
