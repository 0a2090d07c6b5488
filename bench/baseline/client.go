package baseline

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// portsPerAddress is how many connections use one loopback address as their source.
const portsPerAddress = 20_000

// Fleet is a baseline server in its own process, and its agents in this process.
type Fleet struct {
	cmd      *exec.Cmd
	commands io.WriteCloser
	answers  *bufio.Scanner
	address  string
	secure   *tls.Config

	mu      sync.Mutex
	conns   []net.Conn
	arrived []time.Time // when offers arrived
}

// Start starts the server as a subprocess: this binary with word as its first argument. secure is nil for plain
// connections; otherwise folder contains the certificate.
func Start(word, folder string, secure *tls.Config) (*Fleet, error) {
	f := &Fleet{cmd: exec.Command(os.Args[0], word, folder), secure: secure}
	f.cmd.Stderr = os.Stderr
	in, err := f.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := f.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	f.commands, f.answers = in, bufio.NewScanner(out)
	if err := f.cmd.Start(); err != nil {
		return nil, err
	}
	if !f.answers.Scan() {
		return nil, fmt.Errorf("the baseline server did not start: %w", f.answers.Err())
	}
	f.address = strings.TrimSpace(f.answers.Text())
	return f, nil
}

// Address returns the address of the server.
func (f *Fleet) Address() string { return f.address }

// PID returns the process id of the server.
func (f *Fleet) PID() int { return f.cmd.Process.Pid }

// Connect brings machines from..to online, at most atOnce at a time. Every second one is due.
func (f *Fleet) Connect(from, to, atOnce int) error {
	var all sync.WaitGroup
	slots, failed := make(chan struct{}, atOnce), make(chan error, to-from)
	for number := from; number < to; number++ {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			if err := f.connect(number); err != nil {
				failed <- err
			}
		})
	}
	all.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

func (f *Fleet) connect(number int) error {
	dialer := net.Dialer{KeepAlive: -1}
	if number >= portsPerAddress {
		dialer.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 2, byte(number/portsPerAddress))}
	}
	conn, err := dialer.Dial("tcp", f.address)
	if err != nil {
		return err
	}
	if f.secure != nil {
		conn = tls.Client(conn, f.secure)
	}
	hello, err := json.Marshal(machine{Name: fmt.Sprintf("m-%06d", number), Role: []string{"db", "web"}[number%2]})
	if err != nil {
		return err
	}
	if _, err := conn.Write(append(hello, '\n')); err != nil {
		return err
	}
	in := bufio.NewReaderSize(conn, 256)
	if _, err := in.ReadSlice('\n'); err != nil {
		return err
	}
	f.mu.Lock()
	f.conns = append(f.conns, conn)
	f.mu.Unlock()
	go f.receive(in)
	return nil
}

func (f *Fleet) receive(in *bufio.Reader) {
	for {
		if _, err := in.ReadSlice('\n'); err != nil {
			return
		}
		f.mu.Lock()
		f.arrived = append(f.arrived, time.Now())
		f.mu.Unlock()
	}
}

// Pass makes the server decide on all machines that came online since the last pass. It also returns the time from the
// start of the pass to the arrival of each offer.
func (f *Fleet) Pass(due int) (p Pass, after []time.Duration, err error) {
	f.mu.Lock()
	f.arrived = nil
	f.mu.Unlock()
	if _, err := fmt.Fprintln(f.commands, "pass"); err != nil {
		return p, nil, err
	}
	if !f.answers.Scan() {
		return p, nil, fmt.Errorf("the baseline server did not answer: %w", f.answers.Err())
	}
	if err := json.Unmarshal(f.answers.Bytes(), &p); err != nil {
		return p, nil, err
	}
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		f.mu.Lock()
		arrived := len(f.arrived)
		f.mu.Unlock()
		if arrived >= due {
			break
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, at := range f.arrived {
		after = append(after, at.Sub(p.Begun))
	}
	return p, after, nil
}

// SendHeartbeats sends a heartbeat from every agent, spread over interval, the given number of times.
func (f *Fleet) SendHeartbeats(interval time.Duration, times int) {
	const slots = 200
	ticker := time.NewTicker(interval / slots)
	defer ticker.Stop()
	for range times {
		for slot := range slots {
			for i := slot; i < len(f.conns); i += slots {
				_, _ = f.conns[i].Write([]byte("beat\n"))
			}
			<-ticker.C
		}
	}
}

// Stop stops the server and closes all connections.
func (f *Fleet) Stop() {
	for _, conn := range f.conns {
		conn.Close()
	}
	f.commands.Close()
	_ = f.cmd.Wait()
}
