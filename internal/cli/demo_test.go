package cli_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/internal/harness"
)

// demoRun is a demo that runs as a process. Its temporary folder and its home must be empty at the end.
type demoRun struct {
	t         *testing.T
	cmd       *exec.Cmd
	out       io.Closer
	lines     *bufio.Scanner
	output    strings.Builder // stdout so far
	stderr    bytes.Buffer
	temporary string
	home      string
	folder    string
}

// startDemo starts a demo in a read-only folder, with an environment that it must ignore.
func startDemo(t *testing.T, binary string, args ...string) *demoRun {
	t.Helper()
	return startDemoIn(t, t.TempDir(), binary, args...)
}

// startDemoIn starts a demo with TMPDIR set to temporary.
func startDemoIn(t *testing.T, temporary, binary string, args ...string) *demoRun {
	t.Helper()
	s := &demoRun{t: t, temporary: temporary, home: t.TempDir()}
	s.cmd = exec.Command(binary, append([]string{"demo"}, args...)...)
	s.cmd.Dir = t.TempDir()
	require.NoError(t, os.Chmod(s.cmd.Dir, 0o555))
	s.cmd.Env = harness.Environment("", "XDG_CONFIG_HOME="+s.home, "XDG_DATA_HOME="+s.home, "TMPDIR="+s.temporary,
		"NO_COLOR=1",
		"DROVER_SERVER=http://127.0.0.1:1", "DROVER_TOKEN=none",
		"DROVER_LOG=postgres://127.0.0.1:1/none", "DROVER_NAME=astray",
		"DROVER_OUTPUT=json", "DROVER_CONFIG=/nowhere/config.yaml", "SITE=/nowhere")
	out, err := s.cmd.StdoutPipe()
	require.NoError(t, err)
	s.out, s.lines = out, bufio.NewScanner(io.TeeReader(out, &s.output))
	s.cmd.Stderr = &s.stderr
	require.NoError(t, harness.Launch(s.cmd))
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		if t.Failed() {
			t.Logf("output of the demo:\n%s\n%s", &s.output, &s.stderr)
		}
	})
	return s
}

var folderLine = regexp.MustCompile(`^All files are in (/.*), which (?:is removed|stays) at the end\.$`)

// until reads the output up to a line that matches and returns its submatches.
func (s *demoRun) until(pattern string) []string {
	s.t.Helper()
	wanted := regexp.MustCompile(pattern)
	for s.lines.Scan() {
		if found := folderLine.FindStringSubmatch(s.lines.Text()); found != nil {
			s.folder = found[1]
		}
		if found := wanted.FindStringSubmatch(s.lines.Text()); found != nil {
			return found
		}
	}
	require.FailNow(s.t, "no line of the output matches "+pattern)
	return nil
}

// end reads the rest of the output and returns the exit code.
func (s *demoRun) end() int {
	s.t.Helper()
	for s.lines.Scan() {
		if found := folderLine.FindStringSubmatch(s.lines.Text()); found != nil {
			s.folder = found[1]
		}
	}
	err := s.cmd.Wait()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		require.NoError(s.t, err)
	}
	return s.cmd.ProcessState.ExitCode()
}

// leftNothing requires that no file and no process of the demo is left.
func (s *demoRun) leftNothing() {
	s.t.Helper()
	for _, folder := range []string{s.temporary, s.home, s.cmd.Dir} {
		left, err := os.ReadDir(folder)
		require.NoError(s.t, err)
		require.Empty(s.t, left, "files in %s", folder)
	}
	require.Empty(s.t, s.processes(), "processes that belong to the demo")
}

// processes finds the processes with the temporary folder of the demo in their arguments or environment, if the system
// has /proc.
func (s *demoRun) processes() (found []string) {
	all, _ := filepath.Glob("/proc/[0-9]*")
	for _, process := range all {
		arguments, _ := os.ReadFile(filepath.Join(process, "cmdline"))
		environ, _ := os.ReadFile(filepath.Join(process, "environ")) // empty for a zombie
		if bytes.Contains(append(arguments, environ...), []byte(s.temporary)) {
			found = append(found, filepath.Base(process)+" "+string(bytes.ReplaceAll(arguments, []byte{0},
				[]byte(" "))))
		}
	}
	return found
}

// TestDemoRunsToTheEndAndCleansUp also deletes the program of the demo while it runs.
func TestDemoRunsToTheEndAndCleansUp(t *testing.T) {
	t.Parallel()
	binary := filepath.Join(t.TempDir(), "drover")
	text, err := os.ReadFile(program.Path(t))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(binary, text, 0o700))
	s := startDemo(t, binary, "--once")
	s.until(`^1\. `)
	require.NotEmpty(t, s.folder)
	if runtime.GOOS == "linux" {
		require.NoError(t, os.Remove(binary))
		require.NotEmpty(t, s.processes(), "the test sees the demo's processes")
	}
	require.Zero(t, s.end(), "exit code")
	require.Empty(t, s.stderr.String())
	for _, part := range []string{`"1.0 on web-01"`, "nothing was deployed to it", "tried three times", "held at 1.2",
		"verdict  wait: held", "web-02  production", "The demo is complete"} {
		require.Contains(t, s.output.String(), part)
	}
	s.leftNothing()
}

