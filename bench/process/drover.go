package process

import (
	"bufio"
	"bytes"
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
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/droverhq/drover/api/client"
)

// Config says how a server runs.
type Config struct {
	// Binary is drover, Folder an empty folder for all that it writes.
	Binary, Folder string
	Tick           time.Duration
	TLS            bool
	// Log is the URL of the log; empty: a file in Folder.
	Log string
	// Environment is added to that of the process.
	Environment []string
}

// Server is a drover server in a process of its own.
type Server struct {
	Config
	Address string      // HOST:PORT
	Secure  *tls.Config // what its clients trust; nil: plain

	cmd    *exec.Cmd
	client *client.Client
	tail   tail
}

// tail keeps the end of what a process prints. To the process it is a pipe, as that of a service manager.
type tail struct {
	mu   sync.Mutex
	text []byte
}

// tailBytes is enough for the last words of a server that could not go on.
const tailBytes = 8 << 10

// Write keeps the end of what was written.
func (t *tail) Write(text []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, text[max(0, len(text)-tailBytes):]...)
	t.text = t.text[max(0, len(t.text)-tailBytes):]
	return len(text), nil
}

// String is the end of what was written.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}

// Build makes the drover binary out of this checkout.
func Build(folder string) (string, error) {
	binary := filepath.Join(folder, "drover")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, "github.com/droverhq/drover/cmd/drover")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build drover: %w: %s", err, out)
	}
	return binary, nil
}

// Start runs a server and returns once it is ready.
func Start(c Config) (*Server, error) {
	s := &Server{Config: c}
	var err error
	if s.Address, err = freeAddress(); err != nil {
		return nil, err
	}
	if c.TLS {
		if s.Secure, err = Certify(c.Folder); err != nil {
			return nil, err
		}
	}
	s.client = &client.Client{Servers: []string{s.url()}, HTTP: &http.Client{Transport: &http.Transport{TLSClientConfig: s.Secure}}}
	if err := s.run(); err != nil {
		return nil, err
	}
	token, err := s.Command("token", "create", "--scope", "admin")
	s.client.Token = token
	return s, err
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

func (s *Server) url() string {
	if s.TLS {
		return "https://" + s.Address
	}
	return "http://" + s.Address
}

func (s *Server) run() error {
	args := []string{"server", "--listen", s.Address, "--data", s.Folder, "--tick", s.Tick.String()}
	if s.Log != "" {
		args = append(args, "--log", s.Log)
	}
	if s.TLS {
		args = append(args, "--tls-cert", s.file("cert.pem"), "--tls-key", s.file("key.pem"))
	}
	s.cmd = exec.Command(s.Binary, args...)
	s.cmd.Env = append(s.environment(), s.Environment...)
	s.cmd.Stdout, s.cmd.Stderr = &s.tail, &s.tail
	if err := s.cmd.Start(); err != nil {
		return err
	}
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		var text string
		if _, err := s.client.Get(context.Background(), "/readyz", nil, &text); err == nil {
			return nil
		}
	}
	return fmt.Errorf("the server did not become ready: %s", &s.tail)
}

func (s *Server) environment() []string {
	return append(os.Environ(), "HOME="+s.Folder, "XDG_CONFIG_HOME=", "XDG_DATA_HOME=")
}

func (s *Server) file(name string) string { return filepath.Join(s.Folder, name) }

// Certify leaves cert.pem and key.pem in a folder, good for 127.0.0.1, and returns what a client trusts them with.
func Certify(folder string) (*tls.Config, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := x509.Certificate{SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(48 * time.Hour), KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
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
		os.WriteFile(filepath.Join(folder, "key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	return &tls.Config{RootCAs: pool, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12}, err
}

// PID is that of the process now.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Kill ends the process as a power cut would.
func (s *Server) Kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

// Stop ends the process in order.
func (s *Server) Stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	_ = s.cmd.Wait()
}

// Restart stops the server, in order or not, and returns when it is ready again.
func (s *Server) Restart(kill bool) error {
	if kill {
		s.Kill()
	} else {
		s.Stop()
	}
	return s.run()
}

// Command runs drover's command line as the user of this server and returns what it prints.
func (s *Server) Command(args ...string) (string, error) {
	return s.CommandWith("", args...)
}

// CommandWith is Command with a text on its standard input.
func (s *Server) CommandWith(input string, args ...string) (string, error) {
	cmd := exec.Command(s.Binary, args...)
	var words bytes.Buffer
	cmd.Env, cmd.Stdin, cmd.Stderr = s.environment(), strings.NewReader(input), &words
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("drover %s: %w: %s", strings.Join(args, " "), err, &words)
	}
	return strings.TrimSpace(string(out)), nil
}

// Metrics reads /metrics; the keys are names with their labels as they stand there.
func (s *Server) Metrics() (map[string]float64, error) {
	var text string
	if _, err := s.client.Get(context.Background(), "/metrics", nil, &text); err != nil {
		return nil, err
	}
	return ParseMetrics(strings.NewReader(text)), nil
}

// ParseMetrics reads the text form of Prometheus.
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

// Client speaks to the server as an admin.
func (s *Server) Client() *client.Client { return s.client }

// LogBytes is the size of the log's file, with what waits beside it to be moved there.
func (s *Server) LogBytes() int64 { return LogBytes(s.Folder) }

// LogBytes is the size of the log that SQLite keeps in a folder, with what waits beside it.
func LogBytes(folder string) (sum int64) {
	files, _ := filepath.Glob(filepath.Join(folder, "drover.db*"))
	for _, file := range files {
		if info, err := os.Stat(file); err == nil {
			sum += info.Size()
		}
	}
	return sum
}
