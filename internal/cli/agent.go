package cli

import (
	"cmp"
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/agent"
	"github.com/droverhq/drover/agent/run"
	"github.com/droverhq/drover/internal/config"
	"github.com/droverhq/drover/internal/server"
)

var agentFlags = []string{"join", "name", "environment", "role", "data", "relay", "ephemeral", "policy", "tls-cert",
	"tls-key", "pass-env"}

func agentVerb(a *app) *cobra.Command {
	c := agent.Config{}
	cmd := verb{
		exits: localExits(exits{exitOK: "the agent was stopped by a signal",
			exitDenied: "the agent is permanently refused: its join token is revoked, or its name is not a valid " +
				"machine name"}),
		use: "agent", short: "Run the agent on this machine",
		long: "Run the agent on this machine. It connects to a server, sends heartbeats and carries out this\n" +
			"machine's parts of deployments. It logs to stderr.\n\n" +
			"--join is needed once; --environment, --role and --policy take effect only at this first join.\n" +
			"The first SIGTERM waits for the running step to end, the second kills the step. SIGHUP has no effect.\n" +
			"Each flag can also be set as DROVER_FLAG in the environment and as a key of the config file.\n\n" +
			"The agent accepts work only from a server that has proved that it knows this agent or its join token.\n" +
			"It sends neither its secret nor the token to prove itself. It pins the server key of the first\n" +
			"server, and accepts another key only once it is started with --accept-server KEY.\n\n" +
			"If a server refuses the agent, for example because its join token is used up, the agent logs the\n" +
			"reason and retries. It exits only if the refusal is permanent.",
		example: "drover agent --server https://drover.example.com:7070 --join TOKEN --name web-01 --environment " +
			"production --role web",
	}.command()
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := a.rejectFlags(cmd, "token", "output"); err != nil {
			return err
		}
		if err := config.Fill(cmd.Flags(), agentFlags, a.files); err != nil {
			return invalid("%v", err)
		}
		if err := a.fillDefaults(cmd.Context(), &c); err != nil {
			return err
		}
		var err error
		if c.AcceptServer, err = a.acceptedKey(); err != nil {
			return err
		}
		hurry := make(chan struct{})
		stop := secondSignal(hurry)
		defer stop()
		c.StopNow, c.Version, c.Logger = hurry, Version(), a.logger()
		defer surviveHangups(c.Logger)()
		if os.Getpid() == 1 { // of a container: processes without a parent become children of the agent
			defer run.ReapOrphans()()
		}
		return agent.Run(cmd.Context(), c)
	}
	flags := cmd.Flags()
	flags.StringVar(&c.Join, "join", "", "join `TOKEN`; needed only until this machine has joined")
	flags.StringVar(&c.Name, "name", "", "machine `NAME`; default: the host name")
	flags.StringVar(&c.Environment, "environment", "", "`ENVIRONMENT` to join")
	flags.StringSliceVar(&c.Roles, "role", nil, "`ROLE` to join with; repeatable")
	flags.StringVar(&c.Data, "data", "",
		"`FOLDER` for the agent's files; default: "+config.SystemData+" for root, otherwise the drover folder in "+
			"XDG_DATA_HOME")
	flags.BoolVar(&c.Relay, "relay", false,
		"accept a loopback address that a tunnel, a published container port or a proxy without TLS passes on")
	flags.StringVar(&c.TLSCert, "tls-cert", "",
		"PEM `FILE` with the certificate that the agent presents to servers with --tls-client-ca")
	flags.StringVar(&c.TLSKey, "tls-key", "", "PEM `FILE` with the key of that certificate")
	flags.StringSliceVar(&c.PassEnv, "pass-env", nil,
		"environment variable `NAME` of the agent that steps and health checks get; repeatable. They always get "+
			"PATH, HOME, USER, LOGNAME, TMPDIR, LANG, LANGUAGE, LC_*, TZ and the proxy variables")
	flags.StringVar(&c.Policy, "policy", "",
		"machine policy `NAME` to join with, unless the join token gives another; default: the policy default")
	flags.BoolVar(&c.Ephemeral, "ephemeral", false, "delete the machine when the agent shuts down cleanly")
	return cmd
}

// fillDefaults sets what the flags left empty: the servers of the client context, the host name and the data folder.
func (a *app) fillDefaults(ctx context.Context, c *agent.Config) (err error) {
	c.Servers, c.CA = a.servers, a.ca
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
			return invalid("could not read the host name: %v; name the machine with --name", err)
		}
	}
	if c.Data == "" {
		if c.Data, err = config.Data(); err != nil {
			return invalid("%v (or name a folder with --data)", err)
		}
	}
	return ctx.Err()
}

// secondSignal closes hurry at the second SIGINT or SIGTERM; the first one cancels the context of the command.
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
