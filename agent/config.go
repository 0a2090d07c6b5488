package agent

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"

	"go.uber.org/zap"

	"github.com/droverhq/drover/api/client"
)

// Config says who an agent is and where its servers are.
type Config struct {
	// Servers are URLs (http, https, ws or wss), tried in turn; at least one.
	Servers []string
	// Join is the join token; needed until this machine has joined once.
	Join string
	// Name is the machine's name.
	Name string
	// Environment and Roles count at the first join only.
	Environment string
	Roles       []string
	// Data is the agent's own folder; made if it is not there.
	Data string
	// CA is a PEM file with the authorities that may vouch for the servers; empty: the system's.
	CA string
	// Ephemeral asks the server to delete the machine when the agent is stopped in order.
	Ephemeral bool
	// Version is that of this program.
	Version string
	// Logger gets what happens; nil: nobody does.
	Logger *zap.Logger
	// Hurry, when closed or sent to, stops the agent at once; what runs is killed.
	Hurry <-chan struct{}
}

// check fills in what may be left out and refuses what cannot work.
func (c Config) check() (Config, error) {
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
	if len(c.Servers) == 0 {
		return c, errors.New("no server to connect to; name one with --server URL")
	}
	if c.Name == "" {
		return c, errors.New("the machine has no name; give it one with --name NAME")
	}
	if c.Data == "" {
		return c, errors.New("no data folder; name one with --data FOLDER")
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

// webSocketURL turns a server's URL into that of its agents' door.
func webSocketURL(server string) (string, error) {
	u, err := url.Parse(strings.TrimSpace(server))
	if err != nil || u.Host == "" {
		return "", fmt.Errorf("invalid server URL %.160q: write it like https://drover.example.com:7070", server)
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("server %.160q: leave out what is not scheme, host, port or path", u.Redacted())
	}
	switch u.Scheme {
	case "http", "ws":
		u.Scheme = "ws"
	case "https", "wss":
		u.Scheme = "wss"
	default:
		return "", fmt.Errorf("server %.160q: drover speaks http and https, not %s", server, u.Scheme)
	}
	if !strings.HasSuffix(u.Path, client.AgentPath) {
		u = u.JoinPath(client.AgentPath)
	}
	return u.String(), nil
}

// isOpen reports whether what is sent to the address can be read on the way.
func isOpen(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.Scheme == "wss" || u.Hostname() == "localhost" {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return ip == nil || !ip.IsLoopback()
}

// tlsConfig trusts the authorities of the CA file, or those of the system.
func (c Config) tlsConfig() (*tls.Config, error) {
	if c.CA == "" {
		return &tls.Config{MinVersion: tls.VersionTLS12}, nil
	}
	pem, err := os.ReadFile(c.CA)
	if err != nil {
		return nil, fmt.Errorf("read the authorities: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate in PEM form", c.CA)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}, nil
}
