package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/api/client/handshake"
	"github.com/droverhq/drover/domain"
)

const (
	// liesPerSecond is how often an attacking agent tries to connect with a false memory.
	liesPerSecond = 211
	// hugeText is the size of the long texts of an attacking agent, below the limit of a message.
	hugeText = 7 << 20
	// falseProjects is how many projects a false memory names.
	falseProjects = 200
)

// Attack is what one agent with a valid identity does to its server: it lies about the log, floods its session with messages,
// flaps its health, sends huge texts, connects all the time, and uses plain HTTP besides. It also opens connections that
// prove nothing.
type Attack struct {
	agent *Agent
	http  *client.Client

	lies, messages, requests, strangers atomic.Int64
	end                                 context.CancelFunc
	all                                 sync.WaitGroup
}

// Attack starts an attack by the only agent of a fleet, which must be connected. socket is the URL of the server's Unix
// socket, for requests over plain HTTP.
func (f *Fleet) Attack(socket string) *Attack {
	a := f.agents[0]
	x := &Attack{agent: a, http: &client.Client{Servers: []string{socket},
		Token: "agent:" + a.hello.Instance + ":" + a.secret}}
	ctx, end := context.WithCancel(context.Background())
	x.end = end
	x.all.Go(func() { x.flood(ctx) })
	for range liesPerSecond {
		x.all.Go(func() { x.every(ctx, time.Second, &x.lies, x.lie) })
	}
	for range 4 {
		x.all.Go(func() { x.every(ctx, 0, &x.requests, x.request) })
		x.all.Go(func() { x.every(ctx, 0, &x.strangers, x.stranger) })
	}
	return x
}

// Stop ends the attack.
func (x *Attack) Stop() {
	x.end()
	x.all.Wait()
}

// String returns how much the attack has done.
func (x *Attack) String() string {
	return fmt.Sprintf("%d lies at the begin of a session, %d messages, %d requests over plain HTTP, %d connections without "+
		"proof", x.lies.Load(), x.messages.Load(), x.requests.Load(), x.strangers.Load())
}

// every repeats an action until ctx is done, with a pause between two beginnings, and counts it.
func (x *Attack) every(ctx context.Context, pause time.Duration, count *atomic.Int64, act func(context.Context) error) {
	for ctx.Err() == nil {
		next := time.After(max(pause, time.Millisecond))
		_ = act(ctx) // refused, as it should be
		count.Add(1)
		select {
		case <-next:
		case <-ctx.Done():
		}
	}
}

// flood sends messages as fast as the server reads them.
func (x *Attack) flood(ctx context.Context) {
	messages := floodOf()
	for n := 0; ctx.Err() == nil; n++ {
		x.agent.mu.Lock()
		w := x.agent.wire
		x.agent.mu.Unlock()
		if w == nil {
			select {
			case <-time.After(time.Millisecond):
			case <-ctx.Done():
			}
			continue
		}
		_ = w.send(messages[n%len(messages)])
		x.messages.Add(1)
	}
}

// floodOf returns messages of each kind, with false or long contents.
func floodOf() (frames [][]byte) {
	long := strings.Repeat("\x1b[31m\u202elie ", hugeText/12)
	statement := &client.Remembered{Projects: map[string]client.RememberedProject{}}
	for n := range falseProjects {
		statement.Projects[fmt.Sprintf("project-%d-%.150s", n, long)] = client.RememberedProject{Release: "9.9",
			Deployments: []string{uuid.NewString(), uuid.NewString()}}
	}
	for n := range 100 {
		deployment := uuid.NewString()
		flip := []domain.Health{domain.Healthy, domain.Unhealthy}[n%2]
		kinds := []client.FromAgent{
			{Health: &client.Health{Status: flip, Detail: long[:500]}},
			{Claim: &client.Claim{Deployment: deployment}},
			{Output: &client.Output{Deployment: deployment, Sequence: int64(n), Data: make([]byte, 64<<10)}},
			{End: &client.End{Deployment: deployment, State: domain.PartFailed, Detail: long[:4000]}},
			{Answer: &client.PartAnswer{Deployment: long[:4000]}},
			{Remembered: statement},
			{Heartbeat: &client.Heartbeat{Clock: time.Unix(int64(n), 0)}},
		}
		if n == 0 {
			kinds = append(kinds, client.FromAgent{Health: &client.Health{Status: flip, Detail: long}})
		}
		for _, m := range kinds {
			frames = append(frames, message(m))
		}
	}
	return frames
}

// lie connects with a proof of the agent's identity and a memory of events that the log does not have. About once a
// second, it takes the place of the agent's session.
func (x *Attack) lie(ctx context.Context) error {
	a := x.agent
	var own *handshake.Attempt
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	w, answer, err := open(ctx, a.fleet.cfg.Address, a.fleet.cfg.TLS, nil,
		func(on handshake.Connection, header http.Header) {
			own = a.credential.Start(on)
			header.Set(handshake.Header, own.First())
		})
	if err != nil {
		return err
	}
	defer w.close()
	hello := a.hello
	if hello.Proof, err = own.Answer(answer.Get(handshake.Header)); err != nil {
		return err
	}
	if x.lies.Load()%liesPerSecond != 0 {
		hello.Session = uuid.NewString()
	}
	hello.Memory = &client.Memory{Log: uuid.NewString(), Made: hello.Memory.Made, Machine: hello.Machine, Revision: 1 << 40,
		Event: uuid.NewString(), Successes: map[string]string{}, Deployments: map[string]string{}}
	for n := range falseProjects {
		project := fmt.Sprintf("shop-%d-%s", n, strings.Repeat("x", 50))
		hello.Memory.Successes[project], hello.Memory.Deployments[project] = uuid.NewString(), uuid.NewString()
	}
	if err := w.send(message(client.FromAgent{Hello: &hello})); err != nil {
		return err
	}
	_ = w.conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	_, err = w.receive()
	return err
}

// request flaps the health, begins sessions, and asks for work over plain HTTP.
func (x *Attack) request(ctx context.Context) error {
	reports := client.Path("machines", x.agent.hello.Machine, "reports")
	var err error
	for _, status := range []string{"online", "healthy", "unhealthy", "offline"} {
		_, failure := x.http.Write(ctx, reports, "", map[string]any{"status": status, "detail": strings.Repeat("x", 100_000)})
		err = errors.Join(err, failure)
	}
	_, failure := x.http.Get(ctx, client.Path("machines", x.agent.hello.Machine, "work"), nil, nil)
	return errors.Join(err, failure)
}

// stranger connects and sends the largest hello that is read before a proof.
func (x *Attack) stranger(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	w, _, err := open(ctx, x.agent.fleet.cfg.Address, x.agent.fleet.cfg.TLS, nil, func(handshake.Connection, http.Header) {})
	if err != nil {
		return err
	}
	defer w.close()
	hello, err := json.Marshal(client.FromAgent{Hello: &client.Hello{Machine: "m", Instance: uuid.NewString(),
		Session: uuid.NewString(), Environment: string(bytes.Repeat([]byte("x"), 60<<10))}})
	if err != nil {
		return err
	}
	if err := w.send(frame(opText, hello)); err != nil {
		return err
	}
	_ = w.conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	_, err = w.receive()
	return err
}
