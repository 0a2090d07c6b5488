package access

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/droverhq/drover/eventlog"
)

const (
	// storeUsesEvery is how much later than the stored time a use must be to be stored. A token in constant use therefore
	// costs one write per hour, however many servers it is used on.
	storeUsesEvery = time.Hour
	// usesMaxAge is how old the stored times may be that LastUses returns.
	usesMaxAge = 2 * time.Second
	// usesTimeout is how long LastUses waits for the store.
	usesTimeout = 2 * time.Second
)

// uses records when tokens were last used. A use is not an event: it is kept in memory, and stored beside the log at
// most once an hour for each token.
type uses struct {
	store eventlog.Store // nil: uses are not stored; set before the first use

	mu     sync.Mutex           // guards the fields below
	here   map[string]time.Time // last use on this server, by token
	stored map[string]time.Time // as far as this server knows
	read   time.Duration        // when stored was read, by the monotonic clock; 0: never
}

// StoreUsesIn makes StoreUses store the last uses of tokens. It is called before the first request.
func (a *Access) StoreUsesIn(store eventlog.Store) { a.uses.store = store }

// use records a use of a token, and reports whether it is the first one on this server for an hour.
func (u *uses) use(token string, now time.Time) (first bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	last, known := u.here[token]
	if known && !now.After(last) {
		return false
	}
	if u.here == nil {
		u.here = map[string]time.Time{}
	}
	hour := now.Truncate(storeUsesEvery)
	u.here[token] = now
	return !known || last.Before(hour)
}

// due returns the uses that were not stored yet and are at least d later than what is stored.
func (u *uses) due(d time.Duration) map[string]time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	due := map[string]time.Time{}
	for token, at := range u.here {
		if stored, known := u.stored[token]; !known || at.After(stored) && at.Sub(stored) >= d {
			due[token] = at
		}
	}
	return due
}

// StoreUses stores the uses of tokens that are at least an hour later than the stored ones. With all, which is for a
// server that stops, it also stores later uses within the hour.
func (a *Access) StoreUses(ctx context.Context, all bool) error {
	u, atLeast := &a.uses, storeUsesEvery
	if all {
		atLeast = time.Minute
	}
	due := u.due(atLeast)
	if u.store == nil || len(due) == 0 {
		return nil
	}
	items, err := a.readUses(ctx) // another server may have stored later uses
	if err != nil {
		return err
	}
	for token, at := range due {
		item, known := items[token]
		if known && at.Sub(item.Time) < atLeast {
			continue
		}
		put := eventlog.Item{Key: token, Sequence: item.Sequence + 1, Time: at.UTC()}
		if stored := u.store.Put(ctx, eventlog.TokenUses, put); stored != nil {
			err = errors.Join(err, stored)
			break // the others would fail too
		}
		u.remember(token, at)
	}
	return err
}

// remember records what is stored for a token.
func (u *uses) remember(token string, at time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.stored == nil {
		u.stored = map[string]time.Time{}
	}
	u.stored[token] = at
}

// readUses reads the stored uses of all tokens.
func (a *Access) readUses(ctx context.Context) (map[string]eventlog.Item, error) {
	now := a.clock.Elapsed()
	items, err := a.uses.store.Newest(ctx, eventlog.TokenUses)
	if err != nil {
		return nil, err
	}
	u := &a.uses
	u.mu.Lock()
	defer u.mu.Unlock()
	u.stored, u.read = make(map[string]time.Time, len(items)), max(now, 1)
	for token, item := range items {
		u.stored[token] = item.Time
	}
	return items, nil
}

// LastUses returns when each token was last used, by its id. Uses on other servers may be missing for an hour. If the
// store does not answer, it returns what this server knows.
func (a *Access) LastUses(ctx context.Context) map[string]time.Time {
	u := &a.uses
	u.mu.Lock()
	fresh := u.store == nil || u.read != 0 && a.clock.Elapsed()-u.read <= usesMaxAge
	u.mu.Unlock()
	if !fresh {
		ctx, cancel := context.WithTimeout(ctx, usesTimeout)
		defer cancel()
		_, _ = a.readUses(ctx) // on an error, the uses on this server are still known
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	last := make(map[string]time.Time, len(u.stored))
	for _, known := range []map[string]time.Time{u.stored, u.here} {
		for token, at := range known {
			if at.After(last[token]) {
				last[token] = at
			}
		}
	}
	return last
}
