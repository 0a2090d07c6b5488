package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/explain"
)

// maxEffectLines is how many effects are printed.
const maxEffectLines = 20

// consent asks before a command gives machines an older release.
type consent struct {
	*app
	yes bool
}

// consentHelp ends the long help of each command with a consent.
const consentHelp = "\n\nThe command prints which deployments become due. On a terminal, it asks for confirmation if a machine\n" +
	"would get a release that was created before its current one. With --yes, it skips both. Without a\n" +
	"terminal, it does not ask."

// applyConsentHelp replaces consentHelp for apply, whose output always lists the due deployments.
const applyConsentHelp = "\n\nOn a terminal, the command asks for confirmation if a machine would get a release that was created\n" +
	"before its current one. With --yes or without a terminal, it does not ask."

func (c *consent) flag(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&c.yes, "yes", false, "skip the preview of due deployments, and do not ask for confirmation")
}

// previewTimeout bounds how long a command waits for its preview.
const previewTimeout = 5 * time.Second

// before prints which deployments a write makes due, and asks whether to continue if a machine gets an older release.
// path and body are those of the write. A preview that fails or takes too long does not stop the write, and --yes asks for
// none: a rollback must not depend on it.
func (c *consent) before(ctx context.Context, path string, body any) error {
	if c.yes {
		return nil
	}
	if body == nil {
		body = struct{}{}
	}
	var effects explain.Effects
	bounded, cancel := context.WithTimeout(ctx, previewTimeout)
	defer cancel()
	switch err := c.post(bounded, "/preview"+path, body, &effects); {
	case err == nil:
	case ctx.Err() != nil:
		return ctx.Err()
	case client.KindOf(err) != client.Internal && client.KindOf(err) != client.Unavailable && isAnswer(err):
		return nil // the write is refused for the same reason, or an older server has no previews
	default:
		c.info("could not preview which deployments become due: %v", err)
		return nil
	}
	c.printEffects("", effects)
	return c.ask(effects)
}

// printEffects prints one line for each group of machines, after an indent.
func (a *app) printEffects(indent string, effects explain.Effects) {
	for i, e := range effects.Due {
		if i == maxEffectLines {
			a.info("%smakes due: %s of machines", indent, plural(len(effects.Due)-i, "more group"))
			return
		}
		a.info("%smakes due: %s", indent, e)
	}
	if len(effects.Due) == 0 {
		a.info("%smakes due: nothing", indent)
	}
}

// ask asks whether machines may get an older release, if some do and somebody can answer.
func (c *consent) ask(effects explain.Effects) error {
	switch {
	case effects.Older == 0 || c.yes || !isTerminal(c.In):
		return nil
	case !isTerminal(c.Err): // the user would not see the question
		return errNoConsent
	}
	gets := " get"
	if effects.Older == 1 {
		gets = " gets"
	}
	if err := c.askYes(plural(effects.Older, "machine") + gets + " an older release. Continue?"); err != nil {
		return errNoConsent
	}
	return nil
}

// errNoConsent is the error of a command without consent.
var errNoConsent = &failure{code: exitError, kind: "declined", text: "nothing was changed",
	hint: "use --yes to continue without confirmation"}
