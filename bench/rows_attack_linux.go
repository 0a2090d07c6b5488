package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/bench/fleet"
	"github.com/droverhq/drover/bench/process"
)

// attacker is what the process of an attacking agent reads from its standard input.
type attacker struct {
	Fleet  fleet.Config
	Socket string
}

// serveAttack connects one agent, attacks its server until in ends, and writes what it has done to out.
func serveAttack(in io.Reader, out io.Writer) error {
	// On another machine, the agent would not use the processors of the server.
	if err := syscall.Setpriority(syscall.PRIO_PROCESS, 0, 19); err != nil {
		return err
	}
	var c attacker
	lines := bufio.NewReader(in)
	line, err := lines.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &c)
	}
	if err != nil {
		return err
	}
	f := fleet.New(c.Fleet)
	if err := f.Connect(context.Background(), 0, 1, 1); err != nil {
		return err
	}
	for { // each line starts or stops the attack
		if _, err := lines.ReadBytes('\n'); err != nil {
			return nil
		}
		x := f.Attack(c.Socket)
		_, err := lines.ReadBytes('\n')
		x.Stop()
		if _, failure := fmt.Fprintln(out, x); err != nil || failure != nil {
			return errors.Join(err, failure)
		}
	}
}

// attack controls the process of an attacking agent.
type attack struct {
	process *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
}

// openAttack starts the process of an attacking agent, which does nothing yet.
func (s *fixture) openAttack(c fleet.Config) (*attack, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	x := &attack{process: exec.Command(program, attackWord)}
	x.process.Stderr = os.Stderr
	x.in, err = x.process.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := x.process.StdoutPipe()
	if err != nil {
		return nil, err
	}
	x.out = bufio.NewReader(out)
	if err := x.process.Start(); err != nil {
		return nil, err
	}
	return x, json.NewEncoder(x.in).Encode(attacker{Fleet: c, Socket: "unix://" + filepath.Join(s.Folder, "drover.sock")})
}

func (x *attack) start() error {
	_, err := io.WriteString(x.in, "start\n")
	return err
}

// stop stops the attack and returns what it has done.
func (x *attack) stop() (string, error) {
	if _, err := io.WriteString(x.in, "stop\n"); err != nil {
		return "", err
	}
	line, err := x.out.ReadString('\n')
	return strings.TrimSpace(line), err
}

func (x *attack) close() {
	_ = x.in.Close()
	_ = x.process.Wait()
}

// duringAttack collects the times of one phase.
type duringAttack struct {
	deployments []time.Duration
	commands    []time.Duration
	cpu         time.Duration
	took        time.Duration
}

// attackRow measures the deployments of honest machines while one agent attacks the server, and whether the commands that
// take power away work. Phases with and without the attack alternate.
func attackRow(ctx context.Context, o options) (*table, error) {
	n, phases, length := o.size(50, 20), pick(o, 8, 4), pick(o, 8*time.Second, 4*time.Second)
	s, err := o.deployed(ctx, setup{machines: n, tick: 5 * time.Second, heartbeat: 2 * time.Second})
	if err != nil {
		return nil, err
	}
	defer s.close()
	if err := s.prepareAttack(); err != nil {
		return nil, err
	}
	join, err := s.Command("token", "create", "--name", "attacker", "--join", "--environment", "dev")
	if err != nil {
		return nil, err
	}
	x, err := s.openAttack(fleet.Config{Machines: 1, First: 900_000, Address: s.Address, TLS: s.Secure, Join: join,
		Environment: "dev", Roles: []string{"web"}, Heartbeat: 2 * time.Second})
	if err != nil {
		return nil, err
	}
	defer x.close()
	var calm, attacked duringAttack
	done := ""
	for phase := range phases {
		if phase%2 == 0 {
			if err := s.phase(ctx, &calm, length); err != nil {
				return nil, err
			}
			continue
		}
		if err := x.start(); err != nil {
			return nil, err
		}
		if err := s.phase(ctx, &attacked, length); err != nil {
			return nil, fmt.Errorf("during the attack: %w", err)
		}
		if phase == phases-1 {
			if err := s.endAttacker(ctx, &attacked); err != nil {
				return nil, fmt.Errorf("during the attack: %w", err)
			}
		}
		if done, err = x.stop(); err != nil {
			return nil, err
		}
	}
	return attackTable(n, calm, attacked, done), nil
}

