package cli

import (
	"cmp"
	"context"
	"slices"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/internal/config"
	"github.com/droverhq/drover/internal/server"
	"github.com/droverhq/drover/serverkey"
)

// target is where a command sends its requests, and what the servers must prove before they receive the token.
type target struct {
	servers   []string
	token, ca string
	key       serverkey.Public // zero: any server that knows the token
	proven    func(address string, key serverkey.Public)
	// unlisted is the first address that the context does not list. No token is sent then.
	unlisted string
	// pinned is the key of the context, zero without one.
	pinned serverkey.Public
}

// target decides which token is sent where. The token of a context is sent only to an address that the context lists, or
// that the user adds with --accept-server. Any other address needs a token that the user names. found may be nil.
func (a *app) target(found *config.Context) (t target, err error) {
	accepted, err := a.acceptedKey()
	if err != nil {
		return t, err
	}
	t = target{servers: a.servers, token: a.token, ca: a.ca, key: accepted}
	defer func() { t.servers = firstNonEmpty(t.servers, []string{"http://" + server.DefaultListen}) }()
	if found == nil {
		return t, nil
	}
	if t.pinned, err = pinnedKey(found); err != nil {
		return t, err
	}
	missing := slices.IndexFunc(a.servers, func(s string) bool { return !found.Lists(s) })
	switch {
	case missing < 0:
		if t.key.IsZero() {
			t.key = t.pinned
		}
	case a.token != "":
		return t, nil // the context is about other servers
	case accepted.IsZero(), !t.pinned.IsZero() && t.pinned != accepted:
		t.unlisted = a.servers[missing]
		return t, nil
	}
	t.servers, t.ca = firstNonEmpty(a.servers, found.Servers), cmp.Or(a.ca, found.CA)
	t.token = cmp.Or(a.token, found.Token)
	if !accepted.IsZero() && (accepted != t.pinned || missing >= 0) || t.pinned.IsZero() && a.token == "" {
		t.proven = a.pins(found.Log, accepted)
	}
	return t, nil
}

// acceptedKey returns the key of --accept-server, or the zero key.
func (a *app) acceptedKey() (key serverkey.Public, err error) {
	if a.acceptServer == "" {
		return key, nil
	}
	key, err = serverkey.Parse(a.acceptServer)
	if err != nil {
		return key, usage("--accept-server: %v", err)
	}
	return key, nil
}

// pinnedKey returns the server key of a context, or the zero key.
func pinnedKey(c *config.Context) (key serverkey.Public, err error) {
	if c.ServerKey == "" {
		return key, nil
	}
	key, err = serverkey.Parse(c.ServerKey)
	if err != nil {
		return key, invalid("the client context of log %s: %v; correct it, or delete it to accept the key of its servers",
			c.Log, err)
	}
	return key, nil
}

// pins returns a function that records the key of a server, which has just been proven, in the context of a log. An
// accepted key replaces another one, and its server is added to the context.
func (a *app) pins(log string, accepted serverkey.Public) func(string, serverkey.Public) {
	return func(address string, key serverkey.Public) {
		path, err := config.ContextsPath()
		if err == nil {
			err = config.ChangeContexts(path, func(all *config.Contexts) (changed bool, err error) {
				c := all.Find(log)
				if c == nil || accepted.IsZero() && c.ServerKey != "" {
					return false, nil // another program was faster
				}
				changed = c.Pin(key.String())
				if !c.Lists(address) {
					changed = all.AddServer(log, address, "", false) || changed
				}
				return changed, nil
			})
		}
		if err != nil {
			a.info("could not record the server key %s: %v", key, err)
		}
	}
}

// currentContext returns the context that lists the servers of --server, or nil. Unlike context, it waits for nothing,
// and it finds none in a damaged file: the flags name all that is needed.
func (a *app) currentContext() (*config.Context, error) {
	path, err := config.ContextsPath()
	if err != nil {
		return nil, nil
	}
	all, err := config.ReadContexts(path)
	if err != nil {
		return nil, nil
	}
	found := all.For(a.servers[0])
	if found == nil || slices.ContainsFunc(a.servers, func(s string) bool { return !found.Lists(s) }) {
		return nil, nil
	}
	return found, nil
}

// retarget returns the target for a server that has been added to the context meanwhile, because it was starting, or the
// error for an unlisted server.
func (a *app) retarget(ctx context.Context, t target) (target, error) {
	refusal := a.untilReachable(ctx, func() error { return a.refuseUnlisted(ctx, t) })
	if found, err := a.currentContext(); err == nil && found != nil {
		return a.target(found)
	}
	return t, refusal
}

// refuseUnlisted returns the error for a server that the context does not list. It first asks that server for its key,
// without a token, because the address may be wrong.
func (a *app) refuseUnlisted(ctx context.Context, t target) error {
	f := &failure{code: exitDenied, kind: client.Unauthorised,
		text: t.unlisted + " is not listed in any of your client contexts; the token of the current one was not sent",
		hint: "name a token with --token or DROVER_TOKEN"}
	if a.completing {
		return f
	}
	t.token, t.servers = "", []string{t.unlisted}
	c, err := a.client(t)
	if err != nil {
		return err
	}
	key, _, err := c.ServerKey(ctx)
	switch {
	case err != nil && client.KindOf(err) != client.Unauthorised:
		return err
	case key.IsZero():
	case key == t.pinned:
		f.hint = "it has the same server key as that context: add it with --accept-server " + key.String()
	default:
		f.hint += "; its server key is " + key.String()
	}
	return f
}
