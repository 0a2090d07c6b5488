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

// room is a log that remembers that its disk was full, until a trial shows that there is room. One append
// that works says little: on a full disk small ones do now and then.
type room struct {
	eventlog.Backend
	folder string // of the log's file; empty: it is kept elsewhere, and the trial is made there

	mu   sync.Mutex
	full bool
}

// trialBytes is how much must fit before a full disk counts as one with room.
const trialBytes = 64 << 10

// Append notes how it went.
func (r *room) Append(ctx context.Context, stream string, expected eventlog.Revision, events ...eventlog.Event) (eventlog.Appended, error) {
	appended, err := r.Backend.Append(ctx, stream, expected, events...)
	if errors.Is(err, eventlog.ErrFull) {
		r.set(true)
	}
	return appended, err
}

func (r *room) set(full bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.full = full
}

// Ready says that there was no room for an append, and none since.
func (r *room) Ready() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.full {
		return nil
	}
	return fmt.Errorf("%w: writes are refused until there is room in %s", eventlog.ErrFull, cmp.Or(r.folder, "the database"))
}

// try finds out whether there is room again. Nobody else would: who spreads requests over the servers sends none to
// one that is not ready.
func (r *room) try(ctx context.Context) {
	if r.Ready() == nil {
		return
	}
	trial := r.tryFolder
	if r.folder == "" {
		trial = func() error { return r.tryOutput(ctx) }
	}
	if trial() == nil {
		r.set(false)
	}
}

func (r *room) tryFolder() error {
	file, err := os.CreateTemp(r.folder, ".drover-room-*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	_, err = file.Write(make([]byte, trialBytes))
	return errors.Join(err, file.Sync(), file.Close())
}

// tryOutput keeps output of no deployment, which is deleted with the rest when it is old. No two bytes of it are
// alike, or it could be kept in less.
func (r *room) tryOutput(ctx context.Context) error {
	data := make([]byte, trialBytes)
	_, _ = rand.Read(data) // never fails: crypto/rand ends the program instead
	return r.Add(ctx, eventlog.Output, eventlog.Item{Key: eventlog.OutputKey(uuid.New(), "room"), Sequence: 1, Time: time.Now(), Data: data})
}
