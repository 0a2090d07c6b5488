package cli

import (
	"context"
	"maps"
	"strings"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/explain"
	"github.com/droverhq/drover/internal/config"
)

func contextVerb(a *app) *cobra.Command {
	return parent("context", "List, choose and delete client contexts",
		"A client context contains the addresses of the servers of one log, and a token for them. Commands use\n"+
			"the current one, or the one that lists the address of --server. `drover login` creates a context, and\n"+
			"so does a server when it starts for the first time.\n\n"+
			"CONTEXT is a name, the address of a server, or the id of a log.", contextListVerb(a), contextUseVerb(a),
		contextShowVerb(a), contextRenameVerb(a), contextDeleteVerb(a))
}

// shownContext is what `context list` and `context show` print. It never contains the secret of the token.
type shownContext struct {
	Name      string   `json:"name"`
	Current   bool     `json:"current"`
	Servers   []string `json:"servers"`
	Token     string   `json:"token"` // its id
	Log       string   `json:"log"`
	ServerKey string   `json:"serverKey,omitempty"`
	CA        string   `json:"ca,omitempty"`
}

func showContext(all *config.Contexts, c *config.Context) shownContext {
	token, _, _ := strings.Cut(c.Token, ".")
	return shownContext{Name: all.NameOf(c), Current: c.Log == all.Current,
		Servers: append(append([]string{}, c.Servers...), c.Sockets...), Token: token, Log: c.Log, ServerKey: c.ServerKey,
		CA: c.CA}
}

func contextsTable(list []shownContext) explain.Table {
	t := explain.Table{Header: []string{"NAME", "CURRENT", "SERVERS", "TOKEN", "LOG"}}
	for _, c := range list {
		t.Rows = append(t.Rows, []string{c.Name, pick(c.Current, "yes", "no"), strings.Join(c.Servers, ","), c.Token, c.Log})
	}
	return t
}

// contexts reads the contexts file of the user.
func contexts() (all config.Contexts, err error) {
	path, err := config.ContextsPath()
	if err == nil {
		all, err = config.ReadContexts(path)
	}
	if err != nil {
		return all, invalid("%v", err)
	}
	return all, nil
}

// changeContext changes the context that text identifies.
func changeContext(text string, change func(*config.Contexts, *config.Context) error) error {
	path, err := config.ContextsPath()
	if err != nil {
		return invalid("%v", err)
	}
	return config.ChangeContexts(path, func(all *config.Contexts) (bool, error) {
		c, err := all.Named(text)
		if err != nil {
			return false, missingContext(err)
		}
		return true, change(all, c)
	})
}

func missingContext(err error) error {
	return &failure{code: exitMissing, kind: "not-found", text: err.Error(), hint: "`drover context list` lists them"}
}

// contextExits returns the exit codes of a command for one context.
func contextExits(own exits) exits {
	all := localExits(exits{exitError: "the contexts file is invalid, or could not be changed",
		exitMissing: "the context does not exist"})
	maps.Copy(all, own)
	return all
}

func contextListVerb(a *app) *cobra.Command {
	return verb{
		exits: localExits(exits{exitOK: "success; the list may be empty", exitError: "the contexts file is invalid"}),
		use:   "list", short: "List client contexts",
		long:    "List the client contexts of this user, with the ids of their tokens.",
		example: "drover context list",
		run: func(context.Context, []string) error {
			all, err := contexts()
			if err != nil {
				return err
			}
			list := []shownContext{}
			for i := range all.List {
				list = append(list, showContext(&all, &all.List[i]))
			}
			return a.printContexts(list)
		},
	}.command()
}

func (a *app) printContexts(list []shownContext) error {
	var b strings.Builder
	t := contextsTable(list)
	switch {
	case a.structured():
		return a.value(map[string]any{"items": list})
	case a.output == formatName:
		for _, c := range list {
			b.WriteString("context/" + c.Name + "\n")
		}
		return a.print(b.String())
	case len(list) == 0:
		a.info("no contexts; `drover login URL` creates one")
		return nil
	case a.output == "" && !isTerminal(a.Out):
		t.Header = nil
		_ = t.Write(&b, 0) // a strings.Builder returns no errors
		return a.printRaw(b.String())
	}
	return a.printRaw((&tableWriter{style: a.style()}).draw(t))
}

