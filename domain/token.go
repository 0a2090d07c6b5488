package domain

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Token is the state of a token, folded from its stream.
type Token struct {
	ID       string
	Settings TokenSettings
	Hash     string
	// Verifier is the verifier of a join token's secret. Earlier versions of drover wrote none.
	Verifier string
	Revoked  bool
	// Used maps each instance that joined to its newest use.
	Used map[ID]TokenUsed
	// Spent counts the uses. An instance that joined under two names used the token twice.
	Spent int
	// Created is when the token was created, and By who created it. Joined is when an agent last joined with it.
	Created time.Time
	By      Origin
	Joined  time.Time
}

// Expired reports whether the token has expired at a time.
func (t *Token) Expired(now time.Time) bool {
	return t.Settings.Until != nil && !now.Before(*t.Settings.Until)
}

// Valid reports whether the token is neither revoked nor expired at a time.
func (t *Token) Valid(now time.Time) bool { return !t.Revoked && !t.Expired(now) }

// Label returns the name of the token, or its id if it has no name.
func (t *Token) Label() string { return cmp.Or(t.Settings.Name, t.ID) }

// FindToken returns the token with an id or a name, nil if it does not exist. A name means the newest token of that name
// that is not revoked, or the newest one if all are revoked. If two servers created tokens with one name at the same
// time, the name is ambiguous and FindToken returns a rejection.
func FindToken(w World, text string) (*Token, *Rejection) {
	if t := w.Token(text); t != nil {
		return t, nil
	}
	if text == "" { // not the tokens of earlier versions, which have no name
		return nil, nil
	}
	named := tokensNamed(w, text)
	slices.SortFunc(named, func(a, b *Token) int { // the one that the name means comes first
		return cmp.Or(compareBool(a.Revoked, b.Revoked), b.Created.Compare(a.Created), strings.Compare(a.ID, b.ID))
	})
	switch {
	case len(named) == 0:
		return nil, nil
	case len(named) > 1 && !named[1].Revoked && !named[1].Expired(named[0].Created):
		return nil, conflict("tokens %s and %s both have the name %s", named[0].ID, named[1].ID, text).hint("use the id")
	}
	return named[0], nil
}

// tokensNamed returns all tokens with a name, including revoked and expired ones.
func tokensNamed(w World, name string) (named []*Token) {
	for _, t := range w.Tokens() {
		if t.Settings.Name == name {
			named = append(named, t)
		}
	}
	return named
}

// compareBool orders false before true.
func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// Evolve folds one event of the token's stream.
func (t *Token) Evolve(e Event) {
	switch e := e.(type) {
	case TokenCreated:
		t.Settings, t.Hash, t.Verifier, t.By = e.Settings, e.Hash, e.Verifier, e.Origin
	case TokenUsed:
		if t.Used == nil {
			t.Used = map[ID]TokenUsed{}
		}
		t.Used[e.Instance] = e
		t.Spent++
	case VerifierRegistered:
		if use, ok := t.Used[e.Instance]; ok {
			use.Verifier = e.Verifier
			t.Used[e.Instance] = use
		}
	case TokenRevoked:
		t.Revoked = true
	}
}

// Commands for tokens.
type (
	// CreateToken creates a token. Hash is the hash of its secret; Verifier is required for a join token.
	CreateToken struct {
		ID       string        `json:"id"`
		Settings TokenSettings `json:"settings"`
		Hash     string        `json:"hash"`
		Verifier string        `json:"verifier,omitempty"`
		Now      time.Time     `json:"-"` // the earliest credible time; only to see which tokens of the name have expired
		Origin
	}
	// RevokeToken revokes a token. ID is its id or its name.
	RevokeToken struct {
		ID string `json:"id"`
		Origin
	}
	// UseToken joins an agent with a join token. Joining again with the same instance and machine does not count as a use.
	UseToken struct {
		ID          string    `json:"id"`
		Instance    ID        `json:"instance"`
		Machine     string    `json:"machine"`
		Secret      string    `json:"secret,omitempty"`   // hash of the agent's secret, unless it proves the secret
		Verifier    string    `json:"verifier,omitempty"` // of the agent's secret, if it proves the secret
		Environment string    `json:"environment"`
		Roles       []string  `json:"roles"`
		Now         time.Time `json:"-"` // by the server's wall clock; only for the token's expiry
	}
	// RegisterVerifier adds a verifier to the hash of an agent's secret in one use of a token. Secret is the hash that the
	// server compared.
	RegisterVerifier struct {
		ID       string `json:"id"`
		Instance ID     `json:"instance"`
		Secret   string `json:"secret"`
		Verifier string `json:"verifier"`
	}
)

