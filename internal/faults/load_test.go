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

// order is a command that somebody sent, and what came of it.
type order struct {
	key     uuid.UUID
	what    string
	answer  client.Written
	acked   bool
	refused bool
	tries   int // beyond one: the outcome of those before the last was unknown
}

// people send commands and write down what they were answered.
type people struct {
	c    *cluster
	over chan struct{}

	mu      sync.Mutex
	orders  []order
	unknown int
}

// wish is a command without its sender.
type wish struct {
	method, path string
	body         any
}

func (w wish) String() string { return fmt.Sprint(w.method, " ", w.path, " ", w.body) }

func post(path string, body any) wish { return wish{http.MethodPost, path, body} }

func take(path string) wish { return wish{http.MethodDelete, path, nil} }

// answerWithin is how long one server is waited for before the next is asked the same.
const answerWithin = 6 * time.Second

// send sends a command under one key to one server after another until one answers it.
func (p *people) send(random *rand.Rand, w wish) order {
	o := order{key: uuid.New(), what: w.String()}
	first, deadline := random.IntN(len(p.c.servers)), time.Now().Add(patience)
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
	p.orders = append(p.orders, o)
	return o
}

func (p *people) try(s *droverServer, w wish, key uuid.UUID) (client.Written, error) {
	ctx, cancel := context.WithTimeout(context.Background(), answerWithin)
	defer cancel()
	if w.method == http.MethodDelete {
		return s.client.Delete(ctx, w.path, key.String())
	}
	return s.client.Write(ctx, w.path, key.String(), w.body)
}

type object map[string]any

// release makes a release that nobody made before.
func (p *people) release(random *rand.Rand, who int) string {
	version := fmt.Sprintf("%d.%d", who, random.Uint32())
	p.send(random, post("/projects/shop/releases", object{"version": version}))
	return version
}

func (p *people) deploy(random *rand.Rand, who int, machines ...string) order {
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

// work is what one person does until the others stop.
func (p *people) work(random *rand.Rand, who int) {
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
			p.send(random, post("/pins", object{"project": "shop", "release": p.release(random, who), "environment": machine.environment}))
			p.send(random, take("/pins/shop/"+machine.environment))
		case n < 14:
			p.send(random, post("/holds", object{"project": "shop", "machine": machine.name}))
			p.send(random, take("/holds/shop/"+machine.name))
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

// begin lets so many people work; stop returns when they have ended what they do.
func begin(c *cluster, seed uint64, persons int) (p *people, stop func()) {
	p = &people{c: c, over: make(chan struct{})}
	var all sync.WaitGroup
	for n := range persons {
		all.Go(func() { p.work(rand.New(rand.NewPCG(seed, uint64(n))), n) })
	}
	return p, func() {
		close(p.over)
		all.Wait()
	}
}

// note writes down that a command is about to be sent once.
func (p *people) note(what string) uuid.UUID {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := uuid.New()
	p.orders = append(p.orders, order{key: key, what: what, tries: 1})
	return key
}

// took writes down that it was acknowledged.
func (p *people) took(key uuid.UUID, answer client.Written) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := len(p.orders) - 1; i >= 0; i-- {
		if p.orders[i].key == key {
			p.orders[i].acked, p.orders[i].answer = true, answer
			return
		}
	}
}
