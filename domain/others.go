package domain

import (
	"reflect"
	"slices"
	"time"
)

// Token is what a token's own stream tells.
type Token struct {
	ID       string
	Settings TokenSettings
	Hash     string
	Revoked  bool
	// Used maps each instance that joined to the newest use it made.
	Used map[ID]TokenUsed
	// Spent counts the uses; one instance under two names has made two.
	Spent int
}

// Evolve folds one fact of the token's stream.
func (t *Token) Evolve(e Event) {
	switch e := e.(type) {
	case TokenCreated:
		t.Settings, t.Hash = e.Settings, e.Hash
	case TokenUsed:
		if t.Used == nil {
			t.Used = map[ID]TokenUsed{}
		}
		t.Used[e.Instance] = e
		t.Spent++
	case TokenRevoked:
		t.Revoked = true
	}
}

// Commands of environments, policies, tokens and the log.
type (
	// ApplyEnvironment begins an environment.
	ApplyEnvironment struct {
		Name string `json:"name"`
		Origin
	}
	// DeleteEnvironment ends an environment that nothing names.
	DeleteEnvironment struct {
		Name string `json:"name"`
		Origin
	}
	// ApplyPolicy begins a machine policy or brings it to these settings.
	ApplyPolicy struct {
		Name     string         `json:"name"`
		Settings PolicySettings `json:"settings"`
		Origin
	}
	// DeletePolicy ends a machine policy that no machine names.
	DeletePolicy struct {
		Name string `json:"name"`
		Origin
	}
	// CreateToken makes a token whose secret half has this hash.
	CreateToken struct {
		ID       string        `json:"id"`
		Settings TokenSettings `json:"settings"`
		Hash     string        `json:"hash"`
		Origin
	}
	// RevokeToken ends a token.
	RevokeToken struct {
		ID string `json:"id"`
		Origin
	}
	// UseToken joins an agent. The same instance again uses nothing.
	UseToken struct {
		ID          string    `json:"id"`
		Instance    ID        `json:"instance"`
		Machine     string    `json:"machine"`
		Secret      string    `json:"secret"` // hash
		Environment string    `json:"environment"`
		Roles       []string  `json:"roles"`
		Now         time.Time `json:"-"` // the server's wall clock, for the token's expiry alone
	}
	// ClearStream lets a stream that was set aside go on.
	ClearStream struct {
		Name string `json:"name"`
		Origin
	}
	// AcceptRestore says that a person knows that the log with the id Was has lost its newest events.
	AcceptRestore struct {
		Was ID        `json:"was"`
		At  time.Time `json:"-"` // no part of what is wished: sent again later, it is the same wish
		Origin
	}
)

// Stream is the environment's.
func (c ApplyEnvironment) Stream(World) string { return EnvironmentStream(c.Name) }

// Stream is the environment's.
func (c DeleteEnvironment) Stream(World) string { return EnvironmentStream(c.Name) }

// Stream is the policy's.
func (c ApplyPolicy) Stream(World) string { return PolicyStream(c.Name) }

// Stream is the policy's.
func (c DeletePolicy) Stream(World) string { return PolicyStream(c.Name) }

// Stream is the token's.
func (c CreateToken) Stream(World) string { return TokenStream(c.ID) }

// Stream is the token's.
func (c RevokeToken) Stream(World) string { return TokenStream(c.ID) }

// Stream is the token's.
func (c UseToken) Stream(World) string { return TokenStream(c.ID) }

// Stream is the watch.
func (c ClearStream) Stream(World) string { return WatchStream }

// Stream is the watch.
func (c AcceptRestore) Stream(World) string { return WatchStream }

// Decide defines what is not there.
func (c ApplyEnvironment) Decide(w World) ([]Event, *Rejection) {
	if r := CheckName("environment", c.Name); r != nil {
		return nil, r
	}
	if w.Environment(c.Name) {
		return nil, nil
	}
	return []Event{EnvironmentDefined{Origin: c.Origin}}, nil
}

// Decide refuses while something names the environment.
func (c DeleteEnvironment) Decide(w World) ([]Event, *Rejection) {
	if !w.Environment(c.Name) {
		return nil, noEnvironment(c.Name)
	}
	if refs := w.References(EnvironmentStreams, c.Name); len(refs) > 0 {
		return nil, conflict("environment %s is still named by %s", c.Name, few(refs)).hint("delete or move these first")
	}
	return []Event{EnvironmentDeleted{Origin: c.Origin}}, nil
}

// Decide writes what differs.
func (c ApplyPolicy) Decide(w World) ([]Event, *Rejection) {
	settings := c.Settings.WithDefaults()
	if r := CheckName("policy", c.Name); r != nil {
		return nil, r
	}
	if r := settings.Check(); r != nil {
		return nil, r
	}
	if settings.LostAfter < MinLostAfter { // no rule of Check, which also says what can be folded
		return nil, invalid("invalid lostAfter %s: no agent claims a part that fast", settings.LostAfter).hint("use %s to %s", MinLostAfter, MaxAnyDuration)
	}
	if old := w.Policy(c.Name); old != nil && reflect.DeepEqual(*old, settings) {
		return nil, nil
	}
	return []Event{PolicyDefined{Settings: settings, Origin: c.Origin}}, nil
}