// prepareAttack creates what the phases use.
func (s *fixture) prepareAttack() error {
	if _, err := s.CommandWith("apiVersion: drover.dev/v1\nkind: Environment\nmetadata: {name: dev}\n", "apply", "-f", "-"); err != nil {
		return err
	}
	if _, err := s.Command("release", "create", "shop", "1.1"); err != nil {
		return err
	}
	_, err := s.Command("unpin", "shop", "--in", "production")
	return err
}

// phase deploys to all machines again and again, and takes power away after each deployment.
func (s *fixture) phase(ctx context.Context, d *duringAttack, length time.Duration) error {
	begun, used := time.Now(), process.CPU(s.PID())
	for i := 0; time.Since(begun) < length; i++ {
		start, ended := time.Now(), s.Ended()
		body := map[string]any{"project": "shop", "environment": "production", "release": []string{"1.0", "1.1"}[i%2]}
		if _, err := s.Client().Write(ctx, "/deployments", "", body); err != nil {
			return err
		}
		if err := s.awaitEnds(ended + s.machines); err != nil {
			return err
		}
		d.deployments = append(d.deployments, time.Since(start))
		if err := s.takePower(ctx, d); err != nil {
			return err
		}
	}
	d.cpu += process.CPU(s.PID()) - used
	d.took += time.Since(begun)
	return nil
}

// takePower runs commands that take power away, and undoes them.
func (s *fixture) takePower(ctx context.Context, d *duringAttack) error {
	var minted struct {
		ID string `json:"id"`
	}
	if err := s.Client().Post(ctx, "/tokens", "", map[string]any{"scope": "read"}, &minted); err != nil {
		return err
	}
	hold := map[string]any{"project": "shop", "machine": "m-000001"}
	return errors.Join(
		s.command(ctx, d, http.MethodDelete, client.Path("tokens", minted.ID), nil),
		s.command(ctx, d, http.MethodPost, client.Path("machines", "m-000000", "disable"), nil),
		s.command(ctx, d, http.MethodPost, client.Path("machines", "m-000000", "enable"), nil),
		s.command(ctx, d, http.MethodPost, "/holds", hold),
		s.command(ctx, d, http.MethodDelete, client.Path("holds", "shop", "m-000001"), nil))
}

// command runs one command and records its time.
func (s *fixture) command(ctx context.Context, d *duringAttack, method, path string, body any) (err error) {
	begun := time.Now()
	if method == http.MethodDelete {
		_, err = s.Client().Delete(ctx, path, "")
	} else {
		_, err = s.Client().Write(ctx, path, "", body)
	}
	d.commands = append(d.commands, time.Since(begun))
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}

// endAttacker takes everything from the attacker: it disables and deletes its machine, and revokes its token.
func (s *fixture) endAttacker(ctx context.Context, d *duringAttack) error {
	machine := client.Path("machines", "m-900000")
	return errors.Join(s.command(ctx, d, http.MethodPost, machine+"/disable", nil),
		s.command(ctx, d, http.MethodDelete, client.Path("tokens", "attacker"), nil),
		s.command(ctx, d, http.MethodDelete, machine, nil))
}

func attackTable(n int, calm, attacked duringAttack, done string) *table {
	t := comparedWith("without the attack")
	compare := func(what string, of func(duringAttack) []time.Duration, share, limit float64) {
		before := ms(process.Quantile(of(calm), share))
		t.figure(what, "%.1f", ms(process.Quantile(of(attacked), share)), before, limit*before)
	}
	deployments := func(d duringAttack) []time.Duration { return d.deployments }
	commands := func(d duringAttack) []time.Duration { return d.commands }
	compare("deployment to all other machines, p50, ms", deployments, .5, 2)
	compare("deployment to all other machines, p95, ms", deployments, .95, 0)
	compare("command that takes power away, p50, ms", commands, .5, 0)
	compare("command that takes power away, slowest, ms", commands, 1, 0)
	share := func(d duringAttack) float64 { return 100 * d.cpu.Seconds() / d.took.Seconds() }
	t.figure("CPU of the server, % of one core", "%.0f", share(attacked), share(calm), 0)
	t.note("One agent of environment dev attacks a real `drover server` with a log in SQLite; %d other machines, whose agents "+
		"are in this process, get release after release: %d deployments without the attack and %d with it, in alternate "+
		"phases. In its last phase, the attack did: %s. After each deployment, a token is revoked, a machine is disabled and "+
		"enabled, and a hold is set and lifted; at the end, the attacker's machine is disabled and deleted and its token revoked. "+
		"All %d commands during the attack succeeded. All processes share the cores. The attacking one has the lowest priority, because a real one runs on another machine.", n, len(calm.deployments), len(attacked.deployments), done, len(attacked.commands))
	return t
}
