package explain

import (
	"cmp"
	"encoding/json"
	"slices"

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

// Tokens returns the tokens, sorted by id.
func Tokens(v *projections.View, names Names, f Filter) List[Token] {
	return page(v, f, namesAfter(v.Tokens, f.After), func(id string) (Token, bool) {
		return token(v.Tokens[id], names), true
	}, nil)
}

// TokenOf returns the token with that id, and false if it does not exist.
func TokenOf(v *projections.View, names Names, id string) (Token, bool) {
	t := v.Tokens[id]
	if t == nil {
		return Token{}, false
	}
	return token(t, names), true
}

func token(t *domain.Token, names Names) Token {
	s := t.Settings
	kind := cmp.Or(string(s.Scope), string(s.Permission))
	if s.Join {
		kind = "join"
	}
	return Token{ID: t.ID, Kind: kind, Person: s.Person, PersonName: names[s.Person], Uses: s.Uses,
		Used: t.Spent, Until: utc(s.Until),
		Environments: orEmpty(s.Environments), Roles: orEmpty(s.Roles), Projects: s.Projects,
		Groups: s.Groups, Revoked: t.Revoked}
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
