package harness

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// FreeAddress returns a loopback HOST:PORT that is currently unused.
func FreeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free address: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// Server describes the process of a server. A server that is restarted from the same description has the same
// address and the same log.
type Server struct {
	Listen string // HOST:PORT
	Data   string // a folder
	Tick   time.Duration
	Log    string // the URL of its log; empty means a file in Data
	// Cert and Key are files; empty means plain HTTP.
	Cert, Key string
}

// URL returns the URL of the server.
func (s Server) URL() string {
	if s.Cert != "" {
		return "https://" + s.Listen
	}
	return "http://" + s.Listen
}

// Spec returns the process specification of the server.
func (s Server) Spec() Spec {
	args := []string{"server", "--listen", s.Listen, "--data", s.Data, "--tick", s.Tick.String()}
	if s.Log != "" {
		args = append(args, "--log", s.Log)
	}
	if s.Cert != "" {
		args = append(args, "--tls-cert", s.Cert, "--tls-key", s.Key)
	}
	return Spec{Name: "the server", Args: args}
}

// Ready returns nil if the server at url is ready; otherwise the error contains its answer.
func Ready(ctx context.Context, c *http.Client, url string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/readyz", nil)
	if err != nil {
		return err
	}
	answer, err := c.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s: %s", url, answer.Status, strings.TrimSpace(string(text)))
	}
	return nil
}

// Agent describes the process of an agent.
type Agent struct {
	Name, Environment string
	Roles             []string
	Servers           []string // URLs
	// Join is the token to join with. It is passed in the environment, which other users cannot read. After the
	// first join it is not needed.
	Join string
	Data string // a folder
}

// Spec returns the process specification of the agent.
func (a Agent) Spec() Spec {
	args := []string{"agent", "--name", a.Name, "--environment", a.Environment,
		"--server", strings.Join(a.Servers, ","), "--data", a.Data}
	for _, role := range a.Roles {
		args = append(args, "--role", role)
	}
	return Spec{Name: "the agent of " + a.Name, Args: args, Env: []string{"DROVER_JOIN=" + a.Join}}
}
