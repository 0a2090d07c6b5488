package domain

// World is the state that commands read, folded to one position of the log. Its methods return nil or zero for things
// that do not exist.
type World interface {
	Machine(name string) *Machine
	// CleanedUp returns the machine of this name that a clean-up or its own agent deleted, as it was. It returns nil if a
	// machine of the name has been added since, or if the deletion is too long ago to be undone.
	CleanedUp(name string) *Machine
	// DeletedByItsAgent reports whether the machine that CleanedUp returns was deleted by its own agent.
	DeletedByItsAgent(name string) bool
	// JoinedAs reports whether an instance joined with a token that is bound to this machine, after the machine last got
	// another instance. Such an instance may take the place of the machine's present one.
	JoinedAs(machine string, instance ID) bool
	// MachineOf returns the machine of an instance: the existing one that it joined as, unless that has another instance by
	// now. It is empty if no machine is.
	MachineOf(instance ID) string
	// MachinesIn returns the machines of an environment, sorted by name.
	MachinesIn(environment string) []*Machine
	Environment(name string) bool
	// Environments returns the names of all environments, sorted.
	Environments() []string
	// Policy returns the settings of a policy. The default policy always exists.
	Policy(name string) *PolicySettings
	Token(id string) *Token
	// TokensOf returns the tokens that an instance joined with.
	TokensOf(instance ID) []*Token
	// Places returns the machines that joined with a token.
	Places(token string) Places
	// Tokens returns all tokens, sorted by id.
	Tokens() []*Token
	// Accesses returns the Access resources. Callers must not change them.
	Accesses() *Accesses
	Project(name string) *Project
	// HasMachines reports whether an environment has machines in the scope of a project with one of these roles.
	HasMachines(project, environment string, roles []string) bool
	// References lists the resources that use an environment or policy, such as "machine web-01".
	References(kind, name string) []string

	// Hold returns the hold of one kind of a project on a machine, or the strongest one if kind is empty; nil if none
	// exists.
	Hold(project, machine string, kind HoldKind) *Hold
	// Wanted returns the release that the machine should have: of its hold, else of the pin, else of the environment.
	Wanted(project, machine string) string
	// Actual returns the release of the machine's last success.
	Actual(project, machine string) string
	// ActualFrom returns the deployment of that success, or the zero ID if no release is known.
	ActualFrom(project, machine string) ID
	// HasUnclaimed reports whether the machine has an open part of the project that is not claimed.
	HasUnclaimed(project, machine string) bool
	// Unfinished returns the release that the machine's last attempt did not finish.
	Unfinished(project, machine string) string
	// Deployment returns an open or ended deployment.
	Deployment(id ID) *DeploymentFacts
	// OpenDeploymentOf returns a deployment of a release that has not ended, or the zero ID.
	OpenDeploymentOf(project, release string) ID
	// Repairable returns what a retry would do with the machines of an ended deployment: those whose part failed or was
	// lost, those on which no part started, or both.
	Repairable(deployment ID, failed, skipped bool) RepairFacts
	// Part returns one machine's part of a deployment.
	Part(deployment ID, machine string) *Part
	// Running returns the machines whose claimed parts of a deployment have not ended, sorted.
	Running(deployment ID) []string
	// ClaimCheck returns why a claim by this session would be void now. It is empty if the claim would count.
	ClaimCheck(deployment ID, machine string, session ID) PartReason
	// Restored reports whether the restore of the log with this previous id has been accepted.
	Restored(was ID) bool
	// State returns the state of an aggregate that has its own package. name is the name of its row in the fold; the
	// result is nil for an unknown name. The type of the state is declared with the commands that read it.
	State(name string) any
	// SetAside reports whether a stream is set aside, and why.
	SetAside(stream string) (reason string, aside bool)
}

// DeploymentFacts is the state of a deployment, as far as commands need it.
type DeploymentFacts struct {
	Project     string
	Environment string // empty for a deployment of which only the end is known
	Ended       bool
	Cancelled   bool
	Accepted    bool
	State       DeploymentState
	Succeeded   bool              // on at least one machine
	Queued      *DeploymentQueued // nil for a deployment of which only the end is known
}
