package run

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
)

// maxSecretsBytes bounds the secrets file.
const maxSecretsBytes = 1 << 20

// ReadSecrets returns the values of names from the secrets file at path. Each line has the form KEY=VALUE, where the
// value extends to the end of the line. Empty lines and lines that begin with # are ignored. Only the agent's user
// may have access to the file. Errors are single sentences and never contain a value. Without names, ReadSecrets does
// not open the file.
func ReadSecrets(path string, names []string) (map[string]string, error) {
	if len(names) == 0 {
		return nil, nil
	}
	content, err := readPrivate(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("secret %s is required but %s does not exist; create it with mode 0600 and a line %s=…",
			strings.Join(names, ", "), path, names[0])
	}
	if err != nil {
		return nil, err
	}
	all, err := parseSecrets(path, content)
	if err != nil {
		return nil, err
	}
	return pick(path, all, names)
}

// readPrivate reads a regular file to which no other user has access.
func readPrivate(path string) (string, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", fmt.Errorf("read secrets: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return "", fmt.Errorf("read secrets: %w", err)
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("secrets file %s is not a regular file", path)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return "", fmt.Errorf("secrets file %s is accessible to other users (mode %04o); run: chmod 600 %s", path, mode, path)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != os.Geteuid() && stat.Uid != 0 {
		return "", fmt.Errorf("secrets file %s belongs to another user (%d); run: chown %d %s", path, stat.Uid, os.Geteuid(),
			path)
	}
	content, err := io.ReadAll(io.LimitReader(file, maxSecretsBytes+1))
	if err != nil {
		return "", fmt.Errorf("read secrets: %w", err)
	}
	if len(content) > maxSecretsBytes {
		return "", fmt.Errorf("secrets file %s is longer than %d bytes", path, maxSecretsBytes)
	}
	return string(content), nil
}

// parseSecrets parses the lines of a secrets file.
func parseSecrets(path, content string) (map[string]string, error) {
	all := map[string]string{}
	number := 0
	for line := range strings.Lines(content) {
		number++
		line = strings.TrimRight(line, "\r\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			return nil, fmt.Errorf("line %d of secrets file %s is not KEY=VALUE", number, path)
		}
		if checkVariable(key, value) != nil {
			return nil, fmt.Errorf("line %d of secrets file %s: "+
				"the text before = is not a valid variable name, or begins with DROVER_",
				number, path)
		}
		all[key] = value
	}
	return all, nil
}

// pick returns the named secrets. Its error lists the ones that are missing.
func pick(path string, all map[string]string, names []string) (map[string]string, error) {
	picked, missing := map[string]string{}, []string{}
	for _, name := range names {
		value, ok := all[name]
		if !ok && !slices.Contains(missing, name) {
			missing = append(missing, name)
		}
		picked[name] = value
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("secret %s is not in %s on this machine; add a line %s=…", strings.Join(missing, ", "), path,
			missing[0])
	}
	return picked, nil
}
