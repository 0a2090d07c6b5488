package domain

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Grant is a set of verbs that an actor has in some projects and environments.
type Grant struct {
	Verbs []Verb
	// Projects and Environments limit the grant to these names; All means every name.
	Projects, Environments []string
	// Machine limits the grant to one machine; empty: no limit.
	Machine string
	// Source is where the grant comes from.
	Source Source
}

// Source is where a grant comes from: the scope or the permission of the token, or an Access. Its text is only built when
// somebody asks for it.
type Source struct {
	Scope      Scope
	Permission Permission
	// Access is the name of the Access, and Kind and Name are the entry of its list: a person, a group or a token.
	Access     string
	Kind, Name string
	// Text is the clause for a grant that comes from none of these.
	Text string
}

// because returns where the grant comes from, as a clause: "the token has scope deploy".
func (g *Grant) because() string {
	switch s := g.Source; {
	case s.Text != "":
		return s.Text
	case s.Scope != "":
		return "the token has scope " + string(s.Scope)
	case s.Access == "":
		return fmt.Sprintf("the token has permission %s %s", s.Permission, g.limits())
	default:
		return fmt.Sprintf("Access %s gives %s %s permission %s %s", s.Access, s.Kind, s.Name, s.Permission, g.limits())
	}
}

// Principal is an actor with everything that it is granted.
type Principal struct {
	// Name names the actor in sentences: "token 0123456789ab".
	Name   string
	Grants []Grant
	// Void is why the actor may do nothing, as a clause such as "the token was revoked"; empty if it may.
	Void string
	// Only replaces the reason of a refusal for an actor that no Access can grant anything.
	Only *Rejection
}

// May reports whether an actor may do what needs n, and because of what. because is one sentence without a full stop.
func May(actor Principal, n Need) (ok bool, because string) {
	grant := actor.grantFor(n)
	if grant == nil {
		return false, actor.refusal(n)
	}
	return true, fmt.Sprintf("%s may %s: %s", actor.Name, n, grant.because())
}

// Allows is May without the sentence.
func (s Principal) Allows(n Need) bool { return s.grantFor(n) != nil }

// Refuse returns the rejection of a caller that must not do what needs n, or nil if it may.
func (s Principal) Refuse(n Need) *Rejection {
	switch {
	case s.Allows(n):
		return nil
	case s.Only != nil && s.Void == "" && (n.Verb != AgentVerb || s.Only != agentOnly):
		return s.Only
	}
	r := reject(Forbidden, "%s", s.refusal(n)).hint("%s", n.remedy())
	if !n.Deployment.IsZero() {
		r = r.reveals(n.Project, n.Environment, deploymentNotFound(n.Deployment))
	}
	return r.For(s)
}

// grantFor returns the first grant that covers a need, or nil.
func (s *Principal) grantFor(n Need) *Grant {
	if s.Void != "" {
		return nil
	}
	for i := range s.Grants {
		if s.Grants[i].covers(n) {
			return &s.Grants[i]
		}
	}
	return nil
}

func (g *Grant) covers(n Need) bool {
	return slices.Contains(g.Verbs, n.Verb) && (g.Machine == "" || g.Machine == n.Machine) &&
		within(g.Projects, n.Project) && within(g.Environments, n.Environment)
}

// within reports whether a grant for these names covers a name, All or none.
func within(names []string, name string) bool {
	return name == "" || slices.Contains(names, All) || slices.Contains(names, name)
}

// maxSources is how many grants a refusal names.
const maxSources = 3

// refusal returns why the actor must not do what needs n.
func (s *Principal) refusal(n Need) string {
	text := fmt.Sprintf("%s may not %s: ", cmp.Or(s.Name, "the caller"), n)
	switch {
	case s.Void != "":
		return text + s.Void
	case len(s.Grants) == 0:
		return text + "nothing is granted to it"
	}
	var sources []string
	for i := range s.Grants {
		if i == maxSources {
			sources = append(sources, fmt.Sprintf("and %d more", len(s.Grants)-i))
			break
		}
		sources = append(sources, s.Grants[i].because())
	}
	return text + strings.Join(sources, ", ")
}

// remedy returns what would allow the need.
func (n Need) remedy() string {
	if n.Verb == AgentVerb {
		return "use the agent's secret or a token with scope " + string(AdminScope)
	}
	text := ""
	for _, scope := range []Scope{ReadScope, DeployScope, AdminScope} {
		if slices.Contains(scope.Verbs(), n.Verb) {
			text = "use a token with scope " + string(scope) + ", or "
			break
		}
	}
	for _, p := range Permissions() {
		if slices.Contains(p.Verbs(), n.Verb) {
			return text + "ask an admin for an Access with permission " + string(p) + n.limits()
		}
	}
	return strings.TrimSuffix(text, ", or ")
}

