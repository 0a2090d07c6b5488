package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/explain"
)

func personVerb(s *shell) *cobra.Command {
	return parent("person", "Store, list and erase the names of people", personAddVerb(s), personListVerb(s), personEraseVerb(s))
}

func personAddVerb(s *shell) *cobra.Command {
	return verb{
		exits: asks(exits{exitDenied: "no token is known, or its scope does not allow this"}),
		use:   "add NAME", short: "Store a person's name and print the new ID",
		long: "Store a person's name and print a new ID for the person. Events hold this ID and never the name, which is\n" +
			"stored beside the log. `drover token create --person ID` makes a token that belongs to the person.\n`drover person erase` deletes the name.",
		example: "drover person add \"Ada Lovelace\"\ndrover token create --scope deploy --person \"$(drover person add 'Ada Lovelace')\"",
		run: func(ctx context.Context, args []string) error {
			var added explain.Person
			if err := s.post(ctx, client.Path("people"), map[string]string{"name": args[0]}, &added); err != nil {
				return err
			}
			if s.structured() {
				return s.value(added)
			}
			return s.print(added.ID + "\n")
		},
	}.command()
}

func personListVerb(s *shell) *cobra.Command {
	return verb{
		exits: asks(nil),
		use:   "list", short: "List people", long: "List the people whose names are stored, by ID.", example: "drover person list",
		run: func(ctx context.Context, _ []string) error { return personKind.list(ctx, s, query(), 0) },
	}.command()
}

func personEraseVerb(s *shell) *cobra.Command {
	return verb{
		exits: asks(exits{exitDenied: "no token is known, or its scope does not allow this",
			exitMissing: "there is no such person, or the name was erased before"}),
		use: "erase ID…", short: "Erase the names of people",
		long: "Erase the names of people, by the ID that `drover person list` shows. Their events stay in the log and are\n" +
			"shown as by “erased person”. Their tokens stay valid: find them with `drover token list`, in the column\n" +
			"PERSON, and revoke them with `drover token revoke`. Backups made earlier still hold the name.",
		example: "drover person erase p-4f1c09a2b3d4",
		run: func(ctx context.Context, args []string) error {
			return each(args, func(id string) error {
				if _, err := s.remove(ctx, client.Path("people", id)); err != nil {
					return err
				}
				if s.structured() {
					return s.value(map[string]string{"erased": id})
				}
				s.say("the name of person %s is erased", id)
				return nil
			})
		},
	}.command()
}
