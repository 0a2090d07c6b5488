package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/droverhq/drover/agent"
	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/api/client/handshake"
	"github.com/droverhq/drover/domain"
)

// dialWithin limits the time until the welcome, as in the real agent.
const dialWithin = 30 * time.Second

// longestDelay limits the wait between two attempts of the real agent: half of the default policy's offlineAfter.
const longestDelay = 15 * time.Second

// Agent is one agent of a fleet.
type Agent struct {
	fleet *Fleet
	hello client.Hello
	from  net.Addr

	credential *handshake.Credential
	secret     string
	// token is the join token; nil after the first welcome.
	token *handshake.Credential

	mu          sync.Mutex // guards the fields below
	wire        *wire      // nil: not connected
	offer       *client.Work
	offered     time.Time
	latest      string // the last deployment that was offered, on any connection
	claimed     string
	firstOffers int    // deployments that were offered; a repeated offer does not count
	last        string // the last deployment whose end was confirmed
	completed   int    // parts that ended; a repeated confirmation does not count
	welcomed    time.Time
	attempts    int
	first       func() // called at the first welcome after Connect
}

// newAgent returns the agent of the machine with a number. Its identity is derived from the number and the salt of
// the fleet.
func newAgent(f *Fleet, number int) *Agent {
	id := func(kind string) string {
		return uuid.NewSHA1(f.salt, fmt.Append(nil, kind, number)).String()
	}
	token, secret, _ := strings.Cut(f.cfg.Join, ".")
	own := id("secret") + id("more")
	return &Agent{fleet: f, from: from(number), secret: own,
		credential: handshake.NewCredential(handshake.AgentName(id("instance")), own),
		token:      handshake.NewCredential(handshake.JoinName(token), secret),
		hello: client.Hello{Machine: fmt.Sprintf("m-%06d", number), Instance: id("instance"), Session: id("session"),
			Environment: f.cfg.Environment, Roles: []string{f.cfg.Roles[number%len(f.cfg.Roles)]}, Version: "bench"}}
}

// from returns the local address for a connection: nil for the default address, or another one if the ports of the
// default address are used up.
func from(number int) net.Addr {
	if number < portsPerAddress {
		return nil
	}
	return &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(number/portsPerAddress))}
}

// run connects the agent, and reconnects it when the connection is lost, until ctx is done.
func (a *Agent) run(ctx context.Context) {
	var backoff agent.Backoff
	for {
		select {
		case <-time.After(backoff.Next(longestDelay)):
		case <-ctx.Done():
			return
		}
		begun := time.Now()
		w, err := a.handshake(ctx)
		if err == nil {
			err = a.listen(w)
			a.disconnected(w)
			backoff.ConnectionLasted(time.Since(begun))
		}
		if ctx.Err() != nil {
			return
		}
		a.fleet.recordError(err)
	}
}

// handshake opens a connection and returns when the server has welcomed the agent.
func (a *Agent) handshake(ctx context.Context) (*wire, error) {
	ctx, cancel := context.WithTimeout(ctx, dialWithin)
	defer cancel()
	a.mu.Lock()
	a.attempts++
	a.mu.Unlock()
	var own, join *handshake.Attempt
	w, answer, err := open(ctx, a.fleet.cfg.Address, a.fleet.cfg.TLS, a.from,
		func(on handshake.Connection, header http.Header) {
			own = a.credential.Start(on)
			header.Set(handshake.Header, own.First())
			if a.token != nil {
				join = a.token.Start(on)
				header.Set(handshake.JoinHeader, join.First())
			}
		})
	if err != nil {
		return nil, err
	}
	hello := a.hello
	hello.Proof, err = own.Answer(answer.Get(handshake.Header))
	if err == nil && join != nil {
		hello.Verifier = a.credential.Verifier()
		hello.JoinProof, err = join.Answer(answer.Get(handshake.JoinHeader))
	}
	if err == nil {
		err = errors.Join(w.send(message(client.FromAgent{Hello: &hello})), a.welcome(w, own))
	}
	if err != nil {
		w.close()
		return nil, err
	}
	a.token = nil
	return w, nil
}

