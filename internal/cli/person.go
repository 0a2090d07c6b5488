package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/explain"
)

func personVerb(a *app) *cobra.Command {
	return parent("person", "Store, list and erase the names of people",
		"Events contain only the ids of people. Their names are stored beside the log, so that a name\n"+
			"can be erased.", personAddVerb(a), personListVerb(a),
		personEraseVerb(a))
}

func personAddVerb(a *app) *cobra.Command {
	return verb{
		exits: readExits(exits{exitDenied: "no token is configured, or it does not permit this"}),
		use:   "add NAME", short: "Store the name of a person and print the new id",
		long: "Store the name of a person and print a new id. Events contain only the id; the name is stored\n" +
			"beside the log, where `drover person erase` can delete it. `drover token create --owner NAME`\n" +
			"creates a token that belongs to the person.",
		example: "drover person add \"Ada Lovelace\"\n" +
			"drover token create --name laptop --scope deploy --owner \"Ada Lovelace\"",
		run: func(ctx context.Context, args []string) error {
			var added explain.Person
			if err := a.post(ctx, client.Path("people"), map[string]string{"name": args[0]}, &added); err != nil {
				return err
			}
			if a.structured() {
				return a.value(added)
			}
			return a.print(added.ID + "\n")
		},
	}.command()
}

func personListVerb(a *app) *cobra.Command {
	return verb{
		exits: readExits(nil),
		use:   "list", short: "List people and their ids",
		long:    "List the people whose names are stored, with their ids.",
		example: "drover person list",
		run:     func(ctx context.Context, _ []string) error { return personKind.list(ctx, a, query(), 0) },
	}.command()
}

func personEraseVerb(a *app) *cobra.Command {
	return verb{
		exits: readExits(exits{exitDenied: "no token is configured, or it does not permit this",
			exitMissing: "the person does not exist, or the name is already erased"}),
		use: "erase ID…", short: "Erase the names of people",
		long: "Erase the names of people, by the ids that `drover person list` shows. Their events stay in the\n" +
			"log and show “erased person” instead of the name. Earlier backups still contain the names.\n\n" +
			"The tokens of these people stay valid. Find them in the column OWNER of `drover token list` and\n" +
			"revoke them with `drover token revoke`.",
		example: "drover person erase p-4f1c09a2b3d4",
		run: func(ctx context.Context, args []string) error {
			return each(args, func(id string) error {
				if _, err := a.remove(ctx, client.Path("people", id)); err != nil {
					return err
				}
				if a.structured() {
					return a.value(map[string]string{"erased": id})
				}
				a.info("the name of person %s is erased", id)
				return nil
			})
		},
	}.command()
}
