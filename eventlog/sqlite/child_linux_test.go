package sqlite_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/sqlite"
)

// children are the functions that this test binary runs when a crash test starts it as a child process to kill.
var children = map[string]func() error{
	"write":   childWrite,
	"open":    childOpen,
	"limited": childLimited,
}

func TestMain(m *testing.M) {
	what := os.Getenv("DROVER_LOG_CHILD")
	if what == "" {
		os.Exit(m.Run())
	}
	if err := children[what](); err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
}

// childLog opens the log at the path in the environment.
func childLog() (*sqlite.Log, error) {
	config := sqlite.Config{}
	if os.Getenv("DROVER_LOG_UNSYNCED") != "" {
		config = sqlite.Unsynced()
	}
	return sqlite.Open(context.Background(), os.Getenv("DROVER_LOG_PATH"), config)
}

// childOpen opens and closes the log.
func childOpen() error {
	log, err := childLog()
	if err != nil {
		return err
	}
	return log.Close()
}

// childWrite appends one to three events at a time, alternating between its own stream and a shared one. After each
// append it advances a cursor with the name of the stream. It prints a line for each acknowledged event and cursor.
func childWrite() error {
	log, err := childLog()
	if err != nil {
		return err
	}
	turns, err := strconv.Atoi(os.Getenv("DROVER_LOG_TURNS"))
	if err != nil {
		return err
	}
	last := map[string]eventlog.Revision{}
	streams := []string{"own/" + os.Getenv("DROVER_LOG_NAME"), "shared"}
	for _, stream := range streams {
		last[stream] = eventlog.NoStream
		for event, err := range log.ReadStream(context.Background(), stream, 0, 0) {
			if err != nil {
				return err
			}
			last[stream] = event.Revision
		}
	}
	for turn := range turns {
		stream := streams[turn%2]
		if last[stream], err = appendReliably(log, stream, last[stream], turn%3+1); err != nil {
			return err
		}
		if err := swapReliably(log, stream); err != nil {
			return err
		}
	}
	return log.Close()
}

// appendReliably appends n new events as a correct writer does: it sends the same ids again after an unknown outcome,
// and moves to the actual revision after a conflict.
func appendReliably(log eventlog.Log, stream string, expected eventlog.Revision, n int) (eventlog.Revision, error) {
	events := make([]eventlog.Event, n)
	for i := range events {
		events[i] = sample(0)
		events[i].ID = uuid.New()
	}
	var err error
	for range 1000 {
		var appended eventlog.Appended
		appended, err = log.Append(context.Background(), stream, expected, events...)
		var conflict *eventlog.Conflict
		switch {
		case err == nil:
			for i, event := range events {
				fmt.Println("ack", stream, expected+1+eventlog.Revision(i), event.ID)
			}
			return appended.Revision, nil
		case errors.As(err, &conflict):
			expected = conflict.Actual
		case errors.Is(err, eventlog.ErrUnknownOutcome):
			fmt.Println("unknown", err)
			if os.Getenv("DROVER_LOG_DIE") != "" {
				return 0, syscall.Kill(os.Getpid(), syscall.SIGKILL)
			}
		default:
			fmt.Println("refused", err)
			time.Sleep(time.Millisecond)
		}
	}
	return 0, err
}

// swapReliably advances a cursor as a correct writer does: it repeats the same Swap after an unknown outcome.
func swapReliably(log eventlog.Store, key string) error {
	stored, err := log.Newest(context.Background(), eventlog.Cursors)
	expected := stored[key].Sequence
	for range 1000 {
		if err != nil {
			return err
		}
		next := eventlog.Item{Key: key, Sequence: expected + 1, Data: []byte(os.Getenv("DROVER_LOG_NAME"))}
		err = log.Swap(context.Background(), eventlog.Cursors, next, expected)
		var conflict *eventlog.SwapConflict
		switch {
		case err == nil:
			fmt.Println("cursor", key, next.Sequence)
			return nil
		case errors.As(err, &conflict):
			expected, err = conflict.Sequence, nil
		case errors.Is(err, eventlog.ErrUnknownOutcome):
			fmt.Println("unknown", err)
			if err = nil; os.Getenv("DROVER_LOG_DIE") != "" {
				return syscall.Kill(os.Getpid(), syscall.SIGKILL)
			}
		default:
			fmt.Println("refused", err)
			err = nil
			time.Sleep(time.Millisecond)
		}
	}
	return errors.New("the cursor was not advanced")
}

