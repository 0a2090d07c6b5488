package cli_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/internal/server"
)

// cmdSeed creates a log with one environment and many machines.
func cmdSeed(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: seed MACHINES")
	}
	count, err := strconv.Atoi(args[0])
	ts.Check(err)
	data := ts.Getenv("DROVER_DATA")
	ts.Check(os.MkdirAll(data, 0o700))
	log, err := server.OpenLog(context.Background(), server.LogConfig{Address: "sqlite:" +
		filepath.Join(data, "drover.db")})
	ts.Check(err)
	defer log.Close()
	ts.Check(appendTo(log, domain.EnvironmentStream("production"), domain.EnvironmentDefined{}))
	ts.Check(appendMachines(log, count))
}

// appendMachines appends concurrently, so that several appends share one commit of the log.
func appendMachines(log eventlog.Log, count int) error {
	const writers = 64
	var all sync.WaitGroup
	problems := make(chan error, writers)
	for writer := range writers {
		all.Go(func() {
			for i := writer; i < count; i += writers {
				if err := appendTo(log, domain.MachineStream(fmt.Sprintf("web-%05d", i)),
					domain.MachineAdded{Environment: "production", Roles: []string{"web"}}); err != nil {
					problems <- err
					return
				}
			}
		})
	}
	all.Wait()
	close(problems)
	return <-problems
}

func appendTo(log eventlog.Log, stream string, changes ...domain.Event) error {
	var events []eventlog.Event
	for _, change := range changes {
		name, data, err := domain.Encode(change)
		if err != nil {
			return err
		}
		events = append(events, eventlog.Event{ID: uuid.New(), Type: name, Data: data,
			Time: time.Now().UTC().Truncate(time.Microsecond)})
	}
	_, err := log.Append(context.Background(), stream, eventlog.NoStream, events...)
	return err
}
