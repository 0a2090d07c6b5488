package domain

// World is what a command may ask. Every value is what the fold says at one position.
// Methods return nil or zero for what does not exist.
type World interface {
	Machine(name string) *Machine
	Environment(name string) bool
	// Policy finds a written policy, and the default one, which needs no writing.
	Policy(name string) *PolicySettings
	Token(id string) *Token
	Project(name string) *Project
	// References lists what still names an environment or policy, as "machine web-01".
	References(kind, name string) []string

	// Hold is the hold of a project on a machine.
	Hold(project, machine string) *Hold
	// Wanted is the release that the machine should have: hold, else pin, else the environment's.
	Wanted(project, machine string) string
	// Actual is the release that the machine's own last success proves.
	Actual(project, machine string) string
	// Unfinished is the release that the last attempt there tried and did not finish.
	Unfinished(project, machine string) string
	// Deployment finds an open or ended deployment.
	Deployment(id ID) *DeploymentFacts
	// Part finds one machine's share of a deployment.
	Part(deployment ID, machine string) *Part
	// Gate says why a claim by this session would be void now; empty: it would count.
	ClaimCheck(deployment ID, machine string, session ID) PartReason
	// Restored says whether a restore of the log that had this id was accepted.
	Restored(was ID) bool
	// State is the state of an aggregate with a package of its own, by the name of its row in the fold; nil for an unknown name.
	// Its type is declared beside the commands that ask for it.
	State(name string) any
	// SetAside says why a stream cannot be folded, if so.
	SetAside(stream string) (reason string, aside bool)
}

// DeploymentFacts is what a command needs to know of a deployment.
type DeploymentFacts struct {
	Project   string
	Ended     bool
	Cancelled bool
	State     DeploymentState
}