// Stream returns the stream of the token.
func (c CreateToken) Stream(World) string { return TokenStream(c.ID) }

// Stream returns the stream of the token.
func (c RevokeToken) Stream(w World) string {
	if t, _ := FindToken(w, c.ID); t != nil {
		return TokenStream(t.ID)
	}
	return TokenStream(c.ID)
}

// Stream returns the stream of the token.
func (c UseToken) Stream(World) string { return TokenStream(c.ID) }

// Stream returns the stream of the token.
func (c RegisterVerifier) Stream(World) string { return TokenStream(c.ID) }

// Decide creates the token.
func (c CreateToken) Decide(w World) ([]Event, *Rejection) {
	s := c.Settings
	s.Environments, s.Roles = SortedUnique(s.Environments), SortedUnique(s.Roles)
	s.Projects, s.Groups = SortedUnique(s.Projects), SortedUnique(s.Groups)
	switch {
	case w.Token(c.ID) != nil:
		return nil, conflict("token %s already exists", c.ID)
	case !s.Join && s.Permission == "" && s.Scope.Verbs() == nil:
		return nil, invalid("unknown scope %.40q", s.Scope).hint("use admin, deploy or read")
	case !s.Join && s.MaxMachines != 0:
		return nil, invalid("only a join token can limit the number of machines").hint("leave maxMachines out")
	case s.MaxMachines < 0:
		return nil, invalid("invalid maxMachines %d", s.MaxMachines).hint("use 1 or more, or 0 for no limit")
	case s.Join && s.Uses < 0:
		return nil, invalid("invalid uses %d", s.Uses).hint("use 1 or more, or 0 for no limit")
	}
	if r := c.checkName(w); r != nil {
		return nil, r
	}
	for _, environment := range s.Environments {
		if !w.Environment(environment) {
			return nil, environmentNotFound(environment)
		}
	}
	if r := checkRoles(s.Roles); r != nil {
		return nil, r
	}
	if r := s.checkPermission(w); r != nil {
		return nil, r
	}
	if r := checkBound(s); r != nil {
		return nil, r
	}
	if r := s.chooseEnvironment(w); r != nil {
		return nil, r
	}
	if r := s.checkPolicy(w); r != nil {
		return nil, r
	}
	return []Event{TokenCreated{Settings: s, Hash: c.Hash, Verifier: c.Verifier, Origin: c.Origin}}, nil
}

// checkPermission checks the permission of a new token and what limits it.
func (s *TokenSettings) checkPermission(w World) *Rejection {
	switch {
	case s.Permission == "" && len(s.Projects) > 0:
		return invalid("projects limit a permission, and the token has none").hint("set permission")
	case s.Permission != "" && (s.Join || s.Scope != ""):
		return invalid("a token has either a permission or a scope, and a join token has neither").
			hint("leave the others out")
	case s.Permission == NoPermission && len(s.Projects)+len(s.Environments) > 0:
		return invalid("projects and environments limit a permission, and permission %s grants nothing", NoPermission).
			hint("leave them out")
	case s.Permission != "" && s.Permission != NoPermission && s.Permission.Verbs() == nil:
		return invalid("unknown permission %.40q", s.Permission).
			hint("use %s, viewer, operator, releaser, deployer, approver, owner or admin", NoPermission)
	case s.Join && len(s.Groups) > 0:
		return invalid("a join token cannot have groups").hint("leave groups out")
	}
	for _, project := range s.Projects {
		if w.Project(project) == nil {
			return projectNotFound(project)
		}
	}
	return checkEntries("group", s.Groups, false)
}

