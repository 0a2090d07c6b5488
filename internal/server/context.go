package server

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/droverhq/drover/access"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/internal/clock"
	"github.com/droverhq/drover/internal/config"
	"github.com/droverhq/drover/internal/ids"
	"github.com/droverhq/drover/internal/transport"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/serverkey"
)

// writeContext lets the user who runs this server use it as a client. If the log has no context yet, writeContext
// creates an admin token and a context; otherwise it adds this server's address to the context. If the user has no home
// folder, or the folder is not writable, the server runs without a context.
func (r *run) writeContext(ctx context.Context) {
	path, err := config.ContextsPath()
	if err == nil {
		copies, first := r.serversOfCopies(ctx, path)
		err = config.ChangeContexts(path, func(all *config.Contexts) (bool, error) {
			return r.addTo(ctx, all,
				copies, first)
		})
	}
	if err != nil {
		r.logger.Warn("could not write the client context; to create a token, stop the server and run "+
			"`drover token create --log URL`", zap.Error(err))
		return
	}
	r.logger.Info("client context ready", zap.String("file", path))
	r.warnOtherContext(path)
}

// warnOtherContext says how to use this server if the current context of the user is that of another one.
func (r *run) warnOtherContext(path string) {
	all, err := config.ReadContexts(path)
	own, current := all.Find(r.engine.OriginalID().String()), all.Find(all.Current)
	if err != nil || own == nil || current == nil || own.Log == current.Log {
		return
	}
	r.logger.Warn(fmt.Sprintf("commands go to context %s, not to this server; `drover context use %s` changes that",
		all.NameOf(current), all.NameOf(own)))
}

