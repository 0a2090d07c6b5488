package postgrestest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
)

// The superuser of every server, its password over TCP, and the default database.
const (
	User     = "drover"
	Password = "correct horse"
	Database = "postgres"
)

// Config configures a server. The zero value is a durable server.
type Config struct {
	// Unsafe turns fsync off, for tests that do not test durability.
	Unsafe bool
	// Settings are additional lines of postgresql.conf.
	Settings []string
	// CertFile and KeyFile are PEM files with the certificate of the server; empty: it has no TLS.
	CertFile, KeyFile string
}

// Server is a PostgreSQL server for tests.
type Server struct {
	programs string
	folder   string // contains the data, the socket and the log of the server
	port     int

	mu      sync.Mutex
	running *process // nil while the server is stopped
	killed  bool     // the server was stopped with SIGKILL

	names atomic.Int64 // number of names that Name has returned
}

// SkipOrFail skips t if err reports a missing program or permission, unless DROVER_TEST_REQUIRE is "all".
func SkipOrFail(t testing.TB, what string, err error) {
	t.Helper()
	if err == nil {
		return
	}
	if os.Getenv("DROVER_TEST_REQUIRE") == "all" {
		t.Fatalf("this test needs %s: %v", what, err)
	}
	t.Skipf("this test needs %s: %v", what, err)
}

// Start starts a server that is removed at the end of t.
func Start(t testing.TB, config Config) *Server {
	t.Helper()
	_, err := programs()
	SkipOrFail(t, "PostgreSQL", err)
	s, err := Run(config)
	if s != nil {
		t.Cleanup(s.Remove)
	}
	if err != nil {
		t.Fatalf("start PostgreSQL: %v", err)
	}
	return s
}

// Run starts a server for a program that is not a test. It returns ErrMissing if PostgreSQL is not installed. The
// caller must call Remove, even if Run returns a server together with an error.
func Run(config Config) (*Server, error) {
	bin, err := programs()
	if err != nil {
		return nil, err
	}
	return start(bin, func(s *Server) error { return s.init(config) })
}

var shared = sync.OnceValues(func() (*Server, error) {
	return Run(Config{Unsafe: true})
})

// Shared returns the shared server of this process, for tests that do not stop or change it. The server is Unsafe and
// stops when the process ends.
func Shared(t testing.TB) *Server {
	t.Helper()
	s, err := shared()
	if s == nil {
		SkipOrFail(t, "PostgreSQL", err)
	}
	if err != nil {
		t.Fatalf("start PostgreSQL: %v", err)
	}
	return s
}

// start creates the folder of a server, calls fill to create its data, and starts it. The folder is in the temporary
// folder of the system and not of the test, because the path of a socket is limited to 107 bytes.
func start(bin string, fill func(*Server) error) (*Server, error) {
	folder, err := os.MkdirTemp("", "drover-pg-")
	if err != nil {
		return nil, err
	}
	s := &Server{programs: bin, folder: folder}
	if err := chownToAccount(folder); err != nil {
		return s, err
	}
	if s.port, err = freePort(); err != nil {
		return s, err
	}
	if err := fill(s); err != nil {
		return s, err
	}
	return s, s.Start()
}

func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

// Remove stops the server and deletes its data.
func (s *Server) Remove() {
	_ = s.Stop(Immediate)
	_ = os.RemoveAll(s.folder)
}

func (s *Server) data() string { return filepath.Join(s.folder, "data") }

// init creates the data, with trust authentication over the socket and a password over TCP.
func (s *Server) init(config Config) error {
	secret := filepath.Join(s.folder, "password")
	if err := os.WriteFile(secret, []byte(Password+"\n"), 0o644); err != nil {
		return err
	}
	err := run(s.programs, "initdb", "-D", s.data(), "-U", User, "--pwfile", secret, "-E", "UTF8", "--locale", "C",
		"--no-sync",
		"--auth-local", "trust", "--auth-host", "scram-sha-256")
	if err != nil {
		return err
	}
	settings := []string{"max_connections = 80", "shared_buffers = '64MB'", "log_line_prefix = '%m [%p] '",
		"timezone = 'UTC'"}
	if config.Unsafe {
		settings = append(settings, "fsync = off", "full_page_writes = off")
	}
	if config.CertFile != "" {
		secure, err := s.installCertificate(config)
		if err != nil {
			return err
		}
		settings = append(settings, secure...)
	}
	if err := s.setAddress(); err != nil {
		return err
	}
	return s.Set(append(settings, config.Settings...)...)
}

