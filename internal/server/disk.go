package server

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/droverhq/drover/eventlog"
)

// diskGuard is a log that remembers two faults: its files are not in their place, or its disk was full. It remembers a full
// disk until a test write shows that there is free space. A successful append is not enough evidence, because small
// appends sometimes succeed on a full disk.
type diskGuard struct {
	eventlog.Backend
	folder string // of the log's file; empty if the log is not a file, and then the test write goes to the log's store
	// checker is nil if the log cannot lose its place.
	checker eventlog.Checker

	mu        sync.Mutex
	full      bool
	misplaced error
}

// testBytes is how much must fit before a full disk counts as having free space.
const testBytes = 64 << 10

// Append appends to the log and records whether the disk is full.
func (g *diskGuard) Append(ctx context.Context, stream string, expected eventlog.Revision,
	events ...eventlog.Event) (eventlog.Appended, error) {
	appended, err := g.Backend.Append(ctx, stream, expected, events...)
	if errors.Is(err, eventlog.ErrFull) {
		g.set(true)
	}
	return appended, err
}

func (g *diskGuard) set(full bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.full = full
}

// Ready returns an error if a file of the log was deleted, moved or replaced, or if an append failed on a full disk and
// there has been no free space since.
func (g *diskGuard) Ready() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.misplaced != nil || !g.full {
		return g.misplaced
	}
	return fmt.Errorf("%w: writes are refused until there is free space in %s", eventlog.ErrFull,
		cmp.Or(g.folder, "the database"))
}

// Check returns an error if a file of the log is not in its place now, see eventlog.Checker.
func (g *diskGuard) Check(ctx context.Context) error {
	if g.checker == nil {
		return nil
	}
	return g.checker.Check(ctx)
}

// check looks whether the files of the log are still in their place, so that an idle server detects it too.
func (g *diskGuard) check(ctx context.Context) {
	err := g.Check(ctx)
	if ctx.Err() != nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.misplaced = err
}

// probe checks whether there is free space again. It must not wait for a request to find out, because load balancers
// send no requests to a server that is not ready.
func (g *diskGuard) probe(ctx context.Context) {
	if !g.isFull() {
		return
	}
	test := g.testFolder
	if g.folder == "" {
		test = func() error { return g.testOutput(ctx) }
	}
	if test() == nil {
		g.set(false)
	}
}

func (g *diskGuard) isFull() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.full
}

func (g *diskGuard) testFolder() error {
	file, err := os.CreateTemp(g.folder, ".drover-room-*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	_, err = file.Write(make([]byte, testBytes))
	return errors.Join(err, file.Sync(), file.Close())
}

// testOutput stores output that belongs to no deployment. It is deleted with the other old output. The data is random,
// so that the database cannot compress it.
func (g *diskGuard) testOutput(ctx context.Context) error {
	data := make([]byte, testBytes)
	_, _ = rand.Read(data) // never fails: crypto/rand ends the program instead
	return g.Add(ctx, eventlog.Output,
		eventlog.Item{Key: eventlog.OutputKey(uuid.New(), "room"), Sequence: 1, Time: time.Now(), Data: data})
}
