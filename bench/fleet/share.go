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

// Share is a part of a large fleet in a process of its own. Its methods are those of Fleet.
type Share struct {
	cmd     *exec.Cmd
	input   io.Closer
	orders  *json.Encoder
	answers *json.Decoder
}

// The verbs of orders.
const (
	connectVerb  = "connect"
	goodbyeVerb  = "goodbye"
	claimsVerb   = "claims"
	claimAllVerb = "claim-all"
	stateVerb    = "state"
	offeredVerb  = "offered"
)

// order is what the parent tells the process, in JSON. The first thing that it tells is a Config.
type order struct {
	Verb string `json:"verb"`
	// Since is of offered; On of claims; AtOnce and Within of connect.
	Since  time.Time     `json:"since,omitzero"`
	On     bool          `json:"on,omitempty"`
	AtOnce int           `json:"atOnce,omitempty"`
	Within time.Duration `json:"within,omitempty"`
}

// State is where a share stands; the names are those of Fleet's methods.
type State struct {
	Connected, Offers, Orders, Ended, Again int
	Faults                                  string
}

// answer is what follows each order.
type answer struct {
	State   State       `json:"state"`
	Offered []time.Time `json:"offered,omitempty"`
	Error   string      `json:"error,omitempty"`
}

// StartShare starts a process that holds a fleet; this very binary does it if its first argument is word. TLS is not for shares.
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
	s.input, s.orders, s.answers = in, json.NewEncoder(in), json.NewDecoder(out)
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	return s, s.orders.Encode(c)
}

func (s *Share) tell(o order) (a answer, err error) {
	if err := s.orders.Encode(o); err != nil {
		return a, err
	}
	if err := s.answers.Decode(&a); err != nil {
		return a, fmt.Errorf("a share of the fleet gave no answer: %w", err)
	}
	if a.Error != "" {
		return a, errors.New(a.Error)
	}
	return a, nil
}

// Connect lets all agents begin their lives, so many at a time, and returns once each was welcomed.
func (s *Share) Connect(atOnce int, within time.Duration) error {
	_, err := s.tell(order{Verb: connectVerb, AtOnce: atOnce, Within: within})
	return err
}

// Goodbye ends all agents; each says so.
func (s *Share) Goodbye() error {
	_, err := s.tell(order{Verb: goodbyeVerb})
	return err
}

// Claims says whether agents claim what they are offered at once; else they wait for ClaimAll.
func (s *Share) Claims(atOnce bool) error {
	_, err := s.tell(order{Verb: claimsVerb, On: atOnce})
	return err
}

// ClaimAll lets all agents claim what they were offered.
func (s *Share) ClaimAll() error {
	_, err := s.tell(order{Verb: claimAllVerb})
	return err
}

// State is where the share stands.
func (s *Share) State() (State, error) {
	a, err := s.tell(order{Verb: stateVerb})
	return a.State, err
}

// Offered are the moments at which parts were handed over since, for the first time, in order.
func (s *Share) Offered(since time.Time) ([]time.Time, error) {
	a, err := s.tell(order{Verb: offeredVerb, Since: since})
	return a.Offered, err
}

// Stop ends the process and all its connections.
func (s *Share) Stop() {
	_ = s.input.Close()
	_ = s.cmd.Wait()
}

// Serve is the process of a share: it obeys orders until there are no more.
func Serve(in io.Reader, out io.Writer) error {
	orders, answers := json.NewDecoder(in), json.NewEncoder(out)
	var c Config
	if err := orders.Decode(&c); err != nil {
		return err
	}
	f := New(c)
	defer f.Stop()
	for {
		var o order
		if err := orders.Decode(&o); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := answers.Encode(f.obey(o)); err != nil {
			return err
		}
	}
}

// obey does what an order says.
func (f *Fleet) obey(o order) (a answer) {
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
		f.Claims(o.On)
	case claimAllVerb:
		f.ClaimAll()
	case stateVerb:
		a.State = State{Connected: f.Connected(), Offers: f.Offers(), Orders: f.Orders(), Ended: f.Ended(), Again: f.Again(), Faults: f.Faults()}
	case offeredVerb:
		a.Offered = f.Offered(o.Since)
	default:
		a.Error = fmt.Sprintf("there is no order %q", o.Verb)
	}
	return a
}
