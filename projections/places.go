package projections

import (
	"time"

	"github.com/droverhq/drover/domain"
)

// tokenPlaces are the machines that joined with each token, by its id. A machine counts for a token while it exists and its
// instance joined with the token under its name.
type tokenPlaces map[string]domain.Places

// agent returns the instance that the machine belongs to: the one that was online, or else the one that joined.
func (m *Machine) agent() domain.ID {
	if m.Instance.IsZero() {
		return m.JoinedBy
	}
	return m.Instance
}

// usePlace folds the use of a token.
func (v *View) usePlace(t *domain.Token, e domain.TokenUsed, f Fact) {
	p := v.places.of(t.ID)
	m := v.Machines[e.Machine]
	if m != nil && m.Instance.IsZero() {
		v.releasePlaces(m.Name, m.agent())
		m.JoinedBy = e.Instance
	}
	if m != nil && m.agent() == e.Instance {
		v.takePlaces(m)
		return
	}
	p.Joining[e.Machine] = f.Time
	if len(p.Joining) > maxJoining {
		delete(p.Joining, oldestUse(p.Joining))
	}
}

// maxJoining bounds how many uses of a token that no machine followed are retained. The time of an event does not decide
// which ones are forgotten, because it can be wrong (law 29): below the bound, none is.
const maxJoining = 1000

// oldestUse returns the machine with the earliest use.
func oldestUse(joining map[string]time.Time) (oldest string) {
	for name, since := range joining {
		if first := joining[oldest]; oldest == "" || since.Before(first) || since.Equal(first) && name < oldest {
			oldest = name
		}
	}
	return oldest
}

// takePlaces counts a machine for the tokens that its instance joined with under the machine's name.
func (v *View) takePlaces(m *Machine) {
	instance := m.agent()
	for _, t := range v.joined[instance] {
		if t.Used[instance].Machine == m.Name {
			p := v.places.of(t.ID)
			p.Machines[m.Name] = struct{}{}
			delete(p.Joining, m.Name)
		}
	}
}

// releasePlaces stops counting a machine for the tokens of an instance, because the machine is deleted or gets another one.
func (v *View) releasePlaces(machine string, instance domain.ID) {
	for _, t := range v.joined[instance] {
		delete(v.places.of(t.ID).Machines, machine)
	}
}

// replaceAgent moves a machine from the tokens of its earlier instance, zero if it had none, to those of its present one.
func (v *View) replaceAgent(m *Machine, before domain.ID) {
	if before.IsZero() {
		before = m.JoinedBy
	}
	v.releasePlaces(m.Name, before)
	m.JoinedBy = domain.ID{}
	v.takePlaces(m)
}

// joinerOf returns the instance of the agent whose join added a machine; zero: a person or program added it.
func joinerOf(e domain.Event) domain.ID {
	added, ok := e.(domain.MachineAdded)
	if !ok || added.Actor.Kind != domain.AgentActor {
		return domain.ID{}
	}
	instance, err := domain.ParseID(added.Actor.ID)
	if err != nil {
		return domain.ID{}
	}
	return instance
}

// of returns the places of a token, which it creates if necessary.
func (p tokenPlaces) of(token string) domain.Places {
	if _, known := p[token]; !known {
		p[token] = domain.Places{Machines: map[string]struct{}{}, Joining: map[string]time.Time{}}
	}
	return p[token]
}
