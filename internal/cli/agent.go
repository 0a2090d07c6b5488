package cli

import (
	"cmp"
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/agent"
	"github.com/droverhq/drover/internal/config"
	"github.com/droverhq/drover/internal/server"
)

var agentFlags = []string{"join", "name", "environment", "role", "data", "ephemeral"}

func agentVerb(s *shell) *cobra.Command {
	c := agent.Config{}
	cmd := verb{
		exits: alone(exits{exitOK: "it was told to stop", exitDenied: "the agent is permanently refused: its join token is revoked, or its name can be no machine's"}),
		use:   "agent", short: "Run the agent of this machine",
		long: "Run the agent of this machine: it reports that the machine is there and carries out its parts of deployments.\n\n" +
			"--join is needed once; --environment and --role count at that first join. The first SIGTERM lets the running step\nend, the second kills it. " +
			"Each flag is also DROVER_FLAG in the environment and a key of the config file.\n\n" +
			"An agent that is refused, such as for a join token that is used up, says why on stderr and asks again, since that may be\n" +
			"fixed; only a permanent refusal ends it.",
		example: "drover agent --server https://drover.example.com:7070 --join TOKEN --name web-01 --environment production --role web",
	}.command()
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := s.foreign(cmd, "token", "output"); err != nil {
			return err
		}
		if err := config.Fill(cmd.Flags(), agentFlags, s.files); err != nil {
			return invalid("%v", err)
		}
		if err := s.settle(cmd.Context(), &c); err != nil {
			return err
		}
		hurry := make(chan struct{})
		stop := secondSignal(hurry)
		defer stop()
		c.StopNow, c.Version, c.Logger = hurry, Version(), s.logger()
		return agent.Run(cmd.Context(), c)
	}
	flags := cmd.Flags()
	flags.StringVar(&c.Join, "join", "", "join `TOKEN`; needed until this machine has joined once")
	flags.StringVar(&c.Name, "name", "", "the machine's `NAME`; default: the host's")
	flags.StringVar(&c.Environment, "environment", "", "the `ENVIRONMENT` to join")
	flags.StringSliceVar(&c.Roles, "role", nil, "a `ROLE` to join with; may be repeated")
	flags.StringVar(&c.Data, "data", "", "`FOLDER` of the agent's files; default: "+config.SystemData+" for root, else drover's in XDG_DATA_HOME")
	flags.BoolVar(&c.Ephemeral, "ephemeral", false, "delete the machine when the agent is stopped in order")
	return cmd
}

// settle fills in what was not said: the servers of the client context, the host's name, the data folder.
func (s *shell) settle(ctx context.Context, c *agent.Config) (err error) {
	c.Servers, c.CA = s.servers, s.ca
	if len(c.Servers) == 0 {
		c.Servers = []string{"http://" + server.DefaultListen}
		if path, err := config.ContextsPath(); err == nil {
			if all, err := config.ReadContexts(path); err == nil && all.For("") != nil && len(all.For("").Servers) > 0 {
				c.Servers, c.CA = all.For("").Servers, cmp.Or(c.CA, all.For("").CA)
			}
		}
	}
	if c.Name == "" {
		if c.Name, err = os.Hostname(); err != nil {
			return invalid("the host has no name: %v; give the machine one with --name", err)
		}
	}
	if c.Data == "" {
		if c.Data, err = config.Data(); err != nil {
			return invalid("%v (or name a folder with --data)", err)
		}
	}
	return ctx.Err()
}

// secondSignal closes hurry at the second SIGINT or SIGTERM; the first one ends the command's context.
func secondSignal(hurry chan<- struct{}) (stop func()) {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		for count := 0; count < 2; {
			select {
			case <-signals:
				count++
			case <-done:
				return
			}
		}
		close(hurry)
	}()
	return func() { signal.Stop(signals); close(done) }
}
