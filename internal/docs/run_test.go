package docs_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/internal/harness"
	"github.com/droverhq/drover/internal/harness/harnesstest"
)

var program = harnesstest.NewProgram()

func TestMain(m *testing.M) { os.Exit(harnesstest.Run(m)) }

// timeout limits the run of one block, including the repetitions of a block that waits for a condition.
const timeout = 90 * time.Second

func number(n int) string { return strconv.Itoa(n) }

// TestCommandBlocksProduceTheDocumentedOutput runs the pages as described in doc.go.
func TestCommandBlocksProduceTheDocumentedOutput(t *testing.T) {
	for _, p := range pages(t) {
		if p.hasCommands() {
			t.Run(p.name, func(t *testing.T) {
				t.Parallel()
				s := openShell(t)
				for _, b := range p.blocks {
					s.block(b)
				}
			})
		}
	}
}

// hasCommands reports whether the page has a block to run.
func (p *page) hasCommands() bool {
	for _, b := range p.blocks {
		if b.run() && b.marks["before"] == "" {
			return true
		}
	}
	return false
}

// run reports whether this test runs the block. The quick start has a separate test.
func (b *block) run() bool {
	return b.lang == "sh" && b.page != generated && !b.isFile() && b.marks["not run"] == "" &&
		b.marks["quick start"] == ""
}

// isFile reports whether the block is a file or a part of one.
func (b *block) isFile() bool { return b.marks["file"]+b.marks["more of"] != "" }

// shell is the shell that runs the blocks of a page.
type shell struct {
	t       *testing.T
	folder  string
	address string // address of the page's server
	cmd     *exec.Cmd
	in      io.WriteCloser
	out     chan string // output lines; closed at the end of the shell
	count   int
}

func openShell(t *testing.T) *shell {
	t.Helper()
	if _, err := exec.LookPath("bash"); err != nil {
		if os.Getenv("DROVER_TEST_REQUIRE") == "all" {
			t.Fatal("missing: bash")
		}
		t.Skip("missing: bash")
	}
	s := &shell{t: t, folder: t.TempDir(), address: harnesstest.FreeAddress(t), out: make(chan string)}
	root, err := filepath.Abs(repository)
	require.NoError(t, err)
	for _, name := range []string{"examples", "testdata"} {
		require.NoError(t, os.Symlink(filepath.Join(root, name), filepath.Join(s.folder, name)))
	}
	s.cmd = exec.Command("bash", "--noprofile", "--norc")
	s.cmd.Dir, s.cmd.Env = s.folder, s.environment()
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	s.in, err = s.cmd.StdinPipe()
	require.NoError(t, err)
	read, write, err := os.Pipe()
	require.NoError(t, err)
	s.cmd.Stdout, s.cmd.Stderr = write, write
	require.NoError(t, s.cmd.Start())
	_ = write.Close()
	go s.listen(read)
	t.Cleanup(s.close)
	s.send("set -eu -o pipefail; trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT")
	return s
}

// environment returns an environment without settings of the user who runs the tests.
func (s *shell) environment() []string {
	home := s.t.TempDir()
	return harness.Environment(home, "PATH="+filepath.Dir(program.Path(s.t))+":"+os.Getenv("PATH"), "TZ=UTC",
		"DROVER_DATA="+filepath.Join(home, "data"), "DROVER_LISTEN="+s.address, "DROVER_TICK=1s")
}

func (s *shell) send(line string) {
	s.t.Helper()
	_, err := io.WriteString(s.in, line+"\n")
	require.NoError(s.t, err)
}

func (s *shell) listen(read *os.File) {
	defer close(s.out)
	defer read.Close()
	lines := bufio.NewReader(read)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			s.out <- line
		}
		if err != nil {
			return
		}
	}
}

// close stops the shell and all its processes.
func (s *shell) close() {
	_ = s.in.Close()
	late := time.AfterFunc(30*time.Second, func() { _ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL) })
	defer late.Stop()
	go func() {
		_ = s.cmd.Wait()
		_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
	}()
	for range s.out { // until no process holds the output open
	}
}

// replaceAddress replaces the default address with that of the page's server.
func (s *shell) replaceAddress(text string) string {
	return strings.ReplaceAll(text, "127.0.0.1:7070", s.address)
}

// block writes or runs a block and compares the output.
func (s *shell) block(b *block) {
	s.t.Helper()
	if b.isFile() {
		s.file(b)
		return
	}
	if !b.run() {
		return
	}
	_, repeated := b.marks["again"]
	for end := time.Now().Add(timeout); ; time.Sleep(200 * time.Millisecond) {
		out, code := s.source(b, repeated)
		problem := b.compare(s.replaceAddress, out, code)
		if problem == "" {
			return
		}
		if !repeated || time.Now().After(end) {
			s.t.Fatalf("%s: %s\n--- output:\n%s%s", b.place(), problem, out, s.logs())
		}
	}
}

