package explain

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections"
)

// Servers returns the server processes, the most recently started first. alive reports whether a process still renews
// its lease; if the filter has no state, only those are returned.
func Servers(v *projections.View, self domain.ID, alive func(domain.ID) bool, f Filter) List[Server] {
	found := []*projections.Server{}
	before, _ := eventlog.ParsePosition(f.After)
	for _, s := range v.Servers {
		if f.After == "" || s.Started < before {
			found = append(found, s)
		}
	}
	slices.SortFunc(found, func(a, b *projections.Server) int { return cmp.Compare(b.Started, a.Started) })
	byKey, keys := map[string]*projections.Server{}, []string{}
	for _, s := range found {
		key := s.Started.String()
		keys, byKey[key] = append(keys, key), s
	}
	return page(v, f, keys, func(key string) (Server, bool) {
		s := byKey[key]
		shown := Server{ID: s.ID.String(), Address: s.Facts.Address, Version: s.Facts.Version, Started: s.Time.UTC(),
			Decision: s.Facts.DecisionVersion, Self: s.ID == self, Alive: s.ID == self || alive(s.ID)}
		return shown, f.State == "all" || shown.Alive == (f.State != "gone")
	}, nil)
}

// ServerOf returns the server process with that id, and false if it does not exist.
func ServerOf(v *projections.View, self domain.ID, alive func(domain.ID) bool, id string) (Server, bool) {
	return firstOf(Servers(v, self, alive, Filter{State: "all"}), func(s Server) bool { return s.ID == id })
}

// TokenFacts is what is known about tokens in addition to the view.
type TokenFacts struct {
	Names Names
	// Now is the time by which tokens expire.
	Now time.Time
	// LastUsed is when each token was last used, by its id.
	LastUsed map[string]time.Time
}

// Tokens returns the valid tokens, or those in the state of the filter, sorted by id.
func Tokens(v *projections.View, facts TokenFacts, f Filter) List[Token] {
	return page(v, f, namesAfter(v.Tokens, f.After), func(id string) (Token, bool) {
		shown := facts.token(v, v.Tokens[id])
		return shown, shown.hasState(f.State)
	}, nil)
}

func (t Token) hasState(state string) bool {
	switch state {
	case "all":
		return true
	case "expired":
		return t.Expired
	case "revoked":
		return t.Revoked
	}
	return !t.Expired && !t.Revoked
}

// State returns valid, expired or revoked.
func (t Token) State() string {
	switch {
	case t.Revoked:
		return "revoked"
	case t.Expired:
		return "expired"
	}
	return "valid"
}

// TokenOf returns the token with that id or name, and false if it does not exist or the name is ambiguous.
func TokenOf(v *projections.View, facts TokenFacts, text string) (Token, bool) {
	t, _ := domain.FindToken(v.World(), text)
	if t == nil {
		return Token{}, false
	}
	return facts.token(v, t), true
}

func (f TokenFacts) token(v *projections.View, t *domain.Token) Token {
	s, names := t.Settings, f.Names
	kind := cmp.Or(string(s.Scope), string(s.Permission))
	if s.Join {
		kind = "join"
	}
	used := t.Joined
	if at := f.LastUsed[t.ID]; at.After(used) {
		used = at
	}
	return Token{ID: t.ID, Name: s.Name, Kind: kind, Person: s.Person, PersonName: names[s.Person],
		Created: t.Created.UTC(), CreatedBy: names.Who(t.By), LastUsed: moment(used), Uses: s.Uses, Used: t.Spent,
		MaxMachines: s.MaxMachines, Machines: v.World().Places(t.ID).Count(f.Now),
		Until: utc(s.Until), Environments: orEmpty(s.Environments), Roles: orEmpty(s.Roles),
		Projects: s.Projects, Groups: s.Groups, Machine: s.Machine, Policy: s.Policy,
		Expired: t.Expired(f.Now), Revoked: t.Revoked}
}

// EventOf returns a recorded event as people and scripts read it. Credentials are removed, even hashed ones.
func EventOf(rec eventlog.Recorded, names Names) Event {
	shown := Event{Position: rec.Position.String(), Stream: rec.Stream, Revision: int64(rec.Revision), ID: rec.ID.String(),
		Type: domain.NameOfType(rec.Type), Time: rec.Time.UTC(), Causes: []string{}, Data: rec.Data}
	for _, cause := range rec.Causes {
		shown.Causes = append(shown.Causes, cause.String())
	}
	if id := domain.ID(rec.Command); !id.IsZero() {
		shown.Command = id.String()
	}
	if fact, err := domain.Decode(rec.Type, rec.Data); err == nil {
		told := domain.Describe(fact, domain.Place{Stream: rec.Stream, ID: domain.ID(rec.ID)})
		shown.Category, shown.Text = string(told.Category), told.Sentence+names.by(told.Origin)
	}
	if kind, _ := domain.SplitStream(rec.Stream); kind == domain.TokenStreams {
		shown.Data = withoutHashes(rec.Data)
	}
	return shown
}

func withoutHashes(data json.RawMessage) json.RawMessage {
	var fields map[string]any
	if json.Unmarshal(data, &fields) != nil {
		return json.RawMessage("{}")
	}
	delete(fields, "hash")
	delete(fields, "secret")
	delete(fields, "verifier")
	redacted, _ := json.Marshal(fields)
	return redacted
}
