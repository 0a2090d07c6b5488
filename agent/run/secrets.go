package run

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/droverhq/drover/agent/output"
)

// maxSecretsBytes bounds the secrets file.
const maxSecretsBytes = 1 << 20

// maskedLineBytes is the length from which each line of a value with several lines is masked on its own. Shorter lines,
// such as the braces of JSON, are not secret.
const maskedLineBytes = 8

// secretsFile is a parsed secrets file. Each entry has one of three forms:
//
//	KEY=VALUE         the value extends to the end of the line
//	KEY<<WORD         the value is the following lines, up to a line that is WORD
//	KEY=exec:COMMAND  the value is what the shell command prints
//
// Empty lines and lines that begin with # are ignored, and so is a byte order mark.
type secretsFile struct {
	path    string
	entries map[string]secretEntry
	// values are those of all entries without a command.
	values []string
}

type secretEntry struct {
	line           int
	value, command string
}

// openSecrets reads the secrets file at path, to which only the agent's user may have access. Errors are single sentences
// and never contain a value. With an error, the file contains the entries that could be read nevertheless, for masking.
func openSecrets(path string) (secretsFile, error) {
	content, err := readPrivate(path)
	file, parseErr := parseSecrets(path, content)
	if err != nil {
		return file, err
	}
	return file, parseErr
}

// Mask returns a mask for the values in the secrets file at path, as far as it is readable, and for more values.
func Mask(path string, more []string) *output.Mask {
	file, _ := openSecrets(path)
	return output.NewMask(append(withLines(file.values), more...))
}

// withLines returns the values and the lines of each value that has several.
func withLines(values []string) []string {
	all := slices.Clone(values)
	for _, value := range values {
		if !strings.Contains(value, "\n") {
			continue
		}
		for line := range strings.Lines(value) {
			if line = strings.TrimRight(line, "\r\n"); len(line) >= maskedLineBytes {
				all = append(all, line)
			}
		}
	}
	return all
}

// resolve returns the values of names. It runs the command of each name that has one, with environ.
func (f secretsFile) resolve(ctx context.Context, names, environ []string) (map[string]string, error) {
	if err := f.missing(names); err != nil {
		return nil, err
	}
	values := map[string]string{}
	for _, name := range names {
		entry := f.entries[name]
		if entry.command == "" {
			values[name] = entry.value
			continue
		}
		value, err := secretCommand{command: entry.command, folder: filepath.Dir(f.path), environ: environ}.run(ctx)
		if err != nil {
			return nil, fmt.Errorf("secret %s: the command on line %d of %s %w", name, entry.line, f.path, err)
		}
		values[name] = value
	}
	return values, nil
}

// missing returns an error that lists the names that have no entry.
func (f secretsFile) missing(names []string) error {
	var missing []string
	for _, name := range names {
		if _, ok := f.entries[name]; !ok && !slices.Contains(missing, name) {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("secret %s is not in %s on this machine; add a line %s=…", strings.Join(missing, ", "), f.path,
		missing[0])
}

// readPrivate reads a regular file to which no other user has access. If only that access is wrong, it returns the
// content with the error.
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
	content, err := io.ReadAll(io.LimitReader(file, maxSecretsBytes+1))
	if err != nil {
		return "", fmt.Errorf("read secrets: %w", err)
	}
	if len(content) > maxSecretsBytes {
		return "", fmt.Errorf("secrets file %s is longer than %d bytes", path, maxSecretsBytes)
	}
	return string(content), checkPrivate(path, info)
}

// checkPrivate rejects a file to which another user has access.
func checkPrivate(path string, info fs.FileInfo) error {
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("secrets file %s is accessible to other users (mode %04o); run: chmod 600 %s", path, mode, path)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != os.Geteuid() && stat.Uid != 0 {
		return fmt.Errorf("secrets file %s belongs to another user (%d); run: chown %d %s", path, stat.Uid, os.Geteuid(),
			path)
	}
	return nil
}

// parseSecrets parses a secrets file. With an error, which is that of the first invalid line, the file contains the valid
// entries.
func parseSecrets(path, content string) (secretsFile, error) {
	file := secretsFile{path: path, entries: map[string]secretEntry{}}
	var first error
	lines := strings.Split(strings.TrimPrefix(content, "\ufeff"), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], "\r")
	}
	for at := 0; at < len(lines); {
		if lines[at] == "" || strings.HasPrefix(lines[at], "#") {
			at++
			continue
		}
		count, problem := file.add(lines[at:], at+1)
		if problem != "" && first == nil {
			first = fmt.Errorf("line %d of secrets file %s%s", at+1, path, problem)
		}
		at += count
	}
	return file, first
}

// add adds the entry at the beginning of lines. It returns the number of its lines, and the problem if it is invalid.
func (f *secretsFile) add(lines []string, number int) (count int, problem string) {
	key, entry, count, problem := parseEntry(lines)
	if problem != "" {
		return count, problem
	}
	if checkVariable(key, entry.value) != nil {
		return count, ": the text before = or << is not a valid variable name, or begins with DROVER_"
	}
	entry.line = number
	f.entries[key] = entry
	if entry.command == "" {
		f.values = append(f.values, entry.value)
	}
	return count, ""
}

// parseEntry parses the entry at the beginning of lines.
func parseEntry(lines []string) (key string, entry secretEntry, count int, problem string) {
	if key, word, ok := strings.Cut(lines[0], "<<"); ok && word != "" && !strings.Contains(lines[0], "=") {
		end := slices.Index(lines[1:], word)
		if end < 0 {
			return key, entry, len(lines), ": its value has no last line; end it with a line that is the word after <<"
		}
		return key, secretEntry{value: strings.Join(lines[1:end+1], "\n")}, end + 2, ""
	}
	key, value, ok := strings.Cut(lines[0], "=")
	if !ok {
		return key, entry, 1, " is not KEY=VALUE"
	}
	command, ok := strings.CutPrefix(value, "exec:")
	if !ok {
		return key, secretEntry{value: value}, 1, ""
	}
	if command = strings.TrimSpace(command); command == "" {
		return key, entry, 1, " has no command after exec:"
	}
	return key, secretEntry{command: command}, 1, ""
}