// file writes a block to its file, or appends it.
func (s *shell) file(b *block) {
	s.t.Helper()
	path, text := filepath.Join(s.folder, b.marks["file"]+b.marks["more of"]), s.replaceAddress(b.text)
	if b.marks["more of"] != "" {
		before, err := os.ReadFile(path)
		require.NoError(s.t, err, b.place())
		text = string(before) + "\n" + text
	}
	require.NoError(s.t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(s.t, os.WriteFile(path, []byte(text), 0o644))
}

// source runs a block in the page's shell. If below is set, or if the block has another exit code, it runs in a
// subshell.
func (s *shell) source(b *block, below bool) (out, code string) {
	s.t.Helper()
	s.count++
	file := filepath.Join(s.t.TempDir(), "block.sh")
	require.NoError(s.t, os.WriteFile(file, []byte(s.replaceAddress(b.text)), 0o600))
	marker := fmt.Sprintf("end of block %d: ", s.count)
	if below || b.marks["exits"] != "" {
		s.send(fmt.Sprintf("set +e; ( set -e; . %s ) </dev/null; printf '\\n%%s\\n' '%s'$?; set -e", file, marker))
	} else {
		s.send(fmt.Sprintf(". %s </dev/null; printf '\\n%%s\\n' '%s'$?", file, marker))
	}
	late := time.After(timeout)
	for {
		select {
		case line, open := <-s.out:
			if !open {
				return out, "unknown: it ended the shell"
			}
			if code, found := strings.CutPrefix(line, marker); found {
				return out, strings.TrimSpace(code)
			}
			out += line
		case <-late:
			_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
			return out, "unknown: it did not end within " + timeout.String()
		}
	}
}

// compare returns how the result differs from the page, or "".
func (b *block) compare(here func(string) string, out, code string) string {
	wanted := "0"
	if exits := b.marks["exits"]; exits != "" {
		wanted = exits
	}
	if code != wanted {
		return fmt.Sprintf("exit code %s, want %s", code, wanted)
	}
	if b.shows == nil {
		return ""
	}
	lines := strings.Split(out, "\n")
	for i, wanted := range strings.Split(strings.TrimRight(here(b.shows.text), "\n"), "\n") {
		if strings.TrimSpace(wanted) == "" {
			continue
		}
		pattern := asPattern(wanted)
		for len(lines) > 0 && !pattern.MatchString(collapseSpace(lines[0])) {
			lines = lines[1:]
		}
		if len(lines) == 0 {
			return fmt.Sprintf("the output lacks line %d of %s:\n%s", i+1, b.shows.place(), wanted)
		}
		lines = lines[1:]
	}
	return ""
}

// asPattern converts an expected line: … matches anything, including nothing, and white space matches any white
// space.
func asPattern(line string) *regexp.Regexp {
	pattern := "^"
	for _, word := range strings.Fields(line) {
		if word == "…" {
			pattern += "(.* )?"
			continue
		}
		pattern += strings.ReplaceAll(regexp.QuoteMeta(word), "…", ".*") + " "
	}
	return regexp.MustCompile(pattern + "$")
}

// collapseSpace normalizes white space: one space after each word.
func collapseSpace(line string) string { return strings.Join(append(strings.Fields(line), ""), " ") }

// logs returns the ends of the log files that the page's processes wrote.
func (s *shell) logs() (text string) {
	files, _ := filepath.Glob(filepath.Join(s.folder, "*.log"))
	for _, file := range files {
		if content, err := os.ReadFile(file); err == nil {
			text += "--- " + filepath.Base(file) + ":\n" + string(content[max(0, len(content)-4000):])
		}
	}
	return text
}

func TestDifferentOutputIsDetected(t *testing.T) {
	t.Parallel()
	s := openShell(t)
	shows := func(text string) *block { return &block{text: text} }
	for _, c := range []struct {
		b       *block
		problem string
	}{
		{&block{text: "echo one; echo two; echo three", shows: shows("one\nthree\n")}, ""},
		{&block{text: "printf 'a\\tb c\\n'", shows: shows("a   b …\n")}, ""},
		{&block{text: "echo one; echo two", shows: shows("two\none\n")}, "the output lacks line 2"},
		{&block{text: "echo ones", shows: shows("one\n")}, "the output lacks line 1"},
		{&block{text: "exit 3", marks: map[string]string{"exits": "3"}}, ""},
		{&block{text: "exit 3", marks: map[string]string{"exits": "1"}}, "exit code 3, want 1"},
		{&block{text: "false; true"}, "exit code unknown: it ended the shell"},
	} {
		out, code := s.source(c.b, false)
		problem := c.b.compare(s.replaceAddress, out, code)
		require.Contains(t, problem, c.problem, c.b.text)
		require.Equal(t, c.problem == "", problem == "", "%s: %s", c.b.text, problem)
	}
}