// TestDemoReportsFailedCheck breaks one thing from outside the demo.
func TestDemoReportsFailedCheck(t *testing.T) {
	for name, test := range map[string]struct {
		line    string // after this line
		spoil   func(s *demoRun, found []string) error
		message string
	}{
		"an agent dies": {`web-01 is online: its agent is process (\d+)`, func(_ *demoRun, found []string) error {
			id, err := strconv.Atoi(found[1])
			return errors.Join(err, syscall.Kill(id, syscall.SIGKILL))
		}, `the agent of web-01 \(process \d+\) ended unexpectedly: signal: killed`},
		"a step cannot write": {`A server runs at`, func(s *demoRun, _ []string) error {
			site := filepath.Join(s.folder, "machines", "web-02", "site")
			return errors.Join(os.MkdirAll(site, 0o700), os.WriteFile(filepath.Join(site, "disk-is-full"), nil, 0o600))
		}, "expected `drover deploy site 1.0 .*` to end with exit code 0, but it ended with 3: "},
		"a machine is deployed to twice": {`web-04 serves its page`, func(s *demoRun, _ []string) error {
			file, err := os.OpenFile(filepath.Join(s.folder, "machines", "web-02", "site", "attempts.txt"),
				os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(file, "1.0 another-deployment")
			return errors.Join(err, file.Close())
		}, "expected the steps on web-02 to have run for 1.0, but they ran for 1.0 1.0"},
		"the server dies": {`A server runs at .* \(process (\d+)\)`, func(_ *demoRun, found []string) error {
			id, err := strconv.Atoi(found[1])
			return errors.Join(err, syscall.Kill(id, syscall.SIGKILL))
		}, `the server \(process \d+\) ended unexpectedly: signal: killed`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startDemo(t, program.Path(t), "--once")
			require.NoError(t, test.spoil(s, s.until(test.line)))
			require.Equal(t, 1, s.end(), "exit code")
			require.Regexp(t, test.message, s.stderr.String())
			require.Contains(t, s.stderr.String(), "server.log:", "the end of the logs is shown")
			require.NotContains(t, s.output.String(), "The demo is complete")
			s.leftNothing()
		})
	}
}

// TestCommandsPrintedByDemoWork runs each command that the demo prints at the end.
func TestCommandsPrintedByDemoWork(t *testing.T) {
	t.Parallel()
	s := startDemo(t, program.Path(t), "--tick", "1s")
	s.until(`^The fleet stays up until`)
	s.until(`^  \. `)
	environment := strings.TrimSpace(s.lines.Text())
	var commands []string
	for s.lines.Scan() && !strings.HasPrefix(s.lines.Text(), "Pages, logs") {
		if line, ok := strings.CutPrefix(s.lines.Text(), "  "); ok {
			commands = append(commands, line)
		}
	}
	require.Len(t, commands, 8)
	for _, command := range commands {
		run := exec.Command("sh", "-e", "-c", environment+"\n"+command)
		run.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.home}
		out, err := run.CombinedOutput()
		require.NoError(t, err, "%s\n%s", command, out)
		require.True(t, len(out) > 0 || strings.HasPrefix(command, "kill"), "%s prints nothing", command)
	}
	s.until(`^the agent of web-03 \(process \d+\) has ended \(signal: killed\); it restarts in`)
	s.until(`^the agent of web-03 \(process \d+\) has started\.`)
	require.NoError(t, s.cmd.Process.Signal(os.Interrupt))
	require.Zero(t, s.end(), "exit code")
	s.leftNothing()
}

func TestInterruptedDemoStopsAllProcesses(t *testing.T) {
	for _, end := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(end.String(), func(t *testing.T) {
			t.Parallel()
			if end == syscall.SIGHUP && signal.Ignored(end) {
				t.Skip("the tests run under nohup, so the demo ignores SIGHUP")
			}
			s := startDemo(t, program.Path(t))
			s.until("web-03 is online")
			require.NoError(t, s.cmd.Process.Signal(end))
			require.NoError(t, s.cmd.Process.Signal(end), "a second signal does not interrupt the cleanup")
			require.Equal(t, 1, s.end(), "exit code")
			require.Contains(t, s.stderr.String(), "interrupted")
			s.leftNothing()
		})
	}
}

func TestKeptDemoFolderShowsCleanShutdown(t *testing.T) {
	t.Parallel()
	s := startDemo(t, program.Path(t), "--keep")
	s.until("web-01 is online")
	require.NoError(t, s.cmd.Process.Signal(syscall.SIGTERM))
	require.Equal(t, 1, s.end(), "exit code")
	require.Contains(t, s.output.String(), "The folder remains: "+s.folder)
	for _, name := range []string{"server", "web-01"} {
		text, err := os.ReadFile(filepath.Join(s.folder, "logs", name+".log"))
		require.NoError(t, err)
		require.Contains(t, string(text), `"msg":"stopping`, name)
	}
	require.Empty(t, s.processes(), "processes that belong to the demo")
}

func TestDemoStopsAllProcessesWhenStdoutIsClosed(t *testing.T) {
	t.Parallel()
	s := startDemo(t, program.Path(t))
	s.until("web-01 is online")
	require.NoError(t, s.out.Close())
	require.Equal(t, 1, s.end(), "exit code")
	require.Contains(t, s.stderr.String(), "write the output of the demo")
	s.leftNothing()
}

func TestDemoReportsUnusableTemporaryFolder(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for folder, message := range map[string]string{
		file:              file + ": not a directory",
		file + "-missing": file + "-missing: no such file or directory",
	} {
		run := exec.Command(program.Path(t), "demo", "--once")
		run.Env = append(os.Environ(), "TMPDIR="+folder)
		out, err := run.CombinedOutput()
		require.Error(t, err)
		require.Equal(t, 1, run.ProcessState.ExitCode())
		require.Equal(t, "drover: create a folder for the demo: "+message+"; set TMPDIR to another folder\n",
			string(out))
	}
}
