package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// Share is a part of a large fleet in its own process. Its methods correspond to those of Fleet.
type Share struct {
	cmd      *exec.Cmd
	input    io.Closer
	commands *json.Encoder
	answers  *json.Decoder
}

// Verbs of commands.
const (
	connectVerb  = "connect"
	goodbyeVerb  = "goodbye"
	claimsVerb   = "claims"
	claimAllVerb = "claim-all"
	stateVerb    = "state"
	offeredVerb  = "offered"
)

// command is a message of the parent to the process, in JSON. The first message is a Config.
type command struct {
	Verb string `json:"verb"`
	// Since is for offered, On for claims, AtOnce and Within for connect.
	Since  time.Time     `json:"since,omitzero"`
	On     bool          `json:"on,omitempty"`
	AtOnce int           `json:"atOnce,omitempty"`
	Within time.Duration `json:"within,omitempty"`
}

// State is the state of a share. Its fields correspond to the methods of Fleet.
type State struct {
	Connected, Offers, FirstOffers, Ended, Redeployed int
	Errors                                            string
}

// answer is the answer to a command.
type answer struct {
	State   State       `json:"state"`
	Offered []time.Time `json:"offered,omitempty"`
	Error   string      `json:"error,omitempty"`
}

// StartShare starts a process with a fleet: this binary with word as its first argument. Shares do not support TLS.
func StartShare(word string, c Config) (*Share, error) {
	s := &Share{cmd: exec.Command(os.Args[0], word)}
	s.cmd.Stderr = os.Stderr
	in, err := s.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	s.input, s.commands, s.answers = in, json.NewEncoder(in), json.NewDecoder(out)
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	return s, s.commands.Encode(c)
}

func (s *Share) do(o command) (a answer, err error) {
	if err := s.commands.Encode(o); err != nil {
		return a, err
	}
	if err := s.answers.Decode(&a); err != nil {
		return a, fmt.Errorf("a share of the fleet did not answer: %w", err)
	}
	if a.Error != "" {
		return a, errors.New(a.Error)
	}
	return a, nil
}

// Connect starts all agents, at most atOnce at a time, and returns when each was welcomed.
func (s *Share) Connect(atOnce int, within time.Duration) error {
	_, err := s.do(command{Verb: connectVerb, AtOnce: atOnce, Within: within})
	return err
}

// Goodbye disconnects all agents with a goodbye.
func (s *Share) Goodbye() error {
	_, err := s.do(command{Verb: goodbyeVerb})
	return err
}

// SetAutoClaim sets whether agents claim offers immediately. Otherwise they wait for ClaimAll.
func (s *Share) SetAutoClaim(atOnce bool) error {
	_, err := s.do(command{Verb: claimsVerb, On: atOnce})
	return err
}

// ClaimAll makes all agents claim their offers.
func (s *Share) ClaimAll() error {
	_, err := s.do(command{Verb: claimAllVerb})
	return err
}

// State returns the state of the share.
func (s *Share) State() (State, error) {
	a, err := s.do(command{Verb: stateVerb})
	return a.State, err
}

// Offered returns the times of the first offers of parts since the given time, in order.
func (s *Share) Offered(since time.Time) ([]time.Time, error) {
	a, err := s.do(command{Verb: offeredVerb, Since: since})
	return a.Offered, err
}

// Stop ends the process and all its connections.
func (s *Share) Stop() {
	_ = s.input.Close()
	_ = s.cmd.Wait()
}

// Serve runs a share: it executes commands from in until there are no more.
func Serve(in io.Reader, out io.Writer) error {
	commands, answers := json.NewDecoder(in), json.NewEncoder(out)
	var c Config
	if err := commands.Decode(&c); err != nil {
		return err
	}
	f := New(c)
	defer f.Stop()
	for {
		var o command
		if err := commands.Decode(&o); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := answers.Encode(f.execute(o)); err != nil {
			return err
		}
	}
}

// execute carries out a command.
func (f *Fleet) execute(o command) (a answer) {
	switch o.Verb {
	case connectVerb:
		ctx, cancel := context.WithTimeout(context.Background(), o.Within)
		defer cancel()
		if err := f.Connect(ctx, 0, len(f.agents), o.AtOnce); err != nil {
			a.Error = err.Error()
		}
	case goodbyeVerb:
		f.Goodbye()
	case claimsVerb:
		f.SetAutoClaim(o.On)
	case claimAllVerb:
		f.ClaimAll()
	case stateVerb:
		a.State = State{Connected: f.Connected(), Offers: f.Offers(), FirstOffers: f.FirstOffers(), Ended: f.Ended(),
			Redeployed: f.Redeployed(), Errors: f.Errors()}
	case offeredVerb:
		a.Offered = f.Offered(o.Since)
	default:
		a.Error = fmt.Sprintf("unknown command %q", o.Verb)
	}
	return a
}