// installCertificate copies the certificate to the folder of the server, whose user must own the key, and returns the
// settings that use it.
func (s *Server) installCertificate(config Config) (settings []string, err error) {
	cert, key := filepath.Join(s.folder, "cert.pem"), filepath.Join(s.folder, "key.pem")
	if err := errors.Join(s.install(config.CertFile, cert), s.install(config.KeyFile, key)); err != nil {
		return nil, err
	}
	return []string{"ssl = on", "ssl_cert_file = '" + cert + "'", "ssl_key_file = '" + key + "'"}, nil
}

// install copies a file for the user of the server.
func (s *Server) install(from, to string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(to, text, 0o600), chownToAccount(to))
}

// setAddress sets the addresses that the server listens on.
func (s *Server) setAddress() error {
	return s.Set("listen_addresses = '127.0.0.1'", "port = "+strconv.Itoa(s.port),
		"unix_socket_directories = '"+s.folder+"'")
}

// Set appends lines to the settings of the server. They take effect at its next start.
func (s *Server) Set(settings ...string) error {
	file, err := os.OpenFile(filepath.Join(s.data(), "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteString("\n" + strings.Join(settings, "\n") + "\n")
	return errors.Join(err, file.Close())
}

// Replica starts a read-only replica of s, which is removed at the end of t.
func (s *Server) Replica(t testing.TB) *Server {
	t.Helper()
	replica, err := start(s.programs, func(replica *Server) error {
		from := fmt.Sprintf("host=%s port=%d user=%s", s.folder, s.port, User)
		if err := run(s.programs, "pg_basebackup", "-D", replica.data(), "-R", "-X", "stream", "-c", "fast",
			"--no-sync", "-d", from); err != nil {
			return err
		}
		return replica.setAddress()
	})
	if replica != nil {
		t.Cleanup(replica.Remove)
	}
	if err != nil {
		t.Fatalf("start a replica: %v", err)
	}
	return replica
}

// URL returns the address of Database over TCP, with the password of the superuser. parameters are added to the URL,
// for example "schema=mine".
func (s *Server) URL(parameters ...string) string {
	return s.URLAs(User, Password, Database, parameters...)
}

// URLAs returns the address for another user and another database.
func (s *Server) URLAs(user, password, database string, parameters ...string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(user, password), Host: s.Address(), Path: "/" + database,
		RawQuery: strings.Join(append([]string{"sslmode=disable"}, parameters...), "&"),
	}
	return u.String()
}

// Address returns the host and port that the server listens on.
func (s *Server) Address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// SocketURL works like URL over the socket of the server.
func (s *Server) SocketURL(parameters ...string) string {
	parameters = append([]string{"host=" + url.QueryEscape(s.folder), "port=" + strconv.Itoa(s.port)}, parameters...)
	return "postgres://" + User + "@/" + Database + "?" + strings.Join(parameters, "&")
}

// Name returns a new name for a schema, a database or a role on s.
func (s *Server) Name() string { return "t" + strconv.FormatInt(s.names.Add(1), 10) }

// Exec runs statements as the superuser, and fails t if they return an error.
func (s *Server) Exec(t testing.TB, statements string) {
	t.Helper()
	if err := s.exec(context.Background(), statements); err != nil {
		t.Fatalf("%s: %v", statements, err)
	}
}

func (s *Server) exec(ctx context.Context, statements string) error {
	conn, err := pgx.Connect(ctx, s.URL())
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, statements)
	return errors.Join(err, conn.Close(ctx))
}
