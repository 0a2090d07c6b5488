package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/droverhq/drover/api/client"
)

// sentCommand is a command of a user and its result.
type sentCommand struct {
	key     uuid.UUID
	what    string
	answer  client.Written
	acked   bool
	refused bool
	tries   int // all tries but the last had an unknown outcome
}

// users send commands and record the answers.
type users struct {
	c    *cluster
	over chan struct{}

	mu       sync.Mutex
	commands []sentCommand
	unknown  int
}

// command is a command without its sender.
type command struct {
	method, path string
	body         any
}

func (w command) String() string { return fmt.Sprint(w.method, " ", w.path, " ", w.body) }

func post(path string, body any) command { return command{http.MethodPost, path, body} }

func remove(path string) command { return command{http.MethodDelete, path, nil} }

// answerWithin is how long to wait for one server before the command is sent to the next.
const answerWithin = 6 * time.Second

// send sends a command with one idempotency key to one server after another until one answers.
func (p *users) send(random *rand.Rand, w command) sentCommand {
	o := sentCommand{key: uuid.New(), what: w.String()}
	first, deadline := random.IntN(len(p.c.servers)), time.Now().Add(timeout)
	for ; !o.acked && !o.refused && time.Now().Before(deadline); o.tries++ {
		answer, err := p.try(p.c.servers[(first+o.tries)%len(p.c.servers)], w, o.key)
		switch kind := client.KindOf(err); {
		case err == nil:
			o.answer, o.acked = answer, true
		case kind != "" && kind != client.Unavailable:
			o.refused = true
			o.what += ": " + err.Error()
		default:
			p.mu.Lock()
			p.unknown++
			p.mu.Unlock()
			time.Sleep(time.Duration(50+random.IntN(100)) * time.Millisecond)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.commands = append(p.commands, o)
	return o
}

func (p *users) try(s *droverServer, w command, key uuid.UUID) (client.Written, error) {
	ctx, cancel := context.WithTimeout(context.Background(), answerWithin)
	defer cancel()
	if w.method == http.MethodDelete {
		return s.client.Delete(ctx, w.path, key.String())
	}
	return s.client.Write(ctx, w.path, key.String(), w.body)
}

type object map[string]any

// release creates a release with a new version.
func (p *users) release(random *rand.Rand, who int) string {
	version := fmt.Sprintf("%d.%d", who, random.Uint32())
	p.send(random, post("/projects/shop/releases", object{"version": version}))
	return version
}

func (p *users) deploy(random *rand.Rand, who int, machines ...string) sentCommand {
	environment := []string{"production", "staging"}[random.IntN(2)]
	body := object{"project": "shop", "release": p.release(random, who), "environment": environment}
	if len(machines) > 0 {
		for _, a := range p.c.agents {
			if a.name == machines[0] {
				body["environment"] = a.environment
			}
		}
		body["machines"] = machines
	}
	return p.send(random, post("/deployments", body))
}

// work sends random commands of one user until p.over is closed.
func (p *users) work(random *rand.Rand, who int) {
	for {
		machine := p.c.agents[random.IntN(len(p.c.agents))]
		switch n := random.IntN(20); {
		case n < 4:
			p.deploy(random, who)
		case n < 8:
			p.deploy(random, who, machine.name)
		case n < 9:
			if o := p.deploy(random, who); o.answer.Deployment != "" {
				p.send(random, post("/deployments/"+o.answer.Deployment+"/cancel", object{}))
			}
		case n < 10:
			p.send(random, post("/rollback", object{"project": "shop", "environment": machine.environment}))
		case n < 12:
			p.send(random, post("/pins", object{"project": "shop", "release": p.release(random, who),
				"environment": machine.environment}))
			p.send(random, remove("/pins/shop/"+machine.environment))
		case n < 14:
			p.send(random, post("/holds", object{"project": "shop", "machine": machine.name}))
			p.send(random, remove("/holds/shop/"+machine.name))
		case n < 15:
			p.send(random, post("/retry", object{"project": "shop", "machine": machine.name}))
		default:
			p.send(random, post("/machines/"+machine.name+"/disable", object{}))
			p.send(random, post("/machines/"+machine.name+"/enable", object{}))
		}
		select {
		case <-p.over:
			return
		case <-time.After(time.Duration(100+random.IntN(500)) * time.Millisecond):
		}
	}
}

// begin starts the users. stop waits until they have finished.
func begin(c *cluster, seed uint64, count int) (p *users, stop func()) {
	p = &users{c: c, over: make(chan struct{})}
	var all sync.WaitGroup
	for n := range count {
		all.Go(func() { p.work(rand.New(rand.NewPCG(seed, uint64(n))), n) })
	}
	return p, func() {
		close(p.over)
		all.Wait()
	}
}

// record records that a command is about to be sent once.
func (p *users) record(what string) uuid.UUID {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := uuid.New()
	p.commands = append(p.commands, sentCommand{key: key, what: what, tries: 1})
	return key
}

// acknowledge records that the command was acknowledged.
func (p *users) acknowledge(key uuid.UUID, answer client.Written) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := len(p.commands) - 1; i >= 0; i-- {
		if p.commands[i].key == key {
			p.commands[i].acked, p.commands[i].answer = true, answer
			return
		}
	}
}
