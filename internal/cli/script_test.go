package cli_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
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
	"github.com/droverhq/drover/internal/transport/transporttest"
)

var program = harnesstest.NewProgram("-ldflags", "-X github.com/droverhq/drover/internal/cli.version=v0-test")

func TestMain(m *testing.M) { os.Exit(harnesstest.Run(m)) }

// TestScripts runs the files in testdata/scripts. Each file has its own home, data folder and port. Servers and agents
// run as processes.
//
//	code N COMMAND…       runs a command that must end with exit code N
//	until REGEXP COMMAND… repeats a command until it succeeds and its stdout matches
//	object KIND N         requires that the stderr of the last command is one JSON error of this kind and exit code
//	seed N                creates a log with N machines; the server must not be running
//	certify NAME…         creates ca.pem and, for each name or IP address, NAME.pem and NAME-key.pem
//	capture NAME          stores the trimmed stdout of the last command in the variable NAME
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/scripts",
		RequireExplicitExec: true,
		Setup:               setUp(t),
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"code": cmdCode, "until": cmdUntil, "capture": cmdCapture, "seed": cmdSeed, "object": cmdObject,
			"certify": func(ts *testscript.TestScript, _ bool, names []string) { certify(ts, t, names) },
		},
		Condition: condition,
	})
}

// condition reports whether a condition in brackets holds: ipv6 if this machine has the address ::1.
func condition(name string) (bool, error) {
	if name != "ipv6" {
		return false, fmt.Errorf("unknown condition %s", name)
	}
	listener, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		return false, nil
	}
	return true, listener.Close()
}

// setUp creates the home of a script and sets its environment.
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
		for _, name := range []string{"PORT", "OTHERPORT"} { // for a server that restarts with its address, and a second one
			address, err := harness.FreeAddress()
			if err != nil {
				return err
			}
			e.Setenv(name, portOf(address))
		}
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
		ts.Fatalf("exit code %d is not in the help of the command", got)
	}
}

// timeout bounds the wait for an expected condition.
const timeout = 60 * time.Second

func cmdUntil(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until REGEXP COMMAND…")
	}
	wanted, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	for end := time.Now().Add(timeout); ; time.Sleep(100 * time.Millisecond) {
		err := ts.Exec(args[1], args[2:]...)
		if err == nil && wanted.MatchString(ts.ReadFile("stdout")) {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("no %q in the output within %s", args[0], timeout)
		}
	}
}

// certify creates the files of the command of that name.
func certify(ts *testscript.TestScript, t *testing.T, names []string) {
	authority := transporttest.NewAuthority(t)
	install := func(from, to string) {
		text, err := os.ReadFile(from)
		ts.Check(err)
		ts.Check(os.WriteFile(ts.MkAbs(to), text, 0o600))
	}
	install(authority.File, "ca.pem")
	for _, name := range names {
		cert, key := authority.Issue(name)
		install(cert, name+".pem")
		install(key, name+"-key.pem")
	}
}

func cmdCapture(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: capture NAME")
	}
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile("stdout")))
}

func cmdObject(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: object KIND N")
	}
	var got struct {
		Error struct {
			Kind, Message string
			ExitCode      int
		}
	}
	var raw map[string]map[string]any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stderr")), &raw))
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stderr")), &got))
	if len(raw) != 1 || got.Error.Message == "" || args[0] != "" && got.Error.Kind != args[0] ||
		fmt.Sprint(got.Error.ExitCode) != args[1] {
		ts.Fatalf("stderr is not one error of kind %s with exit code %s", args[0], args[1])
	}
}
