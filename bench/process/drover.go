package process

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/internal/harness"
)

// Config configures a server.
type Config struct {
	// Binary is the drover program. Folder is an empty folder for its files.
	Binary, Folder string
	Tick           time.Duration
	TLS            bool
	// Log is the URL of the log; empty means a file in Folder.
	Log string
}

// Server is a drover server in its own process. Its output goes through a pipe, as under a service manager.
type Server struct {
	Config
	Address string      // HOST:PORT
	Secure  *tls.Config // TLS configuration for its clients; nil for plain connections

	host    *harness.Host
	spec    harness.Server
	process *harness.Process
	client  *client.Client
}

const (
	// readyWithin limits the wait for the start of a server; the longest log takes a fraction of it.
	readyWithin = 2 * time.Minute
	// stopWithin limits the wait for a server that was asked to stop.
	stopWithin = 2 * time.Minute
)

// Build builds drover from this checkout and returns the path of the binary.
func Build(folder string) (string, error) {
	binary := filepath.Join(folder, "drover")
	return binary, harness.Build(binary, "-trimpath", "-ldflags", "-s -w")
}

// Start starts a server and returns when it is ready.
func Start(c Config) (*Server, error) {
	s := &Server{Config: c, host: &harness.Host{Program: c.Binary, Env: harness.Environment(c.Folder)}}
	var err error
	if s.Address, err = harness.FreeAddress(); err != nil {
		return nil, err
	}
	s.spec = harness.Server{Listen: s.Address, Data: c.Folder, Tick: c.Tick, Log: c.Log}
	if c.TLS {
		if s.Secure, err = Certify(c.Folder); err != nil {
			return nil, err
		}
		s.spec.Cert, s.spec.Key = s.file("cert.pem"), s.file("key.pem")
	}
	s.client = &client.Client{Servers: []string{s.spec.URL()},
		HTTP: &http.Client{Transport: &http.Transport{TLSClientConfig: s.Secure}}}
	if err = s.run(); err == nil {
		s.client.Token, err = s.Command("token", "create", "--scope", "admin")
	}
	if err != nil {
		s.host.Close()
		return nil, err
	}
	return s, nil
}

func (s *Server) run() (err error) {
	if s.process, err = s.host.Start(s.spec.Spec()); err != nil {
		return err
	}
	return s.process.Await(context.Background(), readyWithin, "become ready", func(ctx context.Context) error {
		return harness.Ready(ctx, s.client.HTTP, s.spec.URL())
	})
}

func (s *Server) file(name string) string { return filepath.Join(s.Folder, name) }

// Certify writes cert.pem and key.pem for 127.0.0.1 into a folder. It returns the TLS configuration of a client
// that trusts them.
func Certify(folder string) (*tls.Config, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := x509.Certificate{SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true,
		BasicConstraintsValid: true,
		NotBefore:             time.Now().Add(-time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	cert, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})
	pool.AppendCertsFromPEM(text)
	err = errors.Join(os.WriteFile(filepath.Join(folder, "cert.pem"), text, 0o600),
		os.WriteFile(filepath.Join(folder, "key.pem"),
			pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	return &tls.Config{RootCAs: pool, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12}, err
}

// PID returns the process id of the current process.
func (s *Server) PID() int { return s.process.PID() }

// Kill ends the process with SIGKILL.
func (s *Server) Kill() { s.process.Kill() }

// Stop stops the process gracefully.
func (s *Server) Stop() { harness.Stop(stopWithin, s.process) }

// Restart stops the server gracefully or with SIGKILL, and returns when it is ready again.
func (s *Server) Restart(kill bool) error {
	if kill {
		s.Kill()
	} else {
		s.Stop()
	}
	return s.run()
}

// Command runs a drover command as the user of this server and returns its output.
func (s *Server) Command(args ...string) (string, error) {
	return s.CommandWith("", args...)
}

// CommandWith is Command with text on standard input.
func (s *Server) CommandWith(input string, args ...string) (string, error) {
	result, err := s.host.Run(context.Background(), input, args...)
	if err != nil {
		return "", err
	}
	if result.Code != 0 {
		return "", fmt.Errorf("drover %s: exit code %d: %s", strings.Join(args, " "), result.Code, result.Stderr)
	}
	return strings.TrimSpace(result.Stdout), nil
}

// Metrics reads /metrics. Its keys are metric names with their labels as printed.
func (s *Server) Metrics() (map[string]float64, error) {
	var text string
	if _, err := s.client.Get(context.Background(), "/metrics", nil, &text); err != nil {
		return nil, err
	}
	return ParseMetrics(strings.NewReader(text)), nil
}

// ParseMetrics parses the text format of Prometheus.
func ParseMetrics(text io.Reader) map[string]float64 {
	values := map[string]float64{}
	for lines := bufio.NewScanner(text); lines.Scan(); {
		name, value, ok := strings.Cut(lines.Text(), " ")
		if at := strings.Index(lines.Text(), "} "); at >= 0 {
			name, value = lines.Text()[:at+1], lines.Text()[at+2:]
		}
		if number, err := strconv.ParseFloat(value, 64); ok && err == nil && !strings.HasPrefix(name, "#") {
			values[name] = number
		}
	}
	return values
}

// Client returns an API client of the server with admin permission.
func (s *Server) Client() *client.Client { return s.client }

// LogBytes returns the size of the log's file, including its write-ahead log.
func (s *Server) LogBytes() int64 { return LogBytes(s.Folder) }

// LogBytes returns the size of the SQLite log in a folder, including its write-ahead log.
func LogBytes(folder string) (sum int64) {
	files, _ := filepath.Glob(filepath.Join(folder, "drover.db*"))
	for _, file := range files {
		if info, err := os.Stat(file); err == nil {
			sum += info.Size()
		}
	}
	return sum
}