func (a *Agent) welcome(w *wire, own *handshake.Attempt) error {
	_ = w.conn.SetReadDeadline(time.Now().Add(dialWithin))
	defer func() { _ = w.conn.SetReadDeadline(time.Time{}) }()
	text, err := w.receive()
	if err != nil {
		return err
	}
	var m client.ToAgent
	if err := json.Unmarshal(text, &m); err != nil {
		return err
	}
	switch {
	case m.Refused != nil:
		return errors.New("refused: " + m.Refused.Reason)
	case m.Welcome == nil:
		return fmt.Errorf("no welcome: %.80q", text)
	}
	if err := own.Verify(m.Welcome.Proof); err != nil {
		return err
	}
	if a.hello.Memory == nil {
		a.hello.Memory = &client.Memory{Machine: a.hello.Machine, Successes: map[string]string{},
			Deployments: map[string]string{}}
	}
	a.hello.Memory.Log, a.hello.Memory.Made = m.Welcome.Log, m.Welcome.Made
	a.mu.Lock()
	a.wire, a.welcomed, a.offer = w, time.Now(), nil
	first := a.first
	a.first = nil
	a.mu.Unlock()
	if first != nil {
		first()
	}
	a.fleet.connected.Add(1)
	for _, part := range m.Welcome.Unfinished { // parts claimed before the connection was lost have succeeded
		if err := w.send(message(client.FromAgent{End: &client.End{Deployment: part.Deployment,
			State: domain.PartSucceeded}})); err != nil {
			return err
		}
	}
	return nil
}

// listen handles messages from the server until the connection ends.
func (a *Agent) listen(w *wire) error {
	for {
		text, err := w.receive()
		if err != nil {
			return err
		}
		var m client.ToAgent
		if err := json.Unmarshal(text, &m); err != nil {
			return err
		}
		if err := a.handle(w, m); err != nil {
			return err
		}
	}
}

func (a *Agent) handle(w *wire, m client.ToAgent) error {
	switch {
	case m.Newest != nil:
		a.hello.Memory.Revision, a.hello.Memory.Event = m.Newest.Revision, m.Newest.Event
	case m.Offer != nil:
		a.mu.Lock()
		if m.Offer.Deployment != a.latest {
			a.latest = m.Offer.Deployment
			a.firstOffers++
			a.offered = time.Now()
			a.fleet.firstOffers.Add(1)
		}
		a.offer = m.Offer
		a.mu.Unlock()
		a.fleet.offers.Add(1)
		if a.fleet.claims.Load() {
			return a.claim()
		}
	case m.Claimed != nil && m.Claimed.Counts:
		return w.send(message(client.FromAgent{End: &client.End{Deployment: m.Claimed.Deployment,
			State: domain.PartSucceeded}}))
	case m.Ended != nil:
		a.succeeded(*m.Ended)
	case m.Refused != nil:
		return errors.New("refused: " + m.Refused.Reason)
	}
	return nil
}

// claim claims the offered part, if any.
func (a *Agent) claim() error {
	a.mu.Lock()
	w, offer := a.wire, a.offer
	if w == nil || offer == nil {
		a.mu.Unlock()
		return nil
	}
	a.claimed = offer.Project
	a.mu.Unlock()
	return w.send(message(client.FromAgent{Claim: &client.Claim{Deployment: offer.Deployment}}))
}

// succeeded records a success, as the real agent does.
func (a *Agent) succeeded(e client.Ended) {
	a.mu.Lock()
	project, known := a.claimed, a.last == e.Deployment
	if a.last = e.Deployment; !known {
		a.completed++
	}
	a.mu.Unlock()
	if known {
		return
	}
	if project != "" {
		a.hello.Memory.Successes[project], a.hello.Memory.Deployments[project] = e.Event, e.Deployment
	}
	a.fleet.ended.Add(1)
}

func (a *Agent) disconnected(w *wire) {
	w.close()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.wire == w {
		a.wire = nil
		a.fleet.connected.Add(-1)
	}
}

// send sends an encoded message if the agent is connected.
func (a *Agent) send(frame []byte) {
	a.mu.Lock()
	w := a.wire
	a.mu.Unlock()
	if w != nil && w.send(frame) != nil {
		w.close()
	}
}

func message(m client.FromAgent) []byte {
	text, err := json.Marshal(m)
	if err != nil {
		panic(err) // all of these types can be encoded
	}
	return frame(opText, text)
}
