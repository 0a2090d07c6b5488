package access

import (
	"context"
	"encoding/hex"
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

// People knows what persons are called. Events name a person by an opaque id alone; the name is stored beside the log, where
// it can be erased. Its methods may be called from many goroutines.
type People struct {
	store eventlog.Store
	clock engine.Clock

	mu    sync.Mutex // guards what follows
	names explain.Names
	read  time.Duration // when names were read; 0: never
}

// NewPeople returns the people whose names are in a store.
func NewPeople(store eventlog.Store, clock engine.Clock) *People {
	return &People{store: store, clock: clock}
}

const (
	// maxPersonName is the largest length of a name, in bytes.
	maxPersonName = 200
	// namesFor is how long names may be shown that another server has changed.
	namesFor = 2 * time.Second
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
		return explain.Person{}, problem.Invalid("the name %.200q has a character that cannot be printed", name)
	}
	sum := uuid.NewSHA1(uuid.UUID(key), []byte("person"))
	person := explain.Person{ID: "p-" + hex.EncodeToString(sum[:6]), Name: name}
	item := eventlog.Item{Key: person.ID, Sequence: 1, Time: p.clock.Now().UTC(), Data: []byte(name)}
	if err := p.store.Put(ctx, eventlog.People, item); err != nil {
		return explain.Person{}, err
	}
	p.forget()
	return person, nil
}

// Known returns a problem unless id is that of somebody whose name is known; an empty id is nobody's.
func (p *People) Known(ctx context.Context, id string) error {
	if id == "" {
		return nil
	}
	names, err := p.Names(ctx)
	if err != nil {
		return err
	}
	if _, known := names[id]; !known {
		return problem.NotFound("person %.80q does not exist, or was erased", id).WithHint("`drover person list` lists them")
	}
	return nil
}

// Erase deletes a person's name. What the person did stays in the log, under the id.
func (p *People) Erase(ctx context.Context, id string) error {
	p.forget()
	if err := p.Known(ctx, id); err != nil {
		return err
	}
	if err := p.store.Drop(ctx, eventlog.People, id); err != nil {
		return err
	}
	p.forget()
	return nil
}

// Names returns what persons are called, at most namesFor old. It must not be changed.
func (p *People) Names(ctx context.Context) (explain.Names, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := p.clock.Elapsed(); p.names == nil || now-p.read > namesFor {
		items, err := p.store.Newest(ctx, eventlog.People)
		if err != nil {
			return nil, err
		}
		p.names, p.read = make(explain.Names, len(items)), now
		for id, item := range items {
			p.names[id] = string(item.Data)
		}
	}
	return p.names, nil
}

// forget lets the names be read again.
func (p *People) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.names = nil
}
