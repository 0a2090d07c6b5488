package domain

import "time"

// DefaultMaxMachines is how many machines of a new join token without a limit of uses can exist at the same time, unless
// its creator chooses another number.
const DefaultMaxMachines = 1000

// JoiningFor is how long a use of a join token counts as a machine before the machine is added. The two are separate
// appends, and the agent or the server can be gone after the first.
const JoiningFor = 10 * time.Minute

// Places are the machines that joined with one token.
type Places struct {
	// Machines are the existing machines.
	Machines map[string]struct{}
	// Joining are the machines that have used the token and did not exist then, with the time of the use.
	Joining map[string]time.Time
}

// has reports whether a machine counts at a time. A use that a server with a wrong clock recorded far in the future does not
// keep its place (law 29).
func (p Places) has(machine string, now time.Time) bool {
	_, exists := p.Machines[machine]
	since, joining := p.Joining[machine]
	return exists || joining && now.Sub(since).Abs() < JoiningFor
}

// Count returns how many machines count at a time.
func (p Places) Count(now time.Time) int {
	count := len(p.Machines)
	for name := range p.Joining {
		if _, exists := p.Machines[name]; !exists && p.has(name, now) {
			count++
		}
	}
	return count
}

// checkPlaces rejects a machine if as many machines of the token exist as it allows. A use of the token is appended to the
// token's stream, so two servers cannot both give the last place away.
func checkPlaces(w World, t *Token, machine string, now time.Time) *Rejection {
	allowed, places := t.Settings.MaxMachines, w.Places(t.ID)
	if allowed == 0 || places.has(machine, now) || places.Count(now) < allowed {
		return nil
	}
	r := reject(Forbidden, "machine %.80s cannot join: join token %s has reached its machine limit of %d", machine,
		t.Label(), allowed).hint("delete machines that are gone, or use another token: " +
		"`drover token create --join --max-machines N`")
	r.noPlace = true
	return r
}

// PlaceToReturn returns the token that a machine counts for when it returns after its deletion. It is empty if no limit
// applies. It rejects the return if all tokens that the instance joined with have as many machines as they allow.
func PlaceToReturn(w World, instance ID, machine string, now time.Time) (token string, full *Rejection) {
	for _, t := range w.TokensOf(instance) {
		if t.Revoked || t.Used[instance].Machine != machine {
			continue
		}
		r := checkPlaces(w, t, machine, now)
		switch {
		case r != nil:
			full = r
		case t.Settings.MaxMachines == 0 || w.Places(t.ID).has(machine, now):
			return "", nil
		default:
			token = t.ID
		}
	}
	if token != "" {
		return token, nil
	}
	return "", full
}
