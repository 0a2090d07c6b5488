package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/droverhq/drover/eventlog"
)

// room is a log that remembers that its disk was full, until a trial shows that there is room. One append
// that works says little: on a full disk small ones do now and then.
type room struct {
	eventlog.Backend
	folder string // of the log's file; empty: it is kept elsewhere, and there is no trial

	mu   sync.Mutex
	full bool
}

// trialBytes is how much must fit before a full disk counts as one with room.
const trialBytes = 64 << 10

// Append notes how it went.
func (r *room) Append(ctx context.Context, stream string, expected eventlog.Revision, events ...eventlog.Event) (eventlog.Appended, error) {
	appended, err := r.Backend.Append(ctx, stream, expected, events...)
	if err == nil && r.folder == "" {
		r.set(false)
	} else if errors.Is(err, eventlog.ErrFull) {
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
	return fmt.Errorf("%w: writes are refused until there is room in %s", eventlog.ErrFull, r.folder)
}

// try finds out whether there is room again.
func (r *room) try() {
	if r.Ready() == nil || r.folder == "" {
		return
	}
	file, err := os.CreateTemp(r.folder, ".drover-room-*")
	if err != nil {
		return
	}
	defer os.Remove(file.Name())
	_, err = file.Write(make([]byte, trialBytes))
	if errors.Join(err, file.Sync(), file.Close()) == nil {
		r.set(false)
	}
}
