package demo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/examples"
	"github.com/droverhq/drover/internal/config"
	"github.com/droverhq/drover/internal/harness"
)

const (
	// spaceNeeded is how many bytes the folder can need. A full disk is reported before the script starts.
	spaceNeeded = 16 << 20
	// graceful is how long a process has to stop before it is killed.
	graceful = 5 * time.Second
	// logTail is how many bytes of each log are shown after an unexpected observation.
	logTail = 2000
)

// fleet is the folder of a demo and the server and agents that run in it.
type fleet struct {
	folder string
	host   *harness.Host // runs this program
	client *client.Client
	// timeout bounds each wait. waiting is called once during a long wait.
	timeout time.Duration
	waiting func(expected string)

	processes map[string]*harness.Process // the newest process by name: serverName or the name of a machine
}

// newFleet creates the folder and its initial files.
func newFleet(tick time.Duration) (*fleet, error) {
	temporary, err := filepath.Abs(os.TempDir())
	if err != nil {
		return nil, fmt.Errorf("find the temporary folder: %w", err)
	}
	folder, err := os.MkdirTemp(temporary, "drover-demo-*")
	if err != nil {
		return nil, fmt.Errorf("create a folder for the demo: %w; set TMPDIR to another folder", pathError(temporary, err))
	}
	f := &fleet{folder: folder, processes: map[string]*harness.Process{},
		timeout: timeout + 10*tick, waiting: func(string) {}}
	if err := f.prepare(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	return f, nil
}

// pathError replaces the path of a file system error with a path that the user knows.
func pathError(path string, err error) error {
	var cause *fs.PathError
	if errors.As(err, &cause) {
		err = cause.Err
	}
	return fmt.Errorf("%s: %w", path, err)
}

func (f *fleet) prepare() error {
	program, err := program()
	if err != nil {
		return err
	}
	if err := f.checkSpace(); err != nil {
		return fmt.Errorf("the demo needs %d MB in the temporary folder: %w; set TMPDIR to another folder",
			spaceNeeded>>20, pathError(f.folder, err))
	}
	for _, folder := range []string{"home", "bin", "logs", "machines"} {
		if err := os.Mkdir(f.path(folder), 0o700); err != nil {
			return fmt.Errorf("prepare the demo's folder: %w", err)
		}
	}
	shown, err := os.Executable()
	if err == nil {
		err = os.Symlink(shown, f.path("bin", "drover"))
	}
	for name, text := range map[string]string{"site.yaml": examples.Demo, "config.yaml": ""} {
		err = errors.Join(err, os.WriteFile(f.path(name), []byte(text), 0o600))
	}
	if err != nil {
		return fmt.Errorf("prepare the demo's folder: %w", err)
	}
	f.host = &harness.Host{Program: program, Dir: f.folder,
		Env: harness.Environment(f.path("home"), "DROVER_CONFIG="+f.path("config.yaml"))}
	return nil
}

// checkSpace writes a file of the size that the demo can need, and removes it.
func (f *fleet) checkSpace() error {
	file, err := os.CreateTemp(f.folder, "space-*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	_, err = file.Write(make([]byte, spaceNeeded))
	return errors.Join(err, file.Close())
}

// program returns the path of this program. On Linux, the path is valid even if the file was replaced or deleted.
func program() (string, error) {
	const self = "/proc/self/exe"
	if _, err := os.Stat(self); err == nil {
		return self, nil
	}
	path, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find this program's executable: %w", err)
	}
	return path, nil
}

// path returns a path in the demo's folder.
func (f *fleet) path(segments ...string) string {
	return filepath.Join(append([]string{f.folder}, segments...)...)
}

// site returns a path in the folder that the steps on a machine write to.
func (f *fleet) site(machine string, segments ...string) string {
	return f.path(append([]string{"machines", machine, "site"}, segments...)...)
}

// start starts a server or an agent.
func (f *fleet) start(name string, s harness.Spec) (*harness.Process, error) {
	s.Log = f.path("logs", name+".log")
	p, err := f.host.Start(s)
	if err == nil {
		f.processes[name] = p
	}
	return p, err
}

// startServer starts the server on a free port and waits until it is ready.
func (f *fleet) startServer(ctx context.Context, tick time.Duration) error {
	server := harness.Server{Listen: "127.0.0.1:0", Data: f.path("server"), Tick: tick}
	if _, err := f.start(serverName, server.Spec()); err != nil {
		return err
	}
	contexts := filepath.Join(f.path("home"), ".config", "drover", "contexts.json")
	return f.until(ctx, "the server to be ready", func() (bool, string, error) {
		all, err := config.ReadContexts(contexts)
		found := all.For("")
		if err != nil || found == nil || len(found.Servers) == 0 {
			return false, "it had not written its address", err
		}
		f.client = &client.Client{Servers: found.Servers, Token: found.Token}
		if _, err := f.client.Get(ctx, "/readyz", nil, nil); err != nil {
			return false, err.Error(), nil
		}
		return true, "", nil
	})
}

// shareEnvironment writes the file that sets up another terminal for the server, and sets the same variables for the
// demo's own commands.
func (f *fleet) shareEnvironment() error {
	variables := [][2]string{{"DROVER_SERVER", f.client.Servers[0]}, {"DROVER_TOKEN", f.client.Token},
		{"DROVER_CONFIG", f.path("config.yaml")}, {"DEMO", f.folder}}
	var text strings.Builder
	for _, pair := range variables {
		fmt.Fprintf(&text, "export %s=%s\n", pair[0], quoted(pair[1]))
		f.host.Env = append(f.host.Env, pair[0]+"="+pair[1])
	}
	fmt.Fprintf(&text, "export PATH=%s:\"$PATH\"\n", quoted(f.path("bin")))
	if err := os.WriteFile(f.path("env"), []byte(text.String()), 0o600); err != nil {
		return fmt.Errorf("write the file for other terminals: %w", err)
	}
	return nil
}

// quoted quotes text for a shell.
func quoted(text string) string {
	plain := strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-:=+,@%") == ""
	if plain && text != "" {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// startAgent starts the agent of a machine. The agent uses the join token the first time.
func (f *fleet) startAgent(machine, join string) (*harness.Process, error) {
	if err := os.MkdirAll(f.site(machine), 0o700); err != nil {
		return nil, fmt.Errorf("create the folder of machine %s: %w", machine, err)
	}
	agent := harness.Agent{Name: machine, Environment: environment, Roles: []string{"web"},
		Servers: f.client.Servers, Join: join, Data: f.path("machines", machine, "agent")}
	spec := agent.Spec()
	spec.Env = append(spec.Env, "SITE="+f.site(machine), "DROVER_PASS_ENV=SITE")
	return f.start(machine, spec)
}

// close stops all processes. Agents stop before their server, so that they do not try to reconnect.
func (f *fleet) close() {
	var agents []*harness.Process
	for name, p := range f.processes {
		if name != serverName {
			agents = append(agents, p)
		}
	}
	harness.Stop(graceful, agents...)
	if server := f.processes[serverName]; server != nil {
		harness.Stop(graceful, server)
	}
	f.host.Close()
}

// remove removes the folder. It retries, because an interrupted step can still write for a moment.
func (f *fleet) remove() (err error) {
	for range 20 {
		if err = os.RemoveAll(f.folder); err == nil {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("remove the demo's folder: %w; remove it manually", err)
}