// checkName rejects an invalid name, and the name of a valid token. Another server can create a token of that name at
// the same time; FindToken then rejects the name.
func (c CreateToken) checkName(w World) *Rejection {
	name := c.Settings.Name
	if name == "" {
		return nil
	}
	if r := CheckName("token name", name); r != nil {
		return r
	}
	if isTokenID(name) {
		return invalid("token name %q looks like the id of a token", name).hint("use another name")
	}
	for _, t := range tokensNamed(w, name) {
		if t.Valid(c.Now) {
			return conflict("token %s already has the name %s", t.ID, name).
				hint("%s", nameInUse(t))
		}
	}
	return nil
}

// chooseEnvironment sets the environment of a join token that names none: that of the machine that the token is bound to,
// or else the only environment. A token that is created before the first environment is valid in any.
func (s *TokenSettings) chooseEnvironment(w World) *Rejection {
	switch {
	case !s.Join && s.AnyEnvironment:
		return invalid("only a join token can be valid in any environment").hint("leave anyEnvironment out")
	case s.AnyEnvironment && len(s.Environments) > 0:
		return invalid("a join token cannot be valid both in any environment and in %v only", s.Environments).
			hint("leave one of them out")
	case !s.Join || s.AnyEnvironment || len(s.Environments) > 0:
		return nil
	}
	if m := w.Machine(s.Machine); m != nil {
		s.Environments = []string{m.Environment}
		return nil
	}
	switch all := w.Environments(); len(all) {
	case 0:
	case 1:
		s.Environments = all
	default:
		return invalid("a join token needs an environment, and there are several: %s", firstThree(all)).
			hint("use --environment %s, or --any-environment for all of them", all[0])
	}
	return nil
}

// isTokenID reports whether text has the form of the id of a token: 12 hex digits.
func isTokenID(text string) bool {
	return len(text) == 12 && strings.Trim(text, "0123456789abcdef") == ""
}

// checkBound checks the machine that a token is bound to.
func checkBound(s TokenSettings) *Rejection {
	switch {
	case s.Machine == "":
		return nil
	case !s.Join:
		return invalid("only a join token can be bound to machine %.80q", s.Machine).hint("leave the machine out")
	}
	return CheckName("machine", s.Machine)
}

// Decide revokes the token unless it is already revoked.
func (c RevokeToken) Decide(w World) ([]Event, *Rejection) {
	t, r := FindToken(w, c.ID)
	if r != nil {
		return nil, r
	}
	if t == nil {
		return nil, notFound("token %.80q does not exist", c.ID).hint("`drover token list` lists them")
	}
	if t.Revoked {
		return nil, nil
	}
	return []Event{TokenRevoked{Origin: c.Origin}}, nil
}

// Decide records a use. Concurrent uses cannot exceed the limit, because appends to the token's stream check its
// revision.
func (c UseToken) Decide(w World) ([]Event, *Rejection) {
	t := w.Token(c.ID)
	if t == nil || !t.Settings.Join {
		return nil, reject(Forbidden, "unknown join token").hint("create one with `drover token create --join`")
	}
	if t.Revoked {
		return nil, reject(Forbidden, "the join token was revoked").hint("use a new join token")
	}
	used, known := t.Used[c.Instance]
	if known && !c.sameSecret(used) {
		return nil, reject(Forbidden, "instance %s joined with a different secret", c.Instance).
			hint("start a new machine with an empty --data folder")
	}
	again := known && used.Machine == c.Machine
	if m := w.Machine(c.Machine); again && m != nil { // environment and roles of the agent apply only at the first join
		if m.Instance == c.Instance {
			return nil, nil
		}
		c.Environment, c.Roles = m.Environment, m.Roles // a person may have added the machine meanwhile
	}
	if r := c.checkRestrictions(t.Settings); r != nil {
		return nil, r
	}
	if again {
		return nil, nil
	}
	if r := FolderOfAnother(w, c.Instance, c.Machine); r != nil {
		return nil, r
	}
	if r := c.checkUses(t); r != nil {
		return nil, r
	}
	if r := checkPlaces(w, t, c.Machine, c.Now); r != nil {
		return nil, r
	}
	if r := CheckName("machine", c.Machine); r != nil {
		return nil, r
	}
	return []Event{TokenUsed{Instance: c.Instance, Machine: c.Machine, Secret: c.Secret, Verifier: c.Verifier}}, nil
}

