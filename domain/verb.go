package domain

import "slices"

// Verb is what a caller wants to do. Each command and each read needs one.
type Verb string

// The verbs. No command uses ApproveVerb, SkipVerb and OverrideVerb yet.
const (
	ReadVerb         Verb = "read"
	EnableVerb       Verb = "enable" // and disable
	RetryVerb        Verb = "retry"
	HoldVerb         Verb = "hold" // and lift holds
	ReleaseVerb      Verb = "release"
	DeployVerb       Verb = "deploy"
	RollBackVerb     Verb = "roll-back"
	CancelVerb       Verb = "cancel"
	PinVerb          Verb = "pin" // and lift pins
	ApproveVerb      Verb = "approve"
	SettingsVerb     Verb = "settings" // of projects and triggers
	SkipVerb         Verb = "skip"
	OverrideVerb     Verb = "override"
	MachinesVerb     Verb = "machines" // add, change and delete
	EnvironmentsVerb Verb = "environments"
	PoliciesVerb     Verb = "policies"
	TokensVerb       Verb = "tokens"
	PeopleVerb       Verb = "people"
	AccessVerb       Verb = "access"
	LogVerb          Verb = "log" // export, back up, clear streams, accept a restore
	AgentVerb        Verb = "agent"
	JoinVerb         Verb = "join"
)

// verbs lists each verb with the words that sentences use for it: alone, and before its object. Verbs without words for
// an object concern the whole installation.
var verbs = []struct {
	verb      Verb
	alone, of string
}{
	{ReadVerb, "read", "read"},
	{EnableVerb, "enable or disable", "enable or disable"},
	{RetryVerb, "retry", "retry"},
	{HoldVerb, "hold", "hold"},
	{ReleaseVerb, "create releases", "create releases of"},
	{DeployVerb, "deploy", "deploy"},
	{RollBackVerb, "roll back", "roll back"},
	{CancelVerb, "cancel deployments", "cancel deployments of"},
	{PinVerb, "pin", "pin"},
	{ApproveVerb, "approve", "approve"},
	{SettingsVerb, "change settings", "change the settings of"},
	{SkipVerb, "skip gates", "skip gates of"},
	{OverrideVerb, "override freezes", "override freezes of"},
	{MachinesVerb, "change machines", "change"},
	{EnvironmentsVerb, "change environments", "change"},
	{PoliciesVerb, "change machine policies", ""},
	{TokensVerb, "create or revoke tokens", ""},
	{PeopleVerb, "add or erase people", ""},
	{AccessVerb, "change who may do what", ""},
	{LogVerb, "export, back up or repair the event log", ""},
	{AgentVerb, "act as an agent", "act as"},
	{JoinVerb, "join machines", ""},
}

// Verbs lists the verbs in the order of the documentation.
func Verbs() []Verb {
	all := make([]Verb, len(verbs))
	for i, row := range verbs {
		all[i] = row.verb
	}
	return all
}

// Permission is a named set of verbs.
type Permission string

// The permissions. No permission includes another one, except that all of them include reading.
const (
	Viewer   Permission = "viewer"
	Operator Permission = "operator"
	Releaser Permission = "releaser"
	Deployer Permission = "deployer"
	Approver Permission = "approver"
	Owner    Permission = "owner"
	Admin    Permission = "admin"
	// NoPermission is the permission of a token that has only what Access resources grant.
	NoPermission Permission = "none"
)

// verbsByPermission lists the verbs of each permission.
var verbsByPermission = map[Permission][]Verb{
	Viewer:   {ReadVerb},
	Operator: {ReadVerb, EnableVerb, RetryVerb, HoldVerb},
	Releaser: {ReadVerb, ReleaseVerb},
	Deployer: {ReadVerb, DeployVerb, RollBackVerb, CancelVerb, PinVerb},
	Approver: {ReadVerb, ApproveVerb},
	Owner:    {ReadVerb, SettingsVerb, SkipVerb, OverrideVerb},
	Admin:    adminVerbs,
}

// adminVerbs are all verbs but joining, for which agents need a join token.
var adminVerbs = slices.DeleteFunc(Verbs(), func(v Verb) bool { return v == JoinVerb })

// verbsByScope lists the verbs of each scope. They never change, so that existing tokens keep their permissions.
var verbsByScope = map[Scope][]Verb{
	ReadScope:   {ReadVerb},
	DeployScope: {ReadVerb, RetryVerb, HoldVerb, ReleaseVerb, DeployVerb, RollBackVerb, CancelVerb, PinVerb},
	AdminScope:  adminVerbs,
}

// Permissions lists the permissions that an Access or a token can grant.
func Permissions() []Permission {
	return []Permission{Viewer, Operator, Releaser, Deployer, Approver, Owner, Admin}
}

// Verbs returns the verbs of a permission; nil for an unknown permission.
func (p Permission) Verbs() []Verb { return verbsByPermission[p] }

// Verbs returns the verbs of a scope; nil for an unknown scope.
func (s Scope) Verbs() []Verb { return verbsByScope[s] }

// All stands for every project or every environment in a grant or a need.
const All = "*"

// Need is what a command or a read needs: a verb, and what it concerns.
type Need struct {
	Verb Verb
	// Project and Environment are what it concerns: a name, All, or "" if it concerns none in particular. A grant for
	// some names does not cover All.
	Project, Environment string
	// Machine is the machine that the caller named. Sentences mention it instead of Environment, so that they do not
	// reveal where the machine is.
	Machine string
	// Trigger is the trigger of Project that the caller named. Sentences mention it instead of Environment, so that they
	// do not reveal whether it exists and where it deploys.
	Trigger string
	// Deployment is the deployment that the caller named. It does not exist for a caller who may not read it.
	Deployment ID
}

// String returns the need as part of a sentence, such as "deploy project shop in environment production".
func (n Need) String() string {
	for _, row := range verbs {
		if row.verb == n.Verb {
			if object := n.object(); object != "" && row.of != "" {
				return row.of + " " + object
			}
			return row.alone
		}
	}
	return string(n.Verb)
}

func (n Need) object() string {
	switch {
	case n.Machine != "" && (n.Project == "" || n.Project == All):
		return "machine " + n.Machine
	case n.Machine != "":
		return "project " + n.Project + " on machine " + n.Machine
	case n.Trigger != "":
		return "trigger " + n.Trigger + " of " + projectText(n.Project)
	case n.Environment != "" && (n.Project == "" || n.Verb == EnvironmentsVerb):
		return environmentText(n.Environment)
	case n.Project == "":
		return ""
	}
	text := projectText(n.Project)
	if n.Environment != "" {
		text += " in " + environmentText(n.Environment)
	}
	return text
}

func projectText(name string) string {
	if name == All {
		return "all projects"
	}
	return "project " + bounded(name)
}

func environmentText(name string) string {
	if name == All {
		return "all environments"
	}
	return "environment " + bounded(name)
}

// bounded cuts a name that a caller sent, for a sentence.
func bounded(name string) string { return truncate(name, MaxVersionLength) }
