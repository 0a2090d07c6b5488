package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/explain"
)

// killRequest is the body of POST /deployments/ID/kill.
type killRequest struct {
	Machine string `json:"machine,omitempty"`
	Reason  string `json:"reason,omitempty"`
}

func cancelVerb(a *app) *cobra.Command {
	var kill bool
	var k killRequest
	cmd := verb{
		exits: writeExits(exits{exitMissing: "the deployment or its part on the machine does not exist",
			exitConflict: "the deployment has already succeeded or failed; with --kill: it has ended, or does not run on the machine"}),
		use: "cancel DEPLOYMENT", short: "Cancel a deployment, or stop it with --kill",
		long: "Cancel a deployment. Machines that have started it finish; the others do not start it.\n\n" +
			"With --kill, machines that have started it stop: the agent sends SIGTERM to the processes of the\n" +
			"running step, and SIGKILL to the processes that still run 5 seconds later. The part fails with the\n" +
			"reason killed, and the machine is dirty. An offline machine stops when it returns.\n\n" +
			"With --kill --machine, only that machine stops. The rest of the deployment is cancelled as without\n" +
			"--kill: machines that have started it finish, and the others never start it.",
		example: "drover cancel 0b6c9bde-5c53-5d35-9f1c-3f0e5a1b7a10\n" +
			"drover cancel 0b6c9bde-5c53-5d35-9f1c-3f0e5a1b7a10 --kill --reason \"the migration hangs\"\n" +
			"drover cancel 0b6c9bde-5c53-5d35-9f1c-3f0e5a1b7a10 --kill --machine web-01",
		run: func(ctx context.Context, args []string) error {
			if !kill && k != (killRequest{}) {
				return invalid("--machine and --reason require --kill; without it, the whole deployment is cancelled")
			}
			deployment, err := a.deployment(ctx, args[0])
			if err != nil {
				return err
			}
			if kill {
				return a.kill(ctx, deployment, k)
			}
			written, err := a.command(ctx, client.Path("deployments", deployment, "cancel"), nil)
			if err != nil {
				return err
			}
			if err := a.wrote(written, "deployment "+deployment+" is cancelled"); err != nil || a.structured() {
				return err
			}
			a.printRunning(ctx, deployment, written.Position)
			return nil
		},
	}.command()
	cmd.Flags().BoolVar(&kill, "kill", false, "also stop the machines that have started the deployment")
	cmd.Flags().StringVarP(&k.Machine, "machine", "m", "",
		"with --kill: stop only this `MACHINE`; also cancels the rest: machines that have not started never start")
	cmd.Flags().StringVar(&k.Reason, "reason", "", "with --kill: record this `TEXT` in the event log as the reason")
	return cmd
}

// maxRunning bounds how many machines printRunning names.
const maxRunning = 5

// printRunning says which machines finish a cancelled deployment, and how to stop them. The deployment is cancelled, so
// an error of reading it changes nothing.
func (a *app) printRunning(ctx context.Context, deployment, after string) {
	var d explain.Deployment
	if _, err := a.readAt(ctx, client.Path("deployments", deployment), query("after", after), &d); err != nil {
		return
	}
	var running []string
	for _, m := range d.Machines {
		if m.State == string(domain.PartRunning) {
			running = append(running, m.Name)
		}
	}
	if len(running) == 0 {
		return
	}
	a.info("%s %s running release %s of %s and will finish; `drover cancel %s --kill` stops the running parts",
		someNames(running), pick(len(running) == 1, "is", "are"), d.Release, d.Project, deployment)
}

// someNames lists at most maxRunning names.
func someNames(names []string) string {
	text := strings.Join(names[:min(len(names), maxRunning)], ", ")
	if more := len(names) - maxRunning; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// kill cancels a deployment and asks the agents to stop its running parts.
func (a *app) kill(ctx context.Context, deployment string, k killRequest) error {
	written, err := a.command(ctx, client.Path("deployments", deployment, "kill"), k)
	if err != nil {
		return err
	}
	// The request is in the log, so an error of reading the deployment changes nothing.
	var d explain.Deployment
	_, err = a.readAt(ctx, client.Path("deployments", deployment), query("after", written.Position), &d)
	if err := a.wrote(written, "deployment "+deployment+" is cancelled, and "+asked(d, k, err)); err != nil {
		return err
	}
	a.warnTooOld(d, k)
	return nil
}

// warnTooOld names the machines whose agents are too old to stop a part that a person kills.
func (a *app) warnTooOld(d explain.Deployment, k killRequest) {
	var old []string
	for _, m := range d.Machines {
		if m.CannotStop && (k.Machine == "" || k.Machine == m.Name) {
			old = append(old, m.Name)
		}
	}
	if len(old) > 0 {
		a.info("warning: %s of %s %s too old to stop a running part, so it will finish; upgrade %s, or "+
			"end its processes on the machine",
			pick(len(old) == 1, "the agent", "the agents"), someNames(old), pick(len(old) == 1, "is", "are"),
			pick(len(old) == 1, "it", "them"))
	}
}

// asked says which parts the agents are asked to stop. err is that of reading the deployment.
func asked(d explain.Deployment, k killRequest, err error) string {
	if k.Machine != "" {
		return "its part on " + k.Machine + " is asked to stop"
	}
	stops := func(m explain.DeploymentMachine) bool {
		return m.State == string(domain.PartRunning) || m.Reason == string(domain.KilledByPerson)
	}
	if err == nil && !slices.ContainsFunc(d.Machines, stops) {
		return "no machine runs it, so none is asked to stop"
	}
	return "its running parts are asked to stop"
}
