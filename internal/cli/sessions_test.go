package cli_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/droverhq/drover/internal/harness"
	"github.com/droverhq/drover/internal/harness/harnesstest"
)

var program = harnesstest.NewProgram("-ldflags", "-X github.com/droverhq/drover/internal/cli.version=v0-test")

func TestMain(m *testing.M) { os.Exit(harnesstest.Run(m)) }

// TestTerminalSessions runs the files in testdata/sessions, each with a home, a data folder and a port of
// its own. Servers and agents in them are processes.
//
//	code N COMMAND…       runs a command that must end with exit code N
//	until REGEXP COMMAND… runs a command again and again until it succeeds and its stdout matches
//	object KIND N         the stderr of the last command is one JSON object with an error of this kind and exit code
//	seed N                makes the log of a server that is not started yet, with N machines in it
//	keep NAME             keeps the stdout of the last command, trimmed, in the variable NAME
func TestTerminalSessions(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/sessions",
		RequireExplicitExec: true,
		Setup:               setUp(t),
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"code": cmdCode, "until": cmdUntil, "keep": cmdKeep, "seed": cmdSeed, "object": cmdObject,
		},
	})
}

// setUp gives a session a home, a data folder and an address of its own.
func setUp(t *testing.T) func(*testscript.Env) error {
	path := filepath.Dir(program.Path(t)) + string(os.PathListSeparator) + os.Getenv("PATH")
	return func(e *testscript.Env) error {
		home := filepath.Join(e.WorkDir, "home")
		e.Setenv("HOME", home)
		e.Setenv("PATH", path)
		e.Setenv("DROVER_DATA", filepath.Join(e.WorkDir, "data"))
		e.Setenv("DROVER_LISTEN", "127.0.0.1:0")
		e.Setenv("DROVER_TICK", "1s")
		e.Setenv("CONTEXTS", filepath.Join(home, ".config", "drover", "contexts.json"))
		e.Setenv("TZ", "UTC")
		address, err := harness.FreeAddress()
		if err != nil {
			return err
		}
		e.Setenv("PORT", portOf(address)) // for a server that comes back to the same address
		return os.MkdirAll(home, 0o700)
	}
}

// portOf returns the port of an address on loopback.
func portOf(address string) string { return strings.TrimPrefix(address, "127.0.0.1:") }

func cmdCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N COMMAND…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	switch err := ts.Exec(args[1], args[2:]...); {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit code %d, not %d", got, want)
	}
	if args[1] == "drover" && !listed(args[2:], got) {
		ts.Fatalf("exit code %d is none that the command's help lists", got)
	}
}

// patience is how long a session waits for what must come.
const patience = 60 * time.Second

func cmdUntil(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until REGEXP COMMAND…")
	}
	wanted, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	for end := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		err := ts.Exec(args[1], args[2:]...)
		if err == nil && wanted.MatchString(ts.ReadFile("stdout")) {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("no %q in the output within %s", args[0], patience)
		}
	}
}

func cmdKeep(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: keep NAME")
	}
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile("stdout")))
}

func cmdObject(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: object KIND N")
	}
	var said struct {
		Error struct {
			Kind, Message string
			ExitCode      int
		}
	}
	var raw map[string]map[string]any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stderr")), &raw))
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stderr")), &said))
	if len(raw) != 1 || said.Error.Message == "" || args[0] != "" && said.Error.Kind != args[0] || fmt.Sprint(said.Error.ExitCode) != args[1] {
		ts.Fatalf("stderr is not one error of kind %s with exit code %s", args[0], args[1])
	}
}
