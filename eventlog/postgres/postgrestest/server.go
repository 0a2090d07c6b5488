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

// The superuser of every server, its password over TCP, and the database there is.
const (
	User     = "drover"
	Password = "correct horse"
	Database = "postgres"
)

// Config says how a server runs; the zero value is as an administrator would have it.
type Config struct {
	// Unsafe turns fsync off, for tests that prove nothing about durability.
	Unsafe bool
	// Settings are further lines of postgresql.conf.
	Settings []string
}

// Server is a PostgreSQL of its own.
type Server struct {
	programs string
	folder   string // holds the data, the socket and the server's log
	port     int

	mu      sync.Mutex
	running *process // nil while the server is stopped
	killed  bool     // it was stopped with SIGKILL

	names atomic.Int64 // counts what was named after tests
}

// Missing skips t if a program or a right that it needs is missing, unless all tests must run.
func Missing(t testing.TB, what string, err error) {
	t.Helper()
	if err == nil {
		return
	}
	if os.Getenv("DROVER_TEST_REQUIRE") == "all" {
		t.Fatalf("this test needs %s: %v", what, err)
	}
	t.Skipf("this test needs %s: %v", what, err)
}

// Start starts a server, which stops with t.
func Start(t testing.TB, config Config) *Server {
	t.Helper()
	_, err := programs()
	Missing(t, "PostgreSQL", err)
	s, err := Run(config)
	if s != nil {
		t.Cleanup(s.Remove)
	}
	if err != nil {
		t.Fatalf("start PostgreSQL: %v", err)
	}
	return s
}

// Run is Start for a program that is no test. It returns ErrMissing where there is no PostgreSQL. The caller calls Remove,
// also where a server comes with an error.
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

// Shared returns the one server of this process, which is Unsafe, for tests that do it no
// harm. It stops when the process ends.
func Shared(t testing.TB) *Server {
	t.Helper()
	s, err := shared()
	if s == nil {
		Missing(t, "PostgreSQL", err)
	}
	if err != nil {
		t.Fatalf("start PostgreSQL: %v", err)
	}
	return s
}

// start makes the folder of a server, lets fill make the data in it, and starts it. The
// folder lies in the system's temporary folder and not in that of a test, because the
// path of a socket may have 107 bytes only.
func start(bin string, fill func(*Server) error) (*Server, error) {
	folder, err := os.MkdirTemp("", "drover-pg-")
	if err != nil {
		return nil, err
	}
	s := &Server{programs: bin, folder: folder}
	if err := give(folder); err != nil {
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

// Remove stops the server and forgets what it held.
func (s *Server) Remove() {
	_ = s.Stop(Immediate)
	_ = os.RemoveAll(s.folder)
}

func (s *Server) data() string { return filepath.Join(s.folder, "data") }

// init makes the data: trust over the socket, a password over TCP.
func (s *Server) init(config Config) error {
	secret := filepath.Join(s.folder, "password")
	if err := os.WriteFile(secret, []byte(Password+"\n"), 0o644); err != nil {
		return err
	}
	err := run(s.programs, "initdb", "-D", s.data(), "-U", User, "--pwfile", secret, "-E", "UTF8", "--locale", "C", "--no-sync",
		"--auth-local", "trust", "--auth-host", "scram-sha-256")
	if err != nil {
		return err
	}
	settings := []string{"max_connections = 80", "shared_buffers = '64MB'", "log_line_prefix = '%m [%p] '", "timezone = 'UTC'"}
	if config.Unsafe {
		settings = append(settings, "fsync = off", "full_page_writes = off")
	}
	if err := s.place(); err != nil {
		return err
	}
	return s.Set(append(settings, config.Settings...)...)
}

// place settles where the server listens.
func (s *Server) place() error {
	return s.Set("listen_addresses = '127.0.0.1'", "port = "+strconv.Itoa(s.port), "unix_socket_directories = '"+s.folder+"'")
}

// Set adds lines to the server's settings, which hold from its next start on.
func (s *Server) Set(settings ...string) error {
	file, err := os.OpenFile(filepath.Join(s.data(), "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteString("\n" + strings.Join(settings, "\n") + "\n")
	return errors.Join(err, file.Close())
}

// Replica starts a second server that follows s and takes no writes; it stops with t.
func (s *Server) Replica(t testing.TB) *Server {
	t.Helper()
	replica, err := start(s.programs, func(replica *Server) error {
		from := fmt.Sprintf("host=%s port=%d user=%s", s.folder, s.port, User)
		if err := run(s.programs, "pg_basebackup", "-D", replica.data(), "-R", "-X", "stream", "-c", "fast", "--no-sync", "-d", from); err != nil {
			return err
		}
		return replica.place()
	})
	if replica != nil {
		t.Cleanup(replica.Remove)
	}
	if err != nil {
		t.Fatalf("start a replica: %v", err)
	}
	return replica
}

// URL returns the address of Database over TCP, with the superuser's password.
// What is given is added as parameters, such as "schema=mine".
func (s *Server) URL(parameters ...string) string {
	return s.URLAs(User, Password, Database, parameters...)
}

// URLAs is URL for another user and another database.
func (s *Server) URLAs(user, password, database string, parameters ...string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(user, password), Host: s.Address(), Path: "/" + database,
		RawQuery: strings.Join(append([]string{"sslmode=disable"}, parameters...), "&"),
	}
	return u.String()
}

// Address is the host and port that the server listens on.
func (s *Server) Address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// SocketURL is URL by way of the server's socket.
func (s *Server) SocketURL(parameters ...string) string {
	parameters = append([]string{"host=" + url.QueryEscape(s.folder), "port=" + strconv.Itoa(s.port)}, parameters...)
	return "postgres://" + User + "@/" + Database + "?" + strings.Join(parameters, "&")
}

// Name returns a name, good for a schema, a database or a role, that nobody has on s.
func (s *Server) Name() string { return "t" + strconv.FormatInt(s.names.Add(1), 10) }

// Exec runs statements as the superuser, and fails t if they fail.
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
