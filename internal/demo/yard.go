package demo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/examples"
	"github.com/droverhq/drover/internal/config"
)

// roomNeeded is what the folder should take, in bytes: a full disk is better told before the story than in it.
const roomNeeded = 16 << 20

// yard is the folder of a demo and what runs in it.
type yard struct {
	folder   string
	program  string // this very program
	env      []string
	client   *client.Client
	launcher *launcher
	// patience bounds each wait; waiting is told of those that take long.
	patience time.Duration
	waiting  func(expected string)

	mu        sync.Mutex
	processes map[string]*process // by name; the newest of each
	closed    bool                // nothing is started any more
}

// newYard makes the folder and what lies in it before anything runs.
func newYard(tick time.Duration) (*yard, error) {
	place, err := filepath.Abs(os.TempDir())
	if err != nil {
		return nil, fmt.Errorf("find the temporary folder: %w", err)
	}
	folder, err := os.MkdirTemp(place, "drover-demo-*")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the demo: %w; name another place with TMPDIR", bare(place, err))
	}
	y := &yard{folder: folder, launcher: newLauncher(), processes: map[string]*process{},
		patience: patience + 10*tick, waiting: func(string) {}}
	if err := y.furnish(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	return y, nil
}

// bare is an error of the file system with the place that the user knows.
func bare(place string, err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err
	}
	return fmt.Errorf("%s: %w", place, err)
}

func (y *yard) furnish() (err error) {
	if y.program, err = program(); err != nil {
		return err
	}
	if err := y.haveRoom(); err != nil {
		return fmt.Errorf("the demo needs %d MB in the temporary folder: %w; name another place with TMPDIR", roomNeeded>>20, bare(y.folder, err))
	}
	for _, folder := range []string{"home", "bin", "logs", "machines"} {
		if err := os.Mkdir(y.path(folder), 0o700); err != nil {
			return fmt.Errorf("furnish the demo's folder: %w", err)
		}
	}
	shown, err := os.Executable()
	if err == nil {
		err = os.Symlink(shown, y.path("bin", "drover"))
	}
	for name, text := range map[string]string{"site.yaml": examples.Demo, "config.yaml": ""} {
		err = errors.Join(err, os.WriteFile(y.path(name), []byte(text), 0o600))
	}
	if err != nil {
		return fmt.Errorf("furnish the demo's folder: %w", err)
	}
	y.env = y.environment()
	return nil
}

// haveRoom writes as much as the demo may need, and takes it away again.
func (y *yard) haveRoom() error {
	file, err := os.CreateTemp(y.folder, "room-*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	_, err = file.Write(make([]byte, roomNeeded))
	return errors.Join(err, file.Close())
}

// program is this program, also when its file was replaced or deleted meanwhile, where the system can tell.
func program() (string, error) {
	const self = "/proc/self/exe"
	if _, err := os.Stat(self); err == nil {
		return self, nil
	}
	path, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find this program's own file: %w", err)
	}
	return path, nil
}

// environment is the user's, without what would lead the demo's programs to the user's servers and files.
func (y *yard) environment() []string {
	kept := slices.DeleteFunc(os.Environ(), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return name == "HOME" || name == "SITE" || strings.HasPrefix(name, "DROVER_") || strings.HasPrefix(name, "XDG_")
	})
	return append(kept, "HOME="+y.path("home"), "DROVER_CONFIG="+y.path("config.yaml"))
}

// path is a file in the demo's folder.
func (y *yard) path(segments ...string) string {
	return filepath.Join(append([]string{y.folder}, segments...)...)
}

// site is the folder that the steps on a machine write in.
func (y *yard) site(machine string, segments ...string) string {
	return y.path(append([]string{"machines", machine, "site"}, segments...)...)
}

// command is drover with arguments, not started yet.
func (y *yard) command(ctx context.Context, env []string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, y.program, args...)
	cmd.Args[0] = "drover"
	cmd.Env, cmd.Dir = append(slices.Clone(y.env), env...), y.folder
	return cmd
}

