package engine

import (
	"context"
	"fmt"

	"go.uber.org/zap"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/serverkey"
)

// signer is a server key that was parsed from the view.
type signer struct {
	created eventlog.Position
	public  string
	key     serverkey.Key
}

// ServerKey returns the key by which the servers of this log prove themselves. It is the zero key if the log has none
// that is valid.
func (e *Engine) ServerKey() serverkey.Key {
	var stored projections.ServerKey
	e.Read(func(v *projections.View) {
		if v.ServerKey != nil {
			stored = *v.ServerKey
		}
	})
	if stored.Created == 0 {
		return serverkey.Key{}
	}
	if s := e.signer.Load(); s != nil && s.created == stored.Created && s.public == stored.Public {
		return s.key
	}
	key, err := serverkey.ParseSecret(stored.Secret)
	if err == nil && key.Public().String() != stored.Public {
		key, err = serverkey.Key{}, fmt.Errorf("its private half does not belong to %.80q", stored.Public)
	}
	if err != nil {
		e.log.Error("the server key in the log is invalid", zap.Stringer("position", stored.Created), zap.Error(err))
	}
	e.signer.Store(&signer{created: stored.Created, public: stored.Public, key: key})
	return key
}

// EnsureServerKey creates the server key if the log has none. If several servers do that at the same time, the log
// accepts the key of one of them, and all use it. A server that must not decide creates the key too: without it no
// client or agent could tell that the server is genuine. A running server whose log was restored from a backup without
// a key adds the key that it used before.
func (e *Engine) EnsureServerKey(ctx context.Context) error {
	exists, aside := false, false
	e.Read(func(v *projections.View) {
		exists, aside = v.ServerKey != nil, v.SetAside(domain.ServerKeyStream)
	})
	if exists || aside { // a set-aside stream is reported as such
		e.ServerKey() // remembers the key
		return nil
	}
	var key serverkey.Key
	if s := e.signer.Load(); s != nil {
		key = s.key
	}
	if key.IsZero() {
		var err error
		if key, err = serverkey.New(); err != nil {
			return err
		}
	}
	d := domain.Decision{Kind: "server-key", Stream: domain.ServerKeyStream,
		Events: []domain.Event{domain.ServerKeyCreated{Public: key.Public().String(), Secret: key.Secret()}}}
	if _, err := e.appendAll(ctx, e.planned([]domain.Decision{d})); err != nil {
		return fmt.Errorf("append the server key: %w", err)
	}
	defer e.ServerKey()   // remembers the key
	return e.CatchUp(ctx) // after a conflict this reads the key of another server
}