// addTo adds this server to the context of its log. The key of the context is the id with which the log was created:
// the current id changes when a restore is accepted, but the token stays valid. A token that the log lost with its
// newest events is replaced. The server key of the context becomes that of the log, because this user has started the
// server. copies are the listed servers that serve a copy of this log. If one of them is listed before this server, the
// context keeps that server.
func (r *run) addTo(ctx context.Context, all *config.Contexts, copies map[string]bool,
	first bool) (changed bool, err error) {
	log := r.engine.OriginalID().String()
	c := all.Find(log)
	if other := listedBefore(c, r.endpoint.address, copies); other != "" {
		r.logger.Warn("the server at "+other+" serves a copy of this log, or its original, and the client context "+
			"keeps that server; use --server "+r.endpoint.address+" and --token for this one, and give a copy another key "+
			"with `drover server-key rotate`", zap.String("other", other))
		return all.RemoveServer(log, r.endpoint.address), nil
	}
	for other := range copies { // they are listed after this server, and clients use the first one
		changed = all.RemoveServer(log, other) || changed
	}
	if c == nil || !r.knows(c.Token) {
		text, err := r.createContextToken(ctx)
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
	c = all.Find(log)
	changed = c.Pin(r.engine.ServerKey().Public().String()) || changed
	changed = c.AddSocket(r.socket.address) || changed
	return all.AddServer(log, r.endpoint.address, r.endpoint.ca, first) || changed, nil
}

// listOthers adds the addresses of the other running servers of the log to the context that lists this server, so that
// commands can use them when this server is down. Addresses on loopback belong to other machines. The lease loop calls
// it.
func (r *run) listOthers() error {
	others := r.otherAddresses()
	if slices.Equal(others, r.listed) {
		return nil
	}
	path, err := config.ContextsPath()
	if err != nil {
		return nil // a user without a home directory has no contexts
	}
	log := r.engine.OriginalID().String()
	err = config.ChangeContexts(path, func(all *config.Contexts) (changed bool, err error) {
		if c := all.Find(log); c == nil || !c.Lists(r.endpoint.address) { // it may be that of a copy of the log
			return false, nil
		}
		for _, address := range others {
			changed = all.AddServer(log, address, "", false) || changed
		}
		return changed, nil
	})
	if err == nil {
		r.listed = others
	}
	return err
}

// otherAddresses returns the sorted addresses of the other running servers that this machine can reach.
func (r *run) otherAddresses() (addresses []string) {
	r.engine.Read(func(v *projections.View) {
		for id, s := range v.Servers {
			u, err := url.Parse(s.Facts.Address)
			if err == nil && u.Host != "" && !transport.IsLoopback(u.Hostname()) && id != r.engine.Server() && r.engine.Alive(id) {
				addresses = append(addresses, s.Facts.Address)
			}
		}
	})
	return domain.SortedUnique(addresses)
}

// knows reports whether the log contains a token, including a revoked one.
func (r *run) knows(token string) (known bool) {
	id, _, _ := strings.Cut(token, ".")
	r.engine.Read(func(v *projections.View) { known = v.Tokens[id] != nil })
	return known
}

// createContextToken creates the admin token of the client context. Its name contains the name of this machine, unless
// another user of the machine has such a token.
func (r *run) createContextToken(ctx context.Context) (string, error) {
	request := access.TokenRequest{Scope: domain.AdminScope, Name: contextTokenName(os.Hostname())}
	made, err := createToken(ctx, r.engine, request, "server")
	if rejected := (*domain.Rejection)(nil); errors.As(err, &rejected) {
		request.Name = ""
		made, err = createToken(ctx, r.engine, request, "server")
	}
	return made.Text, err
}

// contextTokenName returns the name of the token that the server on a machine creates for its user.
func contextTokenName(host string, err error) string {
	name := "context-" + host
	if err != nil || domain.CheckName("token name", name) != nil {
		return ""
	}
	return name
}

// NewToken is a token that was created. Its text cannot be recovered later.
type NewToken struct {
	Text     string
	Settings domain.TokenSettings
}

// createToken creates a token.
func createToken(ctx context.Context, e *engine.Engine, request access.TokenRequest, by string) (NewToken, error) {
	token := ids.NewToken()
	now, _ := e.CredibleTime()
	settings, err := request.Settings(token.ID, now)
	if err != nil {
		return NewToken{}, err
	}
	command := domain.CreateToken{ID: token.ID, Settings: settings, Hash: token.Hash(), Now: now,
		Origin: domain.ServerOrigin(by, e.Server())}
	if settings.Join {
		command.Verifier = token.Verifier()
	}
	if _, err := e.Handle(ctx, ids.New(), command); err != nil {
		return NewToken{}, fmt.Errorf("create a token: %w", err)
	}
	return NewToken{token.Text(), settings}, nil
}

// RotateServerKeyInLog replaces the server key of a log and returns the new one. No server has to run.
func RotateServerKeyInLog(ctx context.Context, log eventlog.Backend, by string) (serverkey.Public, error) {
	if err := eventlog.CheckNotImporting(ctx, log); err != nil {
		return serverkey.Public{}, err
	}
	e, err := engine.Open(ctx, engine.Config{Log: log, Clock: clock.New(), Server: ids.New()})
	if err != nil {
		return serverkey.Public{}, err
	}
	key, err := serverkey.New()
	if err != nil {
		return serverkey.Public{}, err
	}
	command := domain.RotateServerKey{Public: key.Public().String(), Secret: key.Secret(),
		Origin: domain.ServerOrigin(by, e.Server())}
	if _, err := e.Handle(ctx, ids.New(), command); err != nil {
		return serverkey.Public{}, fmt.Errorf("rotate the server key: %w", err)
	}
	return e.ServerKey().Public(), nil
}

// ServerKeyOfLog returns the server key of a log, or the zero key. No server has to run.
func ServerKeyOfLog(ctx context.Context, log eventlog.Backend) (serverkey.Public, error) {
	e, err := engine.Open(ctx, engine.Config{Log: log, Clock: clock.New(), Server: ids.New()})
	if err != nil {
		return serverkey.Public{}, err
	}
	return e.ServerKey().Public(), nil
}

// CreateTokenInLog creates a token in a log. No server has to run.
func CreateTokenInLog(ctx context.Context, log eventlog.Backend, request access.TokenRequest, by string) (NewToken,
	error) {
	if err := eventlog.CheckNotImporting(ctx, log); err != nil {
		return NewToken{}, err
	}
	e, err := engine.Open(ctx, engine.Config{Log: log, Clock: clock.New(), Server: ids.New()})
	if err != nil {
		return NewToken{}, err
	}
	return createToken(ctx, e, request, by)
}