// report collects the output of the child processes of one test.
type report struct {
	acks    map[string]string // "stream revision" to id
	cursors map[string]int64  // key to the highest sequence that was acknowledged
	unknown int
	other   []string
}

// process is a running child.
type process struct {
	command *exec.Cmd
	lines   *bufio.Scanner
	report  *report
}

// start starts a child. prefix is put before its command line, for example strace.
func (r *report) start(t *testing.T, prefix []string, what, path string, environment ...string) *process {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	line := append(prefix[:len(prefix):len(prefix)], os.Args[0])
	command := exec.CommandContext(ctx, line[0], line[1:]...)
	command.Env = append(os.Environ(), "DROVER_LOG_CHILD="+what, "DROVER_LOG_PATH="+path)
	command.Env = append(command.Env, environment...)
	command.Stderr = os.Stderr
	output, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	return &process{command: command, lines: bufio.NewScanner(output), report: r}
}

// read records the output of the child until it has acknowledged n events or ends.
func (p *process) read(n int) {
	for n > 0 && p.lines.Scan() {
		words := strings.Fields(p.lines.Text())
		switch {
		case len(words) == 4 && words[0] == "ack":
			p.report.acks[words[1]+" "+words[2]] = words[3]
			n--
		case len(words) == 3 && words[0] == "cursor":
			p.report.addCursor(words[1], words[2])
		case len(words) > 0 && words[0] == "unknown":
			p.report.unknown++
		default:
			p.report.other = append(p.report.other, p.lines.Text())
		}
	}
}

// addCursor records an acknowledged cursor.
func (r *report) addCursor(key, text string) {
	sequence, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		panic(err)
	}
	if r.cursors == nil {
		r.cursors = map[string]int64{}
	}
	r.cursors[key] = max(r.cursors[key], sequence)
}

// finish reads the output to its end and returns the result of the child.
func (p *process) finish() error {
	p.read(int(^uint(0) >> 1))
	return p.command.Wait()
}

// kill ends the child with SIGKILL and reads the rest of its output.
func (p *process) kill(t *testing.T) {
	if err := p.command.Process.Kill(); !errors.Is(err, os.ErrProcessDone) {
		require.NoError(t, err)
	}
	_ = p.finish()
}

// lost opens the log at path and verifies it. It returns the number of acknowledged events that are missing, plus the
// number of cursors that are behind their acknowledged value.
func (r *report) lost(t *testing.T, path string) int {
	t.Helper()
	log := open(t, path)
	defer log.Close()
	_, err := eventlog.Verify(context.Background(), log, nil)
	require.NoError(t, err)
	found := map[string]string{}
	for event, err := range log.ReadAll(context.Background(), 0, 0) {
		require.NoError(t, err)
		found[fmt.Sprint(event.Stream, " ", event.Revision)] = event.ID.String()
	}
	lost := 0
	for place, id := range r.acks {
		if found[place] != id {
			lost++
		}
	}
	cursors, err := log.Newest(context.Background(), eventlog.Cursors)
	require.NoError(t, err)
	for key, sequence := range r.cursors {
		if cursors[key].Sequence < sequence {
			lost++
		}
	}
	return lost
}

// missing skips a test whose requirement is not met on this machine, unless DROVER_TEST_REQUIRE is "all".
func missing(t *testing.T, what string, err error) {
	t.Helper()
	if err == nil {
		return
	}
	if os.Getenv("DROVER_TEST_REQUIRE") == "all" {
		t.Fatalf("this test needs %s: %v", what, err)
	}
	t.Skipf("this test needs %s: %v", what, err)
}
