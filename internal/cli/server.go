package cli

import (
	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/droverhq/drover/internal/config"
	"github.com/droverhq/drover/internal/server"
)

var serverFlags = []string{"listen", "address", "log", "tick", "data", "tls-cert", "tls-key", "tls-client-ca",
	"insecure", "host", "trusted-proxy"}

func serverVerb(a *app) *cobra.Command {
	c := server.Config{}
	cmd := verb{
		exits: localExits(exits{exitOK: "the server was stopped by a signal",
			exitError: "the server failed to start or stopped with an error"}),
		use: "server", short: "Run a server",
		long: "Run a server. It stores the event log, decides every --tick what to deploy, serves the API and\n" +
			"hands work to agents. It logs to stderr and runs until the first SIGINT or SIGTERM. SIGHUP has no\n" +
			"effect.\n\n" +
			"The first start creates a client context with an admin token for the user who started it, so\n" +
			"that the other commands work at once. Each flag can also be set as DROVER_FLAG in the\n" +
			"environment and as a key of the config file.",
		example: "drover server\n" +
			"drover server --listen 0.0.0.0:7070 --tls-cert cert.pem --tls-key key.pem --data /srv/drover",
	}.command()
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if err := a.rejectFlags(cmd, "server", "token", "output", "accept-server"); err != nil {
			return err
		}
		if err := config.Fill(cmd.Flags(), serverFlags, a.files); err != nil {
			return invalid("%v", err)
		}
		if c.Data == "" {
			if c.Data, err = config.Data(); err != nil {
				return invalid("%v (or name a folder with --data)", err)
			}
		}
		if c.Tick == 0 { // the server would replace 0 by its default
			return invalid("invalid tick 0s: use whole seconds, at least 1s")
		}
		c.Version, c.Logger = Version(), a.logger()
		defer surviveHangups(c.Logger)()
		if err := server.Run(cmd.Context(), c); err != nil {
			return invalid("%v", err)
		}
		return nil
	}
	flags := cmd.Flags()
	flags.StringVar(&c.Listen, "listen", server.DefaultListen, "listen on `HOST:PORT`")
	flags.StringVar(&c.Address, "address", "",
		"`URL` at which agents reach this server if there are several; default: from --listen, or the host name")
	flags.StringVar(&c.Log, "log", "",
		"`URL` of the event log: sqlite:PATH, postgres://… or esdb://…; default: drover.db in the data folder")
	flags.DurationVar(&c.Tick, "tick", server.DefaultTick, "decide every `DURATION`, in whole seconds")
	flags.StringVar(&c.Data, "data", "",
		"`FOLDER` for the server's files; default: "+config.SystemData+" for root, otherwise the drover folder in "+
			"XDG_DATA_HOME")
	flags.StringVar(&c.TLSCert, "tls-cert", "", "PEM `FILE` with the TLS certificate")
	flags.StringVar(&c.TLSKey, "tls-key", "", "PEM `FILE` with the key of the TLS certificate")
	flags.StringVar(&c.TLSClientCA, "tls-client-ca", "",
		"PEM `FILE` with the authorities of client certificates; agents must then present a certificate")
	flags.BoolVar(&c.Insecure, "insecure", false,
		"accept connections from other machines, and use a database on another machine, without verified TLS")
	flags.StringSliceVar(&c.Hosts, "host", nil,
		"also accept requests for host `NAME`; on loopback, others than localhost are refused; repeatable")
	flags.StringSliceVar(&c.TrustedProxies, "trusted-proxy", nil,
		"`NETWORK` of proxies that terminate TLS and set X-Forwarded-Proto, such as 10.0.0.0/8; repeatable")
	return cmd
}

// rejectFlags returns an error if the user typed one of the named flags, which the command would ignore.
func (a *app) rejectFlags(cmd *cobra.Command, names ...string) error {
	for _, name := range names {
		if flag := cmd.Flags().Lookup(name); flag != nil && flag.Changed && !a.inherited(name) {
			return usage("`%[2]s` does not support --%[1]s", name, cmd.CommandPath())
		}
	}
	return nil
}

// inherited reports whether a flag was set from the environment or the config file and not by an argument.
func (a *app) inherited(name string) bool {
	for _, arg := range a.Args {
		if arg == "--"+name || len(arg) > len(name)+2 && arg[:len(name)+3] == "--"+name+"=" || name == "output" &&
			len(arg) > 1 && arg[:2] == "-o" {
			return false
		}
	}
	return true
}

// logger returns a logger that writes to stderr: readable lines on a terminal, otherwise one JSON object per line.
func (a *app) logger() *zap.Logger {
	settings := zap.NewProductionEncoderConfig()
	settings.EncodeTime = zapcore.ISO8601TimeEncoder
	settings.EncodeDuration = zapcore.StringDurationEncoder
	encoder := zapcore.NewJSONEncoder(settings)
	if isTerminal(a.Err) {
		settings.EncodeLevel = zapcore.CapitalLevelEncoder
		encoder = zapcore.NewConsoleEncoder(settings)
	}
	return zap.New(zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(escaping(a.Err))), zapcore.InfoLevel))
}
