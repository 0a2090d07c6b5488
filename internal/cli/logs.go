package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/explain"
)

// outputChunk is a piece of the output of a machine's steps.
type outputChunk struct {
	Machine  string    `json:"machine"`
	Sequence int64     `json:"sequence"`
	Time     time.Time `json:"time"`
	Data     []byte    `json:"data"`
}

func logsVerb(a *app) *cobra.Command {
	var follow bool
	cmd := verb{
		exits: readExits(exits{exitMissing: "the deployment does not exist, or the machine is not part of it"}),
		use:   "logs DEPLOYMENT [MACHINE]", short: "Print the output of a deployment's steps",
		long: "Print the output of a deployment's steps, on one machine or on all. With several machines, each\n" +
			"line starts with the name of its machine. Output is retained for 14 days.\n\n" +
			"On a terminal, colours are shown and other control characters are escaped. In a pipe, the output\n" +
			"is unchanged.",
		example: "drover logs 0b6c9bde-5c53-5d35-9f1c-3f0e5a1b7a10 web-01 -f\n" +
			"drover logs $(drover deploy shop 1.4.3 --to production) -f",
		run: func(ctx context.Context, args []string) error {
			machine := ""
			if len(args) == 2 {
				machine = args[1]
			}
			deployment, err := a.deployment(ctx, args[0])
			if err != nil {
				return err
			}
			return a.logs(ctx, deployment, machine, follow)
		},
	}.command()
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "keep printing until the deployment has ended")
	return cmd
}

func (a *app) logs(ctx context.Context, deployment, machine string, follow bool) error {
	var d explain.Deployment
	if err := a.read(ctx, client.Path("deployments", deployment), nil, &d); err != nil {
		return err
	}
	p := &printer{app: a, out: escapingExceptColours(a.Out), named: machine == "" && len(d.Machines) > 1,
		open: map[string][]byte{}}
	path, q := client.Path("deployments", deployment, "output"), query("machine", machine)
	if !follow {
		if err := a.readOutput(ctx, d, machine, path, p); err != nil {
			return err
		}
		return p.flush()
	}
	c, err := a.connect(ctx)
	if err != nil {
		return err
	}
	err = c.Follow(ctx, path+"/stream", q, "", func(m client.Message) error {
		var one outputChunk
		if err := json.Unmarshal([]byte(m.Data), &one); err != nil {
			return fmt.Errorf("read the output: %w", err)
		}
		return p.take(one)
	})
	if ctx.Err() != nil {
		err = nil // interrupted by the user
	}
	if err != nil {
		return err
	}
	return p.flush()
}

// readOutput prints the output of one machine after the other, from the beginning.
func (a *app) readOutput(ctx context.Context, d explain.Deployment, machine, path string, p *printer) error {
	machines := []string{machine}
	if machine == "" {
		machines = nil
		for _, m := range d.Machines {
			machines = append(machines, m.Name)
		}
	}
	for _, name := range machines {
		for after := int64(0); ; {
			var page struct {
				Items []outputChunk `json:"items"`
			}
			if err := a.read(ctx, path, query("machine", name, "after", fmt.Sprint(after)), &page); err != nil {
				return err
			}
			if err := each(page.Items, p.take); err != nil {
				return err
			}
			if len(page.Items) == 0 {
				break
			}
			after = page.Items[len(page.Items)-1].Sequence
		}
	}
	return nil
}

// printer prints output unchanged, or in whole lines prefixed with the name of the machine.
type printer struct {
	app   *app
	out   io.Writer // raw in a pipe
	named bool
	open  map[string][]byte // unfinished lines, by machine
}

func (p *printer) take(c outputChunk) error {
	switch {
	case p.app.structured():
		return p.app.line(c)
	case !p.named:
		return p.write(c.Data)
	}
	text := append(p.open[c.Machine], c.Data...)
	end := bytes.LastIndexByte(text, '\n') + 1
	p.open[c.Machine] = bytes.Clone(text[end:])
	return p.lines(c.Machine, text[:end])
}

func (p *printer) lines(machine string, text []byte) error {
	var b bytes.Buffer
	for line := range bytes.Lines(text) {
		fmt.Fprintf(&b, "%s | %s", machine, line)
	}
	return p.write(b.Bytes())
}

func (p *printer) write(text []byte) error {
	if _, err := p.out.Write(text); err != nil {
		return fmt.Errorf("write to stdout: %w", err)
	}
	return nil
}

// flush prints the unfinished lines.
func (p *printer) flush() error {
	for machine, text := range p.open {
		if len(text) == 0 {
			continue
		}
		if err := p.lines(machine, append(text, '\n')); err != nil {
			return err
		}
	}
	return nil
}
