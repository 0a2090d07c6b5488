package access

import (
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/droverhq/drover/api/problem"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/explain"
)

// People stores the names of people. Events identify a person only by an opaque id. The names are stored beside the
// log, where they can be erased: an item without data means that the name was erased. People is safe for concurrent
// use.
type People struct {
	store   eventlog.Store
	clock   engine.Clock
	reading chan struct{} // a semaphore: one goroutine at a time reads the names for Names

	mu    sync.Mutex // guards the fields below
	names explain.Names
	read  time.Duration // when names were read, by the monotonic clock
}

// NewPeople returns a People that stores names in store.
func NewPeople(store eventlog.Store, clock engine.Clock) *People {
	return &People{store: store, clock: clock, reading: make(chan struct{}, 1)}
}

const (
	// maxNameBytes is the maximum length of a name.
	maxNameBytes = 200
	// namesMaxAge is how long this server may show a name after another server changed or erased it.
	namesMaxAge = 2 * time.Second
	// namesTimeout is how long a response waits for names.
	namesTimeout = 2 * time.Second
)

// Add stores a name under a new id. The id derives from the idempotency key of the request, so that a repeated request
// adds no second person.
func (p *People) Add(ctx context.Context, key domain.ID, name string) (explain.Person, error) {
	name = strings.TrimSpace(name)
	switch {
	case name == "" || len(name) > maxNameBytes || !utf8.ValidString(name):
		return explain.Person{}, problem.Invalid("invalid name of %d bytes", len(name)).
			WithHint("use 1 to %d bytes of UTF-8", maxNameBytes)
	case strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return explain.Person{}, problem.Invalid("the name %.200q contains an unprintable character", name)
	}
	sum := uuid.NewSHA1(uuid.UUID(key), []byte("person"))
	person := explain.Person{ID: "p-" + hex.EncodeToString(sum[:6]), Name: name}
	item := eventlog.Item{Key: person.ID, Sequence: 1, Time: p.clock.Now().UTC(), Data: []byte(name)}
	err := p.store.Swap(ctx, eventlog.People, item, 0)
	if errors.As(err, new(*eventlog.SwapConflict)) {
		return p.repeated(ctx, person)
	}
	return person, p.invalidate(err)
}

// repeated returns the result for a request whose idempotency key was used before.
func (p *People) repeated(ctx context.Context, person explain.Person) (explain.Person, error) {
	names, err := p.load(ctx)
	if err == nil && names[person.ID] != person.Name {
		err = problem.Conflict("the idempotency key was used for another person, or the person's name was erased").
			WithHint("use a new idempotency key for each request")
	}
	return person, err
}

// Check returns a problem if there is no name for id. It accepts an empty id, which means no person.
func (p *People) Check(ctx context.Context, id string) error {
	if id == "" {
		return nil
	}
	names, err := p.load(ctx) // not cached: another server may just have stored the name
	if err == nil && names[id] == "" {
		err = problem.NotFound("person %.80q does not exist or was erased", id).WithHint("`drover person list` lists them")
	}
	return err
}

// Find returns the id of the person with an id or a name. It returns a problem if nobody, or more than one person,
// has the name.
func (p *People) Find(ctx context.Context, text string) (id string, err error) {
	names, err := p.load(ctx) // not cached: another server may just have stored the name
	if err != nil || names[text] != "" {
		return text, err
	}
	var found []string
	for id, name := range names {
		if name == text && text != "" {
			found = append(found, id)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", problem.NotFound("person %.80q does not exist or was erased", text).
			WithHint("`drover person list` lists them, `drover person add NAME` adds one")
	}
	slices.Sort(found)
	return "", problem.Conflict("%d people have the name %.80q: %s", len(found), text, strings.Join(found, ", ")).
		WithHint("use the id")
}

// Erase deletes a person's name. The log retains the person's actions under the id.
func (p *People) Erase(ctx context.Context, id string) error {
	err := p.Check(ctx, id)
	if err == nil {
		err = p.store.Drop(ctx, eventlog.People, id) // a Put alone could leave the name in a file of the store
	}
	if err == nil {
		err = p.store.Put(ctx, eventlog.People, eventlog.Item{Key: id, Sequence: 1, Time: p.clock.Now().UTC()})
	}
	return p.invalidate(err)
}

// Names returns the names of people, at most namesMaxAge old. If the store does not respond, it returns the names that
// were read last, or nil. Callers must not change the map.
func (p *People) Names(ctx context.Context) explain.Names {
	if names, fresh := p.cached(); fresh {
		return names
	}
	ctx, cancel := context.WithTimeout(ctx, namesTimeout)
	defer cancel()
	select {
	case p.reading <- struct{}{}:
		defer func() { <-p.reading }()
	case <-ctx.Done():
		names, _ := p.cached()
		return names
	}
	names, fresh := p.cached()
	if !fresh { // no other goroutine has read them during the wait
		if read, err := p.load(ctx); err == nil {
			return read
		}
	}
	return names
}

// cached returns the names that were read last, and whether they are at most namesMaxAge old.
func (p *People) cached() (names explain.Names, fresh bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.names, p.names != nil && p.clock.Elapsed()-p.read <= namesMaxAge
}

// load reads the names from the store and caches them.
func (p *People) load(ctx context.Context) (explain.Names, error) {
	now := p.clock.Elapsed()
	items, err := p.store.Newest(ctx, eventlog.People)
	if err != nil {
		return nil, err
	}
	names := make(explain.Names, len(items))
	for id, item := range items {
		names[id] = string(item.Data)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.names, p.read = names, now
	return names, nil
}

// invalidate invalidates the cache after a write and returns the error of the write.
func (p *People) invalidate(err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.read = -2 * namesMaxAge
	return err
}
