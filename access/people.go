package access

import (
	"context"
	"encoding/hex"
	"errors"
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

// People stores the names of people. Events name a person by an opaque id alone; the name is stored beside the log, where it
// can be erased: an item without data under the id says that it was. Its methods may be called from many goroutines.
type People struct {
	store eventlog.Store
	clock engine.Clock
	turn  chan struct{} // a place in it is the right to read the store

	mu    sync.Mutex // guards what follows; nothing is called under it
	names explain.Names
	read  time.Duration // when names were read
}

// NewPeople returns the people whose names are in a store.
func NewPeople(store eventlog.Store, clock engine.Clock) *People {
	return &People{store: store, clock: clock, turn: make(chan struct{}, 1)}
}

const (
	// maxPersonName is the largest length of a name, in bytes.
	maxPersonName = 200
	// namesFor is how long this server may show a name after another server changed or erased it.
	namesFor = 2 * time.Second
	// namesWithin is how long an answer waits for names.
	namesWithin = 2 * time.Second
)

// Add stores a name under a new id. The id derives from the key of the request, so that a request that is sent again
// adds nobody.
func (p *People) Add(ctx context.Context, key domain.ID, name string) (explain.Person, error) {
	name = strings.TrimSpace(name)
	switch {
	case name == "" || len(name) > maxPersonName || !utf8.ValidString(name):
		return explain.Person{}, problem.Invalid("the name has %d bytes", len(name)).
			WithHint("use 1 to %d bytes of UTF-8", maxPersonName)
	case strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return explain.Person{}, problem.Invalid("the name %.200q has an unprintable character", name)
	}
	sum := uuid.NewSHA1(uuid.UUID(key), []byte("person"))
	person := explain.Person{ID: "p-" + hex.EncodeToString(sum[:6]), Name: name}
	item := eventlog.Item{Key: person.ID, Sequence: 1, Time: p.clock.Now().UTC(), Data: []byte(name)}
	err := p.store.Swap(ctx, eventlog.People, item, 0)
	if errors.As(err, new(*eventlog.SwapConflict)) {
		return p.again(ctx, person)
	}
	return person, p.changed(err)
}

// again answers a request whose key was used before.
func (p *People) again(ctx context.Context, person explain.Person) (explain.Person, error) {
	names, err := p.load(ctx)
	if err == nil && names[person.ID] != person.Name {
		err = problem.Conflict("the key was used for another person, or for one whose name was erased").
			WithHint("send each write under a key of its own")
	}
	return person, err
}

// Known returns a problem if no name is stored under id. An empty id means nobody and is accepted.
func (p *People) Known(ctx context.Context, id string) error {
	if id == "" {
		return nil
	}
	names, err := p.load(ctx) // another server may have stored the name a moment ago
	if err == nil && names[id] == "" {
		err = problem.NotFound("person %.80q does not exist, or was erased", id).WithHint("`drover person list` lists them")
	}
	return err
}

// Erase deletes a person's name. What the person did stays in the log, under the id.
func (p *People) Erase(ctx context.Context, id string) error {
	err := p.Known(ctx, id)
	if err == nil {
		err = p.store.Drop(ctx, eventlog.People, id) // a name that is only replaced may linger in a file
	}
	if err == nil {
		err = p.store.Put(ctx, eventlog.People, eventlog.Item{Key: id, Sequence: 1, Time: p.clock.Now().UTC()})
	}
	return p.changed(err)
}

// Names returns the names of people, at most namesFor old. If the store does not answer, it returns those that were read last,
// or nil if none were. Callers must not change the map.
func (p *People) Names(ctx context.Context) explain.Names {
	if names, fresh := p.last(); fresh {
		return names
	}
	ctx, cancel := context.WithTimeout(ctx, namesWithin)
	defer cancel()
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		names, _ := p.last()
		return names
	}
	names, fresh := p.last()
	if !fresh { // nobody has read them while this one waited
		if read, err := p.load(ctx); err == nil {
			return read
		}
	}
	return names
}

// last returns the names that were read last, and whether they are new enough to be shown.
func (p *People) last() (names explain.Names, fresh bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.names, p.names != nil && p.clock.Elapsed()-p.read <= namesFor
}

// load reads the names.
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

// changed lets the names be read again after a write, whose error it returns.
func (p *People) changed(err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.read = -2 * namesFor
	return err
}