// Decide refuses while a machine names the policy.
func (c DeletePolicy) Decide(w World) ([]Event, *Rejection) {
	if c.Name == DefaultPolicy {
		return nil, conflict("policy %s cannot be deleted", DefaultPolicy).hint("apply it with other settings instead")
	}
	if w.Policy(c.Name) == nil {
		return nil, notFound("policy %.80q does not exist", c.Name).hint("`drover get policies` lists them")
	}
	if refs := w.References(PolicyStreams, c.Name); len(refs) > 0 {
		return nil, conflict("policy %s is still named by %s", c.Name, few(refs)).hint("give these another policy first")
	}
	return []Event{PolicyDeleted{Origin: c.Origin}}, nil
}

// Decide makes a token that can be used for something.
func (c CreateToken) Decide(w World) ([]Event, *Rejection) {
	s := c.Settings
	s.Environments, s.Roles = Names(s.Environments), Names(s.Roles)
	switch {
	case w.Token(c.ID) != nil:
		return nil, conflict("token %s exists", c.ID)
	case !s.Join && !s.Scope.Allows(ReadScope):
		return nil, invalid("unknown scope %.40q", s.Scope).hint("use admin, deploy or read")
	case s.Join && s.Uses < 0:
		return nil, invalid("invalid uses %d", s.Uses).hint("use 1 or more, or 0 for no limit")
	}
	for _, environment := range s.Environments {
		if !w.Environment(environment) {
			return nil, noEnvironment(environment)
		}
	}
	if r := checkRoles(s.Roles); r != nil {
		return nil, r
	}
	return []Event{TokenCreated{Settings: s, Hash: c.Hash, Origin: c.Origin}}, nil
}

// Decide revokes once.
func (c RevokeToken) Decide(w World) ([]Event, *Rejection) {
	t := w.Token(c.ID)
	if t == nil {
		return nil, notFound("token %.80q does not exist", c.ID).hint("`drover token list` lists them")
	}
	if t.Revoked {
		return nil, nil
	}
	return []Event{TokenRevoked{Origin: c.Origin}}, nil
}

// Decide counts the use, of which N racers get one by the stream's revision.
func (c UseToken) Decide(w World) ([]Event, *Rejection) {
	t := w.Token(c.ID)
	if t == nil || !t.Settings.Join {
		return nil, reject(Forbidden, "the join token is not known").hint("`drover token create --join` makes one")
	}
	if t.Revoked {
		return nil, reject(Forbidden, "the join token was revoked").hint("ask for another one")
	}
	used, known := t.Used[c.Instance]
	if known && used.Secret != c.Secret {
		return nil, reject(Forbidden, "instance %s joined with another secret", c.Instance).hint("a new machine needs an empty --data folder")
	}
	again := known && used.Machine == c.Machine
	if again && w.Machine(c.Machine) != nil {
		return nil, nil // what the flags say counted at the first join
	}
	if r := c.within(t.Settings); r != nil {
		return nil, r
	}
	if again {
		return nil, nil
	}
	if r := c.unspent(t); r != nil {
		return nil, r
	}
	if r := CheckName("machine", c.Machine); r != nil {
		return nil, r
	}
	return []Event{TokenUsed{Instance: c.Instance, Machine: c.Machine, Secret: c.Secret}}, nil
}

// unspent says whether the token takes one more use now.
func (c UseToken) unspent(t *Token) *Rejection {
	s := t.Settings
	switch {
	case s.Until != nil && !c.Now.Before(*s.Until):
		return reject(Forbidden, "the join token expired at %s", s.Until.UTC().Format(time.RFC3339)).hint("ask for another one")
	case s.Uses > 0 && t.Spent >= s.Uses:
		return reject(Forbidden, "the join token has no use left of %d", s.Uses).hint("ask for another one")
	}
	return nil
}

// within says whether the token is good for such a machine.
func (c UseToken) within(s TokenSettings) *Rejection {
	if len(s.Environments) > 0 && !slices.Contains(s.Environments, c.Environment) {
		return reject(Forbidden, "the join token is not good for environment %.80q", c.Environment).hint("it is good for %v", s.Environments)
	}
	for _, role := range c.Roles {
		if len(s.Roles) > 0 && !slices.Contains(s.Roles, role) {
			return reject(Forbidden, "the join token is not good for role %.80q", role).hint("it is good for %v", s.Roles)
		}
	}
	return nil
}

// Decide clears what is set aside.
func (c ClearStream) Decide(w World) ([]Event, *Rejection) {
	if _, aside := w.SetAside(c.Name); !aside {
		return nil, notFound("stream %.120q is not set aside", c.Name).hint("`/readyz` names those that are")
	}
	return []Event{StreamCleared{Stream: c.Name, Origin: c.Origin}}, nil
}

// Decide accepts a restore of one log once.
func (c AcceptRestore) Decide(w World) ([]Event, *Rejection) {
	if w.Restored(c.Was) {
		return nil, nil
	}
	return []Event{LogRestored{Was: c.Was, At: c.At.UTC().Truncate(time.Microsecond), Origin: c.Origin}}, nil
}

// few names at most three of refs.
func few(refs []string) string {
	text := ""
	for i, ref := range refs {
		switch {
		case i == 3:
			return text + " and others"
		case i > 0:
			text += ", "
		}
		text += ref
	}
	return text
}
