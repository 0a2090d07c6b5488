package server

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.uber.org/zap"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/internal/clock"
	"github.com/droverhq/drover/internal/config"
	"github.com/droverhq/drover/internal/ids"
	"github.com/droverhq/drover/projections"
)

// leaveContext makes sure that the user who runs this server can use it as a client. A log without
// a context gets an admin token of its own; one that has a context gets this address added to it. A
// server whose user has no home, or a folder that cannot be written, goes on without.
func (r *run) leaveContext(ctx context.Context) {
	path, err := config.ContextsPath()
	if err == nil {
		double, first := r.doubles(ctx, path)
		err = config.ChangeContexts(path, func(all *config.Contexts) (bool, error) { return r.enter(ctx, all, double, first) })
	}
	if err != nil {
		r.logger.Warn("no client context was written; `drover token create --log URL` makes a token while the server is stopped", zap.Error(err))
		return
	}
	r.logger.Info("client context is there", zap.String("file", path))
}

// enter keys the context by the id that the log was made with: the one it goes by changes when a restore is accepted, and
// the token stays good. A token that the log has lost with its newest events is replaced. Where a server of a double of this
// log is listed before this one, the context stays the double's.
func (r *run) enter(ctx context.Context, all *config.Contexts, double map[string]bool, first bool) (changed bool, err error) {
	log := r.engine.Made().String()
	c := all.Find(log)
	if other := ahead(c, r.endpoint.address, double); other != "" {
		r.logger.Warn("another log that was copied from this one, or that this one was copied from, is served at "+other+
			", and the client context stays with that; name this server with --server "+r.endpoint.address, zap.String("other", other))
		return all.Leave(log, r.endpoint.address), nil
	}
	for other := range double { // listed behind this server, which its clients speak to
		changed = all.Leave(log, other) || changed
	}
	if c == nil || !r.knows(c.Token) {
		text, err := Mint(ctx, r.engine, domain.TokenSettings{Scope: domain.AdminScope}, "server")
		switch {
		case err == nil && c != nil:
			c.Token, changed = text, true
		case err == nil:
			all.Add(config.Context{Log: log, Token: text})
			changed = true
		case c == nil || !errors.Is(err, engine.ErrLostEvents):
			return false, err
		}
	}
	return all.Serve(log, r.endpoint.address, r.endpoint.ca, first) || changed, nil
}

// knows says whether the log has heard of a token, be it revoked since.
func (r *run) knows(token string) (known bool) {
	id, _, _ := strings.Cut(token, ".")
	r.engine.Read(func(v *projections.View) { known = v.Tokens[id] != nil })
	return known
}

// Mint makes a token and returns its text, which nothing else will ever show again.
func Mint(ctx context.Context, e *engine.Engine, settings domain.TokenSettings, by string) (string, error) {
	token := ids.NewToken()
	command := domain.CreateToken{ID: token.ID, Settings: settings, Hash: token.Hash(), Origin: domain.ServerOrigin(by, e.Server())}
	if _, err := e.Handle(ctx, ids.New(), command); err != nil {
		return "", fmt.Errorf("make a token: %w", err)
	}
	return token.Text(), nil
}

// MintIn makes a token in a log that no server needs to have open.
func MintIn(ctx context.Context, log eventlog.Backend, settings domain.TokenSettings, by string) (string, error) {
	if err := eventlog.CheckNotImporting(ctx, log); err != nil {
		return "", err
	}
	e, err := engine.Open(ctx, engine.Config{Log: log, Clock: clock.New(), Server: ids.New()})
	if err != nil {
		return "", err
	}
	return Mint(ctx, e, settings, by)
}
