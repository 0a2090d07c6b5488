package cli

import (
	"bufio"
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/explain"
	"github.com/droverhq/drover/internal/config"
	"github.com/droverhq/drover/serverkey"
)

func loginVerb(a *app) *cobra.Command {
	var name string
	cmd := verb{
		exits: readExits(exits{exitConflict: "another context has the name"}),
		use:   "login URL", short: "Create or update the client context of a server",
		long: "Store the address, a token and the key of a server in a client context, and make it the current one.\n" +
			"The token comes from --token or DROVER_TOKEN. Otherwise drover asks for it on a terminal, or reads\n" +
			"one line from stdin. The server must prove that it knows the token before it receives it, and\n" +
			"nothing is stored if it refuses the token.",
		example: "drover login https://drover.example.com --name production\n" +
			"drover login https://drover.example.com < token-file",
		run: func(ctx context.Context, args []string) error {
			if r := domain.CheckName("context", name); name != "" && r != nil {
				return usage("%s", r.Error())
			}
			address, err := serverAddress(args[0])
			if err != nil {
				return err
			}
			return a.login(ctx, address, name)
		},
	}.command()
	cmd.Flags().StringVar(&name, "name", "", "`NAME` of the context; default: the host of the server")
	return cmd
}

// serverAddress checks the address of a server, and removes a slash at its end.
func serverAddress(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "unix" && (u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
		return "", usage("invalid server address %s: use https://HOST:PORT, http://HOST:PORT or unix:///PATH", quoted(text))
	}
	return strings.TrimRight(text, "/"), nil
}

func (a *app) login(ctx context.Context, address, name string) (err error) {
	if a.token == "" {
		if a.token, err = a.readToken(address); err != nil {
			return err
		}
	}
	a.servers = []string{address}
	c, err := a.connect(ctx)
	if err != nil {
		return err
	}
	var proven atomic.Pointer[serverkey.Public]
	c.OnProof = func(_ string, key serverkey.Public) { proven.Store(&key) }
	var status explain.Status
	if err := a.untilReachable(ctx, func() error {
		_, err := c.Get(ctx, client.Path("status"), nil, &status)
		return err
	}); err != nil {
		return err
	}
	path, err := config.ContextsPath()
	if err != nil {
		return invalid("%v", err)
	}
	found := config.Context{Log: status.Log, Token: a.token, CA: a.ca}
	if found.CA != "" { // commands run in other folders
		if found.CA, err = filepath.Abs(found.CA); err != nil {
			return invalid("could not resolve --ca %s: %v", quoted(a.ca), err)
		}
	}
	if key := proven.Load(); key != nil && !key.IsZero() {
		found.ServerKey = key.String()
	}
	return config.ChangeContexts(path, func(all *config.Contexts) (bool, error) {
		return true, a.storeContext(all, found, address, name)
	})
}

// storeContext adds a context, or updates the one of the same log, and makes it the current one.
func (a *app) storeContext(all *config.Contexts, found config.Context, address, name string) error {
	c := all.Find(found.Log)
	if c == nil {
		all.Add(config.Context{Log: found.Log})
		c = all.Find(found.Log)
	}
	c.Token = found.Token
	c.Pin(found.ServerKey)
	if name != "" {
		if err := all.Rename(c, name); err != nil {
			return &failure{code: exitConflict, kind: "conflict", text: err.Error(),
				hint: "`drover context list` lists the names"}
		}
	}
	if strings.HasPrefix(address, "unix:") {
		c.AddSocket(address)
	} else {
		all.AddServer(found.Log, address, found.CA, true)
	}
	all.Current = found.Log
	a.info("logged in to %s; the current context is %s", address, all.NameOf(c))
	return nil
}

// readToken asks for a token on a terminal, without showing it, or reads one line from stdin.
func (a *app) readToken(address string) (token string, err error) {
	if file, ok := a.In.(*os.File); ok && isTerminal(file) {
		fmt.Fprintf(a.Err, "token for %s: ", address)
		text, err := term.ReadPassword(int(file.Fd()))
		a.info("")
		if err != nil {
			return "", fmt.Errorf("read the token from the terminal: %w", err)
		}
		token = string(text)
	} else {
		token, _ = bufio.NewReader(a.In).ReadString('\n') // an error leaves the token empty or complete
	}
	if token = strings.TrimSpace(token); token == "" {
		return "", &failure{code: exitDenied, kind: client.Unauthorised, text: "no token for " + address,
			hint: "write it to stdin, or use --token or DROVER_TOKEN; an admin creates one with `drover token create`"}
	}
	return token, nil
}
