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

// chunk is a piece of what a machine printed.
type chunk struct {
	Machine  string    `json:"machine"`
	Sequence int64     `json:"sequence"`
	Time     time.Time `json:"time"`
	Data     []byte    `json:"data"`
}

func logsVerb(s *shell) *cobra.Command {
	var follow bool
	cmd := verb{
		exits: asks(exits{exitMissing: "there is no such deployment, or it has no part on the machine"}),
		use:   "logs DEPLOYMENT [MACHINE]", short: "Show what the steps of a deployment printed",
		long: "Show what the steps of a deployment printed, on one machine or on all; with several machines each\nline begins with its machine. Output is kept for 14 days.\n\n" +
			"On a terminal colours are shown, and what else a terminal would obey as text. In a pipe all is as it was printed.",
		example: "drover logs 0b6c9bde-5c53-5d35-9f1c-3f0e5a1b7a10 web-01 -f\ndrover logs $(drover deploy shop 1.4.3 --to production) -f",
		run: func(ctx context.Context, args []string) error {
			machine := ""
			if len(args) == 2 {
				machine = args[1]
			}
			return s.logs(ctx, id(args[0]), machine, follow)
		},
	}.command()
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "stay until the deployment has ended")
	return cmd
}

func (s *shell) logs(ctx context.Context, deployment, machine string, follow bool) error {
	var d explain.Deployment
	if err := s.read(ctx, client.Path("deployments", deployment), nil, &d); err != nil {
		return err
	}
	p := &printer{shell: s, out: coloured(s.Out), named: machine == "" && len(d.Machines) > 1, open: map[string][]byte{}}
	path, q := client.Path("deployments", deployment, "output"), query("machine", machine)
	if !follow {
		if err := s.readOutput(ctx, d, machine, path, p); err != nil {
			return err
		}
		return p.flush()
	}
	c, err := s.connect(ctx)
	if err != nil {
		return err
	}
	err = c.Follow(ctx, path+"/stream", q, "", func(m client.Message) error {
		var one chunk
		if err := json.Unmarshal([]byte(m.Data), &one); err != nil {
			return fmt.Errorf("read the output: %w", err)
		}
		return p.take(one)
	})
	if ctx.Err() != nil {
		err = nil // told to stop
	}
	if err != nil {
		return err
	}
	return p.flush()
}

// readOutput reads machine after machine, each from its beginning.
func (s *shell) readOutput(ctx context.Context, d explain.Deployment, machine, path string, p *printer) error {
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
				Items []chunk `json:"items"`
			}
			if err := s.read(ctx, path, query("machine", name, "after", fmt.Sprint(after)), &page); err != nil {
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

// printer writes output as it is, or line by line behind the machine's name.
type printer struct {
	shell *shell
	out   io.Writer // raw in a pipe
	named bool
	open  map[string][]byte // lines that have not ended, by machine
}

func (p *printer) take(c chunk) error {
	switch {
	case p.shell.structured():
		return p.shell.line(c)
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

// flush ends the lines that had no end.
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
