package agent

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/droverhq/drover/agent/run"
	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/internal/clock"
	"github.com/droverhq/drover/internal/transport"
	"github.com/droverhq/drover/serverkey"
)

// Clock is the time that an agent uses.
type Clock interface {
	// Now is the wall clock. Somebody may set it at any time, so it only informs people.
	Now() time.Time
	// Elapsed is a monotonic clock with an arbitrary start. The agent measures all intervals with it.
	Elapsed() time.Duration
}

// Config is the configuration of an agent.
type Config struct {
	// Servers are URLs (http, https, ws, wss or unix:///PATH); at least one. The agent tries them in turn.
	Servers []string
	// Join is the join token; required until this machine has joined once.
	Join string
	// Name is the machine's name.
	Name string
	// Environment and Roles apply only when the machine joins for the first time.
	Environment string
	Roles       []string
	// Data is the agent's own folder. The agent creates it if it does not exist.
	Data string
	// CA is a PEM file with the certificate authorities for the servers; empty means those of the system.
	CA string
	// Relay permits a server that receives the connections at another address than the loopback address that the agent
	// dials, without TLS: behind a tunnel, a published port of a container, or a proxy.
	Relay bool
	// AcceptServer is the only server key that the agent accepts, and pins. Zero: the pinned key, or else that of the first
	// server that proves itself.
	AcceptServer serverkey.Public
	// TLSCert and TLSKey are PEM files with the certificate that the agent presents to servers that ask for one; empty:
	// none.
	TLSCert, TLSKey string
	// Ephemeral asks the server to delete the machine when the agent shuts down cleanly.
	Ephemeral bool
	// Policy is the machine policy to ask for at the first join; empty: none.
	Policy string
	// PassEnv names environment variables of the agent that steps and health checks get beside those of run.Inherited.
	PassEnv []string
	// Version is the version of this program.
	Version string
	// Logger receives the log; nil discards it.
	Logger *zap.Logger
	// Clock is the clock of the agent; nil means the clock of the system.
	Clock Clock
	// StopNow stops the agent immediately and kills the running step when it is closed or receives a value.
	StopNow <-chan struct{}
}

// check sets defaults and validates the configuration.
func (c Config) check() (Config, error) {
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
	if c.Clock == nil {
		c.Clock = clock.New()
	}
	if len(c.Servers) == 0 {
		return c, errors.New("no server to connect to; specify one with --server URL")
	}
	if c.Name == "" {
		return c, errors.New("the machine has no name; specify one with --name NAME")
	}
	if c.Data == "" {
		return c, errors.New("no data folder; specify one with --data FOLDER")
	}
	for _, name := range c.PassEnv {
		if err := run.CheckPassEnv(name); err != nil {
			return c, err
		}
	}
	addresses := make([]string, 0, len(c.Servers))
	for _, server := range c.Servers {
		address, err := webSocketURL(server)
		if err != nil {
			return c, err
		}
		addresses = append(addresses, address)
	}
	c.Servers = addresses
	return c, nil
}

// webSocketURL returns the URL of the agent endpoint of a server. The address of a Unix socket is returned unchanged.
func webSocketURL(server string) (string, error) {
	if path, ok := client.SocketPath(strings.TrimSpace(server)); ok {
		return client.SocketPrefix + path, nil
	}
	if err := client.CheckSocket(strings.TrimSpace(server)); err != nil {
		return "", err
	}
	if err := client.CheckURL(strings.TrimSpace(server)); err != nil {
		return "", err
	}
	u, err := url.Parse(strings.TrimSpace(server))
	if err != nil || u.Host == "" {
		return "", fmt.Errorf("invalid server URL %.160q: use a URL like https://drover.example.com:7070", server)
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("invalid server URL %.160q: use only scheme, host, port and path", u.Redacted())
	}
	switch u.Scheme {
	case "http", "ws":
		u.Scheme = "ws"
	case "https", "wss":
		u.Scheme = "wss"
	default:
		return "", fmt.Errorf("invalid server URL %.160q: unsupported scheme %s, use http or https", server, u.Scheme)
	}
	if !strings.HasSuffix(u.Path, client.AgentPath) {
		u = u.JoinPath(client.AgentPath)
	}
	return u.String(), nil
}

// isUnencrypted reports whether traffic to the address leaves this machine without encryption.
func isUnencrypted(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Scheme != "wss" && u.Scheme != "unix" && !transport.IsLoopback(u.Hostname())
}

// tlsConfig returns a configuration that trusts the authorities of the CA file, or those of the system. It presents the
// certificate of the agent if the server asks for one.
func (c Config) tlsConfig() (*tls.Config, error) {
	config := transport.Config()
	if c.TLSCert != "" || c.TLSKey != "" {
		if c.TLSCert == "" || c.TLSKey == "" {
			return nil, errors.New("a client certificate requires both a certificate and a key: set --tls-cert and --tls-key")
		}
		pair, err := transport.LoadPair(c.TLSCert, c.TLSKey)
		if err != nil {
			return nil, err
		}
		if err := pair.CheckValidity(c.Clock.Now()); err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{*pair.Current()}
	}
	if c.CA != "" {
		authorities, err := transport.LoadAuthorities(c.CA)
		if err != nil {
			return nil, err
		}
		config.RootCAs = authorities.Pool()
	}
	return config, nil
}
