package cli

import (
	"context"
	"net/url"
	"sync/atomic"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/internal/config"
	"github.com/droverhq/drover/internal/server"
	"github.com/droverhq/drover/serverkey"
)

func serverKeyVerb(a *app) *cobra.Command {
	return parent("server-key", "Show and replace the key by which servers prove themselves",
		"All servers of one event log have the same key. Clients and agents remember its public half, and\n"+
			"send no secret to a server that cannot prove that it has the key.", serverKeyShowVerb(a), serverKeyRotateVerb(a))
}

// shownKey is the structured output of a server key.
type shownKey struct {
	Key string `json:"key"`
}

func (a *app) printKey(key string) error {
	if a.structured() {
		return a.value(shownKey{key})
	}
	return a.print(key + "\n")
}

func serverKeyShowVerb(a *app) *cobra.Command {
	var log string
	cmd := verb{
		exits: readExits(exits{exitMissing: "the servers or the log have no key"}),
		use:   "show", short: "Print the public half of the server key",
		long: "Print the public half of the server key. Compare it on two machines before you accept it with\n" +
			"--accept-server.\n\n" +
			"With --log, the event log is opened directly, without a server.",
		example: "drover server-key show\n" +
			"drover server-key show --log sqlite:/var/lib/drover/drover.db",
	}.command()
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		key, err := a.shownKey(cmd.Context(), log)
		if err != nil {
			return err
		}
		if key.IsZero() {
			return &failure{code: exitMissing, kind: client.NotFound, text: "there is no server key yet",
				hint: "a server of this version creates it when it starts"}
		}
		return a.printKey(key.String())
	}
	a.logFlags(cmd, &log, "open the event log at `URL` instead of asking a server")
	return cmd
}

func (a *app) shownKey(ctx context.Context, log string) (key serverkey.Public, err error) {
	if log != "" {
		opened, err := a.openLog(ctx, log)
		if err != nil {
			return key, err
		}
		defer opened.Close()
		return server.ServerKeyOfLog(ctx, opened)
	}
	c, err := a.connect(ctx)
	if err != nil {
		return key, err
	}
	return a.provenKey(ctx, c)
}

// provenKey returns the key that a server proves, or the zero key if it has none. It must be the first use of the client.
func (a *app) provenKey(ctx context.Context, c *client.Client) (key serverkey.Public, err error) {
	var proven atomic.Pointer[serverkey.Public]
	pin := c.OnProof
	c.OnProof = func(address string, key serverkey.Public) {
		if proven.Store(&key); pin != nil {
			pin(address, key)
		}
	}
	err = a.untilReachable(ctx, func() error {
		_, err := c.Get(ctx, client.Path("servers"), url.Values{"limit": {"1"}}, nil)
		return err
	})
	if found := proven.Load(); found != nil {
		key = *found
	}
	return key, err
}

// showJoin tells a person at a terminal how an agent joins with a token. The server key in the command makes sure that
// the agent sends nothing to another program, not even at its first contact.
func (a *app) showJoin(ctx context.Context, token string) {
	if !isTerminal(a.Out) {
		return
	}
	c, err := a.connect(ctx)
	if err != nil {
		return
	}
	key, err := a.provenKey(ctx, c)
	if err != nil || key.IsZero() {
		return
	}
	a.info("on the machine, run: drover agent --server %s --join %s --accept-server %s", c.Servers[0], token, key)
}

func serverKeyRotateVerb(a *app) *cobra.Command {
	var log string
	cmd := verb{
		exits: writeExits(nil),
		use:   "rotate", short: "Replace the server key and print the new one",
		long: "Replace the server key and print the public half of the new one. Do that if somebody could have\n" +
			"read the event log or a copy of it, and for a copy of a log that you use as another cluster.\n\n" +
			"Clients and agents do not trust the new key by themselves, because a thief of the old one could\n" +
			"announce a key too. Start each of them once with --accept-server KEY. The client context of the\n" +
			"user who runs this command, and that of a server which starts, record the new key.\n\n" +
			"With --log, the event log is opened directly. Use it before you start a server on a copy.",
		example: "drover server-key rotate\n" +
			"drover server-key rotate --log sqlite:copy/drover.db",
	}.command()
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if log != "" {
			return a.rotateInLog(cmd.Context(), log)
		}
		return a.rotateServerKey(cmd.Context())
	}
	a.logFlags(cmd, &log, "open the event log at `URL` instead of asking a server")
	return cmd
}

func (a *app) rotateInLog(ctx context.Context, log string) error {
	opened, err := a.openLog(ctx, log)
	if err != nil {
		return err
	}
	defer opened.Close()
	key, err := server.RotateServerKeyInLog(ctx, opened, "command line")
	if err != nil {
		return err
	}
	return a.printRotated(key.String())
}

// printRotated prints a new server key and what remains to be done.
func (a *app) printRotated(key string) error {
	a.info("start each agent, and use each other client context, once with --accept-server %s", key)
	return a.printKey(key)
}

func (a *app) rotateServerKey(ctx context.Context) error {
	c, err := a.connect(ctx)
	if err != nil {
		return err
	}
	var rotated shownKey
	if err := a.post(ctx, client.Path("server-key", "rotate"), struct{}{}, &rotated); err != nil {
		return err
	}
	path, err := config.ContextsPath()
	if err == nil && !c.Key.IsZero() {
		err = config.ChangeContexts(path, func(all *config.Contexts) (changed bool, err error) {
			for i := range all.List {
				if all.List[i].ServerKey == c.Key.String() {
					changed = all.List[i].Pin(rotated.Key) || changed
				}
			}
			return changed, nil
		})
	}
	if err != nil {
		a.info("could not record the new key in the client context: %v", err)
	}
	return a.printRotated(rotated.Key)
}
