package sim

import (
	"time"

	"github.com/droverhq/drover/domain"
)

func (p *cluster) reimage(st step) {
	a := p.agents[p.machine(st.b)]
	if a == nil {
		return
	}
	if st.a%2 == 0 && a.reachable() {
		a.leave()
	}
	word := "re-imaged"
	if st.a/4%3 == 0 {
		word = "newcomer"
	}
	p.transcript.report(p.now, p.serving(0).name, a.machine+" "+word)
	a.wipe()
	a.server, a.dead, a.permitted = nil, true, word == "re-imaged"
	if st.a/2%2 == 0 && p.audit.Machines[a.machine] != nil {
		a.connectTo(p.serving(st.a))
	}
}

// permit lets another instance take the name of a machine.
func (p *cluster) permit(s *server, machine string, lasts time.Duration) {
	p.do(s, domain.ReimageMachine{Name: machine, Until: s.Now().Add(lasts), Origin: domain.By(by)}, "machine", "reimage",
		machine, "--for", lasts.String())
}

func (p *cluster) permitOne(st step) {
	p.permit(p.serving(st.a), p.machine(st.b), []time.Duration{time.Minute, time.Hour}[st.a/4%2])
}

// deleteItself makes an agent leave and ask for the deletion of its machine.
func (p *cluster) deleteItself(st step) {
	a := p.reachableAgent(st.b)
	if a == nil {
		return
	}
	a.log("deletes-itself")
	a.send(domain.DisconnectMachine{Name: a.machine, Connect: a.connect, Reason: "said-goodbye"})
	if a.server != nil && a.server.running() {
		a.send(domain.DeleteMachine{Name: a.machine, Reason: domain.EphemeralReason, Session: a.session,
			Origin: domain.By("agent")})
	}
	a.server, a.left = nil, true
}

func (p *cluster) switchMachine(st step) {
	m, on := p.machine(st.b), st.a%4 > 0
	p.do(p.serving(st.a), domain.SetMachineEnabled{Name: m, Enabled: on, Origin: domain.By(by)}, "machine", onOff(on), m)
	if st.a%9 == 0 {
		p.do(p.serving(st.a), domain.SetMachineEnabled{Name: m, Enabled: !on, Origin: domain.By(by)}, "machine",
			onOff(!on), m)
	}
}

func (p *cluster) changeMachine(st step) {
	if name := p.machine(st.b); p.audit.Machines[name] != nil {
		s := p.serving(st.a)
		c := p.machineSettings(name, st.a/8+st.b)
		c.Disabled = p.audit.Machines[name].Disabled
		p.apply(s, c)
	}
}

func (p *cluster) removeMachine(st step) {
	name := p.machine(st.b)
	if a := p.agents[name]; a != nil && a.server != nil {
		a.log("silent")
		a.server = nil
	}
	p.do(p.serving(st.a), domain.DeleteMachine{Name: name, Origin: domain.By(by)}, "delete machine", name)
}
