package baseline

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// machine is the state of one machine.
type machine struct {
	Name   string `json:"name"`
	Role   string `json:"role"`
	Online bool   `json:"online"`
	conn   net.Conn
}

// server is the baseline server.
type server struct {
	mu     sync.Mutex
	all    map[string]*machine
	byRole map[string]map[string]*machine
	joined []string // names of machines that came online since the last pass
	log    *os.File
	beats  int
}

// decision is the record of one decision.
type decision struct {
	ID      int       `json:"id"`
	Machine string    `json:"machine"`
	Project string    `json:"project"`
	Release string    `json:"release"`
	Cause   string    `json:"cause"`
	Time    time.Time `json:"time"`
}

// Pass is the cost of one pass, in which the server decides on all new machines. The server measures it.
type Pass struct {
	Begun     time.Time `json:"begun"`
	Decisions int       `json:"decisions"`
	Bytes     int       `json:"bytes"`
	// Durable and Sent are the processor time until everything was on disk, and until every offer was sent.
	Durable time.Duration `json:"durable"`
	Sent    time.Duration `json:"sent"`
}

// Serve runs the baseline server: it prints its address, then makes one pass for each line of its standard input
// until that ends.
func Serve(folder string, in io.Reader, out io.Writer) error {
	log, err := os.Create(filepath.Join(folder, "baseline.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	s := &server{all: map[string]*machine{}, byRole: map[string]map[string]*machine{}, log: log}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer listener.Close()
	fmt.Fprintln(out, listener.Addr())
	if pair, err := tls.LoadX509KeyPair(filepath.Join(folder, "cert.pem"),
		filepath.Join(folder, "key.pem")); err == nil {
		listener = tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{pair}})
	}
	go s.accept(listener)
	for words := bufio.NewScanner(in); words.Scan(); {
		pass, err := s.pass()
		if err != nil {
			return err
		}
		if err := json.NewEncoder(out).Encode(pass); err != nil {
			return err
		}
	}
	return nil
}

func (s *server) accept(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go s.serve(conn)
	}
}

// serve reads the lines of one agent: its machine as JSON, which is answered, then heartbeats.
func (s *server) serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReaderSize(conn, 128)
	line, err := in.ReadSlice('\n')
	m := &machine{conn: conn}
	if err != nil || json.Unmarshal(line, m) != nil {
		return
	}
	s.online(m)
	if _, err := conn.Write([]byte("in\n")); err != nil {
		return
	}
	for {
		if _, err := in.ReadSlice('\n'); err != nil {
			break
		}
		s.mu.Lock()
		s.beats++
		s.mu.Unlock()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m.Online = false
}

func (s *server) online(m *machine) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m.Online = true
	s.all[m.Name] = m
	if s.byRole[m.Role] == nil {
		s.byRole[m.Role] = map[string]*machine{}
	}
	s.byRole[m.Role][m.Name] = m
	s.joined = append(s.joined, m.Name)
}

// pass decides on the machines that came online: those with the role web get the release.
func (s *server) pass() (Pass, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := Pass{Begun: time.Now()}
	before := cpu()
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	var due []*machine
	for _, name := range s.joined {
		if m := s.byRole["web"][name]; m != nil && m.Online {
			due = append(due, m)
			p.Decisions++
			d := decision{ID: p.Decisions, Machine: name, Project: "shop", Release: "1.0", Cause: "came online",
				Time: p.Begun}
			if err := encoder.Encode(d); err != nil {
				return p, err
			}
		}
	}
	s.joined = s.joined[:0]
	p.Bytes = text.Len()
	if _, err := s.log.Write(text.Bytes()); err != nil {
		return p, err
	}
	if err := s.log.Sync(); err != nil {
		return p, err
	}
	p.Durable = cpu() - before
	for _, m := range due {
		offer, err := json.Marshal(map[string]string{"deployment": m.Name, "project": "shop", "release": "1.0",
			"run": "true"})
		if err != nil {
			return p, err
		}
		if _, err := m.conn.Write(append(offer, '\n')); err != nil {
			return p, err
		}
	}
	p.Sent = cpu() - before
	return p, nil
}

// cpu returns the processor time of this process.
func cpu() time.Duration {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