// sameSecret reports whether the command and an earlier use name the same secret in the same way.
func (c UseToken) sameSecret(used TokenUsed) bool {
	if c.Verifier != "" {
		return used.Verifier == c.Verifier
	}
	return used.Secret == c.Secret
}

// Decide adds the verifier. It changes nothing if the verifier is already registered.
func (c RegisterVerifier) Decide(w World) ([]Event, *Rejection) {
	t := w.Token(c.ID)
	if t == nil {
		return nil, notFound("token %.80q does not exist", c.ID)
	}
	used, known := t.Used[c.Instance]
	switch {
	case !known:
		return nil, notFound("instance %s did not join with token %.80q", c.Instance, c.ID)
	case used.Verifier == c.Verifier && c.Verifier != "":
		return nil, nil
	case c.Verifier == "" || used.Verifier != "" || used.Secret != c.Secret:
		return nil, reject(Forbidden, "instance %s joined with a different secret", c.Instance)
	}
	return []Event{VerifierRegistered{Instance: c.Instance, Verifier: c.Verifier}}, nil
}

// FolderOfAnother returns a rejection if the instance is that of another machine than the named one: a data folder is used
// under two names.
func FolderOfAnother(w World, instance ID, machine string) *Rejection {
	other := w.MachineOf(instance)
	if other == "" || other == machine {
		return nil
	}
	return reject(Forbidden, "the agent's data folder belongs to machine %s and cannot be used for machine %.80q", other,
		machine).hint("start the agent with --name %s or with an empty --data folder; to rename the machine, delete %s first",
		other, other)
}

// checkUses rejects a token that has expired or reached its use limit.
func (c UseToken) checkUses(t *Token) *Rejection {
	s := t.Settings
	switch {
	case s.Until != nil && !c.Now.Before(*s.Until):
		return reject(Forbidden, "the join token expired at %s", s.Until.UTC().Format(time.RFC3339)).
			hint("use a new join token")
	case s.Uses > 0 && t.Spent >= s.Uses:
		return reject(Forbidden, "the join token has reached its use limit of %d", s.Uses).hint("use a new join token")
	}
	return nil
}

// checkRestrictions rejects a machine, environment or role that the token does not allow.
func (c UseToken) checkRestrictions(s TokenSettings) *Rejection {
	if s.Machine != "" && s.Machine != c.Machine {
		return reject(Forbidden, "the join token does not allow machine %.80q", c.Machine).hint("it allows only %s", s.Machine)
	}
	if len(s.Environments) > 0 && !slices.Contains(s.Environments, c.Environment) {
		return reject(Forbidden, "the join token does not allow environment %.80q", c.Environment).
			hint("it allows %v", s.Environments)
	}
	for _, role := range c.Roles {
		if len(s.Roles) > 0 && !slices.Contains(s.Roles, role) {
			return reject(Forbidden, "the join token does not allow role %.80q", role).hint("it allows %v", s.Roles)
		}
	}
	return nil
}

// nameInUse says what to do about the name of another token. The agents that have joined with a join token depend on it.
func nameInUse(t *Token) string {
	if t.Settings.Join {
		return "use another name; the agents that joined with that token depend on it"
	}
	return "use another name, or first revoke that token: `drover token revoke " + t.ID + "`"
}