// output runs a command to its end and returns what it printed to stdout.
func (y *yard) output(cmd *exec.Cmd) (string, error) {
	var printed strings.Builder
	cmd.Stdout, cmd.SysProcAttr, cmd.WaitDelay = &printed, ofItsOwn(), graceful
	if err := y.launcher.start(cmd); err != nil {
		return "", err
	}
	err := cmd.Wait()
	return printed.String(), err
}

// launch starts a server or an agent.
func (y *yard) launch(name string, env []string, args ...string) (*process, error) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.closed {
		return nil, context.Canceled
	}
	p, err := y.launcher.run(name, y.path("logs", name+".log"), y.command(context.Background(), env, args...))
	if err == nil {
		y.processes[name] = p
	}
	return p, err
}

// process is the newest of a name.
func (y *yard) process(name string) *process {
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.processes[name]
}

// startServer starts the server on a free port and returns once it does its work.
func (y *yard) startServer(ctx context.Context, tick time.Duration) error {
	_, err := y.launch(serverName, nil, "server", "--listen", "127.0.0.1:0", "--data", y.path("server"), "--tick", tick.String())
	if err != nil {
		return err
	}
	contexts := filepath.Join(y.path("home"), ".config", "drover", "contexts.json")
	return y.until(ctx, "the server to be ready", func() (bool, string, error) {
		all, err := config.ReadContexts(contexts)
		found := all.For("")
		if err != nil || found == nil || len(found.Servers) == 0 {
			return false, "it has not said where it listens", err
		}
		y.client = &client.Client{Servers: found.Servers, Token: found.Token}
		if _, err := y.client.Get(ctx, "/readyz", nil, nil); err != nil {
			return false, err.Error(), nil
		}
		return true, "", nil
	})
}

// openDoor writes the file that lets another terminal in, and lets the demo's own commands in the same way.
func (y *yard) openDoor() error {
	set := [][2]string{{"DROVER_SERVER", y.client.Servers[0]}, {"DROVER_TOKEN", y.client.Token}, {"DROVER_CONFIG", y.path("config.yaml")}, {"DEMO", y.folder}}
	var text strings.Builder
	for _, pair := range set {
		fmt.Fprintf(&text, "export %s=%s\n", pair[0], quoted(pair[1]))
		y.env = append(y.env, pair[0]+"="+pair[1])
	}
	fmt.Fprintf(&text, "export PATH=%s:\"$PATH\"\n", quoted(y.path("bin")))
	if err := os.WriteFile(y.path("env"), []byte(text.String()), 0o600); err != nil {
		return fmt.Errorf("write the file for other terminals: %w", err)
	}
	return nil
}

// quoted is text as a shell reads it.
func quoted(text string) string {
	plain := strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-:=+,@%") == ""
	if plain && text != "" {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// startAgent starts the agent of a machine, which joins if it has not yet.
func (y *yard) startAgent(machine, join string) (*process, error) {
	if err := os.MkdirAll(y.site(machine), 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of machine %s: %w", machine, err)
	}
	env := []string{"SITE=" + y.site(machine), "DROVER_JOIN=" + join}
	return y.launch(machine, env, "agent", "--name", machine, "--environment", environment, "--role", "web",
		"--server", y.client.Servers[0], "--data", y.path("machines", machine, "agent"))
}

// close stops all that runs, agents before their server, so that they need not wait for it.
func (y *yard) close() {
	y.mu.Lock()
	y.closed = true
	y.mu.Unlock()
	var agents []*process
	for name, p := range y.processes {
		if name != serverName {
			agents = append(agents, p)
		}
	}
	stopAll(agents...)
	if server := y.processes[serverName]; server != nil {
		stopAll(server)
	}
	close(y.launcher.orders)
}

// remove takes the folder away. A step that was cut off may still write for a moment.
func (y *yard) remove() (err error) {
	for range 20 {
		if err = os.RemoveAll(y.folder); err == nil {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("remove the demo's folder: %w; take it away by hand", err)
}

// ends is what the programs' logs end with, for people who ask what went wrong.
func (y *yard) ends() string {
	var texts []string
	y.mu.Lock()
	defer y.mu.Unlock()
	for _, p := range y.processes {
		texts = append(texts, p.lastLines())
	}
	slices.Sort(texts)
	return strings.Join(texts, "\n")
}
