package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/explain"
)

func personVerb(s *shell) *cobra.Command {
	return parent("person", "Store, list and erase what people are called", personAddVerb(s), personListVerb(s), personEraseVerb(s))
}

func personAddVerb(s *shell) *cobra.Command {
	return verb{
		exits: writes(nil),
		use:   "add NAME", short: "Store a person's name, and print the new id alone",
		long: "Store what a person is called, and print the id that stands for the person in the log. Give it to\n" +
			"`drover token create --person ID`. The name itself is never in the log: it is stored beside it, where\n`drover person erase` deletes it.",
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
		use:   "list", short: "List people whose name is known", long: "List people whose name is known, by id.", example: "drover person list",
		run: func(ctx context.Context, _ []string) error { return personKind.list(ctx, s, query(), 0) },
	}.command()
}

func personEraseVerb(s *shell) *cobra.Command {
	return verb{
		exits: writes(exits{exitMissing: "there is no such person, or the name was erased before"}),
		use:   "erase ID…", short: "Erase what people are called",
		long: "Erase what people are called, by the ID that `drover person list` shows. What they did stays in the log\n" +
			"under that id, and is shown as done by an erased person. Their tokens stay good: revoke those with\n`drover token revoke`. Older backups still hold the name.",
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