// limits returns the projects and environments that a grant must cover, as the end of a hint.
func (n Need) limits() string {
	text := ""
	if n.Project != "" {
		text += " for " + projectText(n.Project)
	}
	switch {
	case n.Machine != "":
		text += " in the environment of the machine"
	case n.Trigger != "":
		text += " in each environment of the trigger"
	case n.Environment != "":
		text += " in " + environmentText(n.Environment)
	}
	return text
}

// joinOnly is the refusal of a join token, agentOnly that of an agent's secret.
var (
	joinOnly = reject(Forbidden, "a join token is valid only for joining").
			hint("use a token with scope %s", ReadScope)
	agentOnly = reject(Forbidden, "the secret of an agent is valid only for requests about its own machine").
			hint("use a token")
)

// AgentPrincipal returns the agent of a machine: it may act as that machine.
func AgentPrincipal(machine string) Principal {
	return Principal{Name: "the agent of machine " + machine, Only: agentOnly, Grants: []Grant{{
		Verbs: []Verb{AgentVerb}, Projects: []string{All}, Environments: []string{All}, Machine: machine,
		Source: Source{Text: "it authenticated with its own secret"}}}}
}

// TokenPrincipal returns the holder of a token. now is the time for its expiry; the zero time ignores the expiry. The
// result for an unknown token may do nothing.
func TokenPrincipal(w World, id string, now time.Time) Principal {
	s := Principal{Name: "token " + bounded(id)}
	t := w.Token(id)
	if t == nil {
		s.Void = "the token does not exist"
		return s
	}
	s.Name = "token " + t.Label()
	switch {
	case t.Revoked:
		s.Void = "the token was revoked"
	case t.Settings.Until != nil && !now.IsZero() && !now.Before(*t.Settings.Until):
		s.Void = "the token expired at " + t.Settings.Until.UTC().Format(time.RFC3339)
	}
	if t.Settings.Join {
		s.Only = joinOnly
		s.Grants = []Grant{{Verbs: []Verb{JoinVerb}, Projects: []string{All}, Environments: []string{All},
			Source: Source{Text: "it is a join token"}}}
		return s
	}
	s.Grants = append(t.Settings.grants(), w.Accesses().of(t, func(name string) bool {
		_, aside := w.SetAside(AccessStream(name))
		return !aside // an Access that may be outdated grants nothing
	})...)
	return s
}

// grants returns what the settings of a token grant by themselves.
func (s *TokenSettings) grants() []Grant {
	switch {
	case s.Scope != "":
		return []Grant{{Verbs: s.Scope.Verbs(), Projects: everyName, Environments: everyName,
			Source: Source{Scope: s.Scope}}}
	case s.Permission == "" || s.Permission == NoPermission:
		return nil
	}
	return []Grant{{Verbs: s.Permission.Verbs(), Projects: orAll(s.Projects), Environments: orAll(s.Environments),
		Source: Source{Permission: s.Permission}}}
}

// limits returns the projects and environments of a grant: "for project shop in environment production".
func (g *Grant) limits() string {
	return "for " + several("project", g.Projects) + " in " + several("environment", g.Environments)
}

// maxNamed is how many projects or environments a sentence names. An Access can have MaxAccessEntries of them.
const maxNamed = 10

// several names one or several things, or all of them.
func several(noun string, names []string) string {
	switch {
	case slices.Contains(names, All):
		return "all " + noun + "s"
	case len(names) == 1:
		return noun + " " + names[0]
	case len(names) > maxNamed:
		return fmt.Sprintf("%d %ss: %s", len(names), noun, firstThree(names))
	}
	return noun + "s " + JoinNames(names)
}

func orAll(names []string) []string {
	if len(names) == 0 {
		return everyName
	}
	return names
}

// everyName are the names of a grant without a limit.
var everyName = []string{All}

// TokenOf returns the id of the token that a command was sent with. It is empty for the commands of agents and of drover
// itself.
func TokenOf(c Command) string {
	if sent, ok := c.(interface{ Sender() Actor }); ok {
		return sent.Sender().Token
	}
	return ""
}

// Authorize rejects a command unless the token that it was sent with grants what it needs in this World. It accepts
// commands without a token: those of agents, whose transport checks them, and those of drover itself.
func Authorize(w World, c Command) *Rejection {
	token := TokenOf(c)
	if token == "" {
		return nil
	}
	s := TokenPrincipal(w, token, time.Time{})
	for _, n := range c.Needs(w) {
		if r := s.Refuse(n); r != nil {
			return r
		}
	}
	return nil
}

// ForSender returns the rejection of a command as its sender gets it: without what the sender may not read.
func ForSender(w World, c Command, r *Rejection) *Rejection {
	if token := TokenOf(c); r != nil && token != "" {
		return r.For(TokenPrincipal(w, token, time.Time{}))
	}
	return r
}