func contextUseVerb(a *app) *cobra.Command {
	return verb{
		exits: contextExits(nil),
		use:   "use CONTEXT", short: "Choose the context that commands use",
		long:    "Make a client context the current one. Commands without --server use it from now on.",
		example: "drover context use production",
		run: func(_ context.Context, args []string) error {
			return changeContext(args[0], func(all *config.Contexts, c *config.Context) error {
				all.Current = c.Log
				a.info("the current context is %s", all.NameOf(c))
				return nil
			})
		},
	}.command()
}

func contextShowVerb(a *app) *cobra.Command {
	return verb{
		exits: contextExits(nil),
		use:   "show [CONTEXT]", short: "Show one context",
		long:    "Show the current client context, or another one. The secret of its token is not shown.",
		example: "drover context show\ndrover context show production -o json",
		run: func(_ context.Context, args []string) error {
			all, err := contexts()
			if err != nil {
				return err
			}
			found := all.Find(all.Current)
			if len(args) > 0 {
				if found, err = all.Named(args[0]); err != nil {
					return missingContext(err)
				}
			}
			if found == nil {
				return &failure{code: exitMissing, kind: "not-found", text: "there is no current context",
					hint: "choose one with `drover context use`, or create one with `drover login URL`"}
			}
			shown := showContext(&all, found)
			if a.structured() {
				return a.value(shown)
			}
			return a.printContexts([]shownContext{shown})
		},
	}.command()
}

func contextRenameVerb(a *app) *cobra.Command {
	return verb{
		exits: contextExits(exits{exitConflict: "another context has the name"}),
		use:   "rename CONTEXT NAME", short: "Rename a context",
		long:    "Give a client context another name.",
		example: "drover context rename 127.0.0.1:7070 laptop",
		run: func(_ context.Context, args []string) error {
			if r := domain.CheckName("context", args[1]); r != nil {
				return usage("%s", r.Error())
			}
			return changeContext(args[0], func(all *config.Contexts, c *config.Context) error {
				was := all.NameOf(c)
				if err := all.Rename(c, args[1]); err != nil {
					return &failure{code: exitConflict, kind: "conflict", text: err.Error(),
						hint: "`drover context list` lists the names"}
				}
				a.info("context %s is now called %s", was, args[1])
				return nil
			})
		},
	}.command()
}

func contextDeleteVerb(a *app) *cobra.Command {
	var yes bool
	cmd := verb{
		exits: contextExits(exits{exitError: "the contexts file is invalid or could not be changed, or you declined"}),
		use:   "delete CONTEXT", short: "Delete a context and forget its token",
		long: "Delete a client context from the file of this user. The token is not revoked, but its secret cannot be\n" +
			"recovered. On a terminal, drover asks first.",
		example: "drover context delete staging",
		run: func(_ context.Context, args []string) error {
			all, err := contexts()
			if err != nil {
				return err
			}
			found, err := all.Named(args[0])
			if err != nil {
				return missingContext(err)
			}
			name := all.NameOf(found)
			if !yes && isTerminal(a.In) {
				a.info("the token of context %s is forgotten; an admin must create another one if you need it", name)
				if err := a.askYes("Delete it?"); err != nil {
					return &failure{code: exitError, kind: "declined", text: "nothing was deleted",
						hint: "use --yes to delete without confirmation"}
				}
			}
			return changeContext(found.Log, func(all *config.Contexts, c *config.Context) error {
				wasCurrent := all.Current == c.Log
				all.Remove(c.Log)
				a.info("context %s is deleted%s", name, pick(wasCurrent && len(all.List) > 0,
					"; no context is current: choose one with `drover context use`", ""))
				return nil
			})
		},
	}.command()
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask for confirmation")
	return cmd
}
