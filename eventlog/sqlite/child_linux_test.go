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

// children are what this test binary does when a crash test starts it once more, as the
// process that is to die.
var children = map[string]func() error{
	"write":    childWrite,
	"open":     childOpen,
	"outgrown": childOutgrown,
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

// childLog opens the log that the environment names.
func childLog() (*sqlite.Log, error) {
	config := sqlite.Config{}
	if os.Getenv("DROVER_LOG_UNSYNCED") != "" {
		config = sqlite.Unsynced()
	}
	return sqlite.Open(context.Background(), os.Getenv("DROVER_LOG_PATH"), config)
}

// childOpen opens the log and leaves.
func childOpen() error {
	log, err := childLog()
	if err != nil {
		return err
	}
	return log.Close()
}

// childWrite appends one to three events at a time, in turn to a stream of its own and
// to one that it shares, and moves a cursor of the same name after each append. It prints a
// line for each event and each cursor once it is acknowledged.
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
		if last[stream], err = appendSurely(log, stream, last[stream], turn%3+1); err != nil {
			return err
		}
		if err := swapSurely(log, stream); err != nil {
			return err
		}
	}
	return log.Close()
}

// appendSurely appends n new events as a careful caller does: the same ids again after
// an unknown outcome, further on after a conflict.
func appendSurely(log eventlog.Log, stream string, expected eventlog.Revision, n int) (eventlog.Revision, error) {
	events := make([]eventlog.Event, n)
	for i := range events {
		events[i] = sample(0)
		events[i].ID = uuid.New()
	}
	var err error
	for range 1000 {
		var appended eventlog.Appended
		appended, err = log.Append(context.Background(), stream, expected, events...)
		var refused *eventlog.Conflict
		switch {
		case err == nil:
			for i, event := range events {
				fmt.Println("ack", stream, expected+1+eventlog.Revision(i), event.ID)
			}
			return appended.Revision, nil
		case errors.As(err, &refused):
			expected = refused.Actual
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

// swapSurely moves a cursor on as a careful caller does: the same Swap again after an unknown outcome.
func swapSurely(log eventlog.Store, key string) error {
	there, err := log.Newest(context.Background(), eventlog.Cursors)
	was := there[key].Sequence
	for range 1000 {
		if err != nil {
			return err
		}
		next := eventlog.Item{Key: key, Sequence: was + 1, Data: []byte(os.Getenv("DROVER_LOG_NAME"))}
		err = log.Swap(context.Background(), eventlog.Cursors, next, was)
		var moved *eventlog.SwapConflict
		switch {
		case err == nil:
			fmt.Println("cursor", key, next.Sequence)
			return nil
		case errors.As(err, &moved):
			was, err = moved.Sequence, nil
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
	return errors.New("the cursor does not move")
}

// told is what the children of one test have told their parent.
type told struct {
	acks    map[string]string // "stream revision" to id
	cursors map[string]int64  // key to the highest sequence that was acknowledged
	unknown int
	other   []string
}

// process is a child under way.
type process struct {
	command *exec.Cmd
	lines   *bufio.Scanner
	told    *told
}

// start begins a child; before is what stands before its command line, such as strace.
func (told *told) start(t *testing.T, before []string, what, path string, environment ...string) *process {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	line := append(before[:len(before):len(before)], os.Args[0])
	command := exec.CommandContext(ctx, line[0], line[1:]...)
	command.Env = append(os.Environ(), "DROVER_LOG_CHILD="+what, "DROVER_LOG_PATH="+path)
	command.Env = append(command.Env, environment...)
	command.Stderr = os.Stderr
	output, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	return &process{command: command, lines: bufio.NewScanner(output), told: told}
}

// listen records what the child says until it has acknowledged n events or ends.
func (p *process) listen(n int) {
	for n > 0 && p.lines.Scan() {
		words := strings.Fields(p.lines.Text())
		switch {
		case len(words) == 4 && words[0] == "ack":
			p.told.acks[words[1]+" "+words[2]] = words[3]
			n--
		case len(words) == 3 && words[0] == "cursor":
			p.told.moved(words[1], words[2])
		case len(words) > 0 && words[0] == "unknown":
			p.told.unknown++
		default:
			p.told.other = append(p.told.other, p.lines.Text())
		}
	}
}

// moved takes note of a cursor that was acknowledged.
func (told *told) moved(key, text string) {
	sequence, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		panic(err)
	}
	if told.cursors == nil {
		told.cursors = map[string]int64{}
	}
	told.cursors[key] = max(told.cursors[key], sequence)
}

// finish listens to the end and returns how the child ended.
func (p *process) finish() error {
	p.listen(int(^uint(0) >> 1))
	return p.command.Wait()
}

// kill ends the child with SIGKILL and still hears what it had said before.
func (p *process) kill(t *testing.T) {
	if err := p.command.Process.Kill(); !errors.Is(err, os.ErrProcessDone) {
		require.NoError(t, err)
	}
	_ = p.finish()
}

// lost opens the log at path, checks that it is whole, and returns how many of the
// acknowledged events are not where they were said to be, and how many cursors stand before
// where they were said to be.
func (told *told) lost(t *testing.T, path string) int {
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
	for place, id := range told.acks {
		if found[place] != id {
			lost++
		}
	}
	cursors, err := log.Newest(context.Background(), eventlog.Cursors)
	require.NoError(t, err)
	for key, sequence := range told.cursors {
		if cursors[key].Sequence < sequence {
			lost++
		}
	}
	return lost
}

// missing skips a test that lacks something of its machine, unless all must run.
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
