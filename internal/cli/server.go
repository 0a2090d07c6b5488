package cli

import (
	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/droverhq/drover/internal/config"
	"github.com/droverhq/drover/internal/server"
)

var serverFlags = []string{"listen", "address", "log", "tick", "data", "tls-cert", "tls-key", "insecure"}

func serverVerb(s *shell) *cobra.Command {
	c := server.Config{}
	cmd := verb{
		exits: alone(exits{exitOK: "it was told to stop", exitError: "it cannot start, or had to stop"}),
		use:   "server", short: "Run a server",
		long: "Run a server: it keeps the log, decides every --tick, and gives agents their work.\n\n" +
			"The first start leaves a client context with an admin token for the user who started it, so that the\nother commands work at once. Each flag is also DROVER_FLAG in the environment and a key of the config file.",
		example: "drover server\ndrover server --listen 0.0.0.0:7070 --tls-cert cert.pem --tls-key key.pem --data /srv/drover",
	}.command()
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if err := s.foreign(cmd, "server", "token", "output"); err != nil {
			return err
		}
		if err := config.Fill(cmd.Flags(), serverFlags, s.files); err != nil {
			return invalid("%v", err)
		}
		if c.Data == "" {
			if c.Data, err = config.Data(); err != nil {
				return invalid("%v (or name a folder with --data)", err)
			}
		}
		if c.Tick == 0 { // to the server that would be its default
			return invalid("invalid tick 0s: use whole seconds, at least 1s")
		}
		c.Version, c.Logger = Version(), s.logger()
		if err := server.Run(cmd.Context(), c); err != nil {
			return invalid("%v", err)
		}
		return nil
	}
	flags := cmd.Flags()
	flags.StringVar(&c.Listen, "listen", server.DefaultListen, "listen on this `HOST:PORT`")
	flags.StringVar(&c.Address, "address", "", "the `URL` by which agents reach this server among several; default: from --listen, or the machine's name")
	flags.StringVar(&c.Log, "log", "", "the log's `URL`: sqlite:PATH, postgres://…, esdb://…; default: drover.db in the data folder")
	flags.DurationVar(&c.Tick, "tick", server.DefaultTick, "decide every `DURATION`, in whole seconds")
	flags.StringVar(&c.Data, "data", "", "`FOLDER` of the server's files; default: "+config.SystemData+" for root, else drover's in XDG_DATA_HOME")
	flags.StringVar(&c.TLSCert, "tls-cert", "", "PEM `FILE` with the certificate")
	flags.StringVar(&c.TLSKey, "tls-key", "", "PEM `FILE` with the certificate's key")
	flags.BoolVar(&c.Insecure, "insecure", false, "let other machines connect although there is no TLS")
	return cmd
}

// foreign refuses flags that would be passed over without a word.
func (s *shell) foreign(cmd *cobra.Command, names ...string) error {
	for _, name := range names {
		if flag := cmd.Flags().Lookup(name); flag != nil && flag.Changed && !s.fromElsewhere(name) {
			return usage("--%s is not for `%s`", name, cmd.CommandPath())
		}
	}
	return nil
}

// fromElsewhere says whether a flag was not typed, but filled in from environment or config file.
func (s *shell) fromElsewhere(name string) bool {
	for _, arg := range s.Args {
		if arg == "--"+name || len(arg) > len(name)+2 && arg[:len(name)+3] == "--"+name+"=" || name == "output" && len(arg) > 1 && arg[:2] == "-o" {
			return false
		}
	}
	return true
}

// logger writes what happens to stderr: for people on a terminal, else one JSON object a line.
func (s *shell) logger() *zap.Logger {
	settings := zap.NewProductionEncoderConfig()
	settings.EncodeTime = zapcore.ISO8601TimeEncoder
	settings.EncodeDuration = zapcore.StringDurationEncoder
	encoder := zapcore.NewJSONEncoder(settings)
	if isTerminal(s.Err) {
		settings.EncodeLevel = zapcore.CapitalLevelEncoder
		encoder = zapcore.NewConsoleEncoder(settings)
	}
	return zap.New(zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(words(s.Err))), zapcore.InfoLevel))
}
