package explain

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/droverhq/drover/domain"
)

// List is one page of a collection in the API. Items is never null.
type List[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next"` // pass it as ?next= to get the next page; empty on the last page
	// Position is the log position of the view.
	Position string `json:"position"`
	// SearchedAfter is set if only the end of the log after this position was searched; empty if enough was found.
	SearchedAfter string `json:"searchedAfter,omitempty"`
}

// Machine is what `get machines` shows.
type Machine struct {
	Name        string   `json:"name"`
	Environment string   `json:"environment"`
	Roles       []string `json:"roles"`
	Enabled     bool     `json:"enabled"`
	Presence    string   `json:"presence"` // online, offline, unknown
	Health      string   `json:"health"`   // healthy, warning, unhealthy, unknown
	// HealthDetail names the check that does not succeed, and the last line of its output.
	HealthDetail string `json:"healthDetail,omitempty"`
	Deployable   bool   `json:"deployable"`
	Doubted      bool   `json:"doubted,omitempty"` // the log does not have what its agent remembers
	// Conditions are what its agent reports about the machine, such as a full disk.
	Conditions []Condition `json:"conditions,omitempty"`
	Policy     string      `json:"policy"`
	// PolicyFrom says who chose the policy: default, token, agent or person. PolicyToken is the name of the join token.
	PolicyFrom  string      `json:"policyFrom"`
	PolicyToken string      `json:"policyToken,omitempty"`
	Ephemeral   bool        `json:"ephemeral"` // its agent may delete it
	Instance    string      `json:"instance"`
	Installed   []Installed `json:"installed"` // by project
	Wanted      []Wanted    `json:"wanted"`    // by project
	// Rolling are the parts that are queued, released or running for it, the newest of each project.
	Rolling []Rolling `json:"rolling,omitempty"`
	// Note describes what is unusual about the machine, such as a missing environment; it may be empty.
	Note string `json:"note,omitempty"`
}

// Condition is a problem that the agent of a machine reports.
type Condition struct {
	Kind string `json:"kind"` // see domain.ConditionKinds
	// Blocks means that the agent starts no parts.
	Blocks bool      `json:"blocks"`
	Detail string    `json:"detail,omitempty"`
	Since  time.Time `json:"since"`
}

// Installed is the release of a project's last success on this machine.
type Installed struct {
	Project string `json:"project"`
	// Release is empty if the machine has none, but an attempt has started. Since is then the start of the last attempt.
	Release string    `json:"release"`
	Since   time.Time `json:"since"`
	Dirty   bool      `json:"dirty"`
}

// Rolling is a release that a part which has not ended will bring to a machine.
type Rolling struct {
	Project    string `json:"project"`
	Release    string `json:"release"`
	Deployment string `json:"deployment"` // id
	State      string `json:"state"`      // queued, released, running
}

// Wanted is the release that the machine should have of a project.
type Wanted struct {
	Project string `json:"project"`
	Release string `json:"release"`
	// Expected is the release that it should have once the open deployments have ended; empty if that is Release.
	Expected string `json:"expected,omitempty"`
	Pinned   bool   `json:"pinned"`
	Held     bool   `json:"held"`
	// Hold is the strongest hold, which sets Release; nil without one. Holds are all of them, the strongest first.
	Hold  *Hold  `json:"hold,omitempty"`
	Holds []Hold `json:"holds"`
}

// Hold keeps automation off a machine, for one project.
type Hold struct {
	Kind    string     `json:"kind"`              // see domain.HoldKinds
	Release string     `json:"release,omitempty"` // empty: whatever the machine has
	Since   time.Time  `json:"since"`
	Until   *time.Time `json:"until,omitempty"`
	Reason  string     `json:"reason,omitempty"`
	// Actor is who set it, nil if a deployment left it. Deployment is the id of that deployment.
	Actor      *domain.Actor `json:"actor,omitempty"`
	Deployment string        `json:"deployment,omitempty"`
}

// Deployment is what `get deployments` shows.
type Deployment struct {
	ID          string          `json:"id"`
	Project     string          `json:"project"`
	Release     string          `json:"release"`
	Environment string          `json:"environment"`
	Kind        string          `json:"kind"`  // environment, narrowed, automatic
	State       string          `json:"state"` // queued, running, succeeded, failed, cancelled
	Cause       DeploymentCause `json:"cause"`
	// Failures counts the machines that count as failures, and MaxFailures is how many are allowed; nil: not set.
	Failures    int            `json:"failures,omitempty"`
	MaxFailures *domain.Amount `json:"maxFailures,omitempty"`
	// Accepted is who accepted the deployment although it did not succeed; nil if nobody did.
	Accepted *Acceptance `json:"accepted,omitempty"`
	// Wave is the current wave, or the last one that started; nil without waves.
	Wave      *Wave               `json:"wave,omitempty"`
	Machines  []DeploymentMachine `json:"machines"`
	CreatedAt time.Time           `json:"createdAt"`
	EndedAt   *time.Time          `json:"endedAt,omitempty"`
	// SupersededBy is the deployment that replaced it; nil without one.
	SupersededBy *Superseding `json:"supersededBy,omitempty"`
	Position     string       `json:"position"`
}

// Acceptance is a person's decision to want the release of a deployment that did not succeed.
type Acceptance struct {
	By     string    `json:"by"`
	At     time.Time `json:"at"`
	Reason string    `json:"reason,omitempty"`
}

// String returns "by ann at 2026-01-02T15:04:05Z (reason)".
func (a Acceptance) String() string {
	return "by " + a.By + " at " + a.At.Format(time.RFC3339) + domain.InParentheses(a.Reason)
}

// Wave is a wave of a deployment.
type Wave struct {
	Number int `json:"number"` // from 1
	Of     int `json:"of"`
	// Machines is the size of this wave. It includes the waves before it.
	Machines int             `json:"machines"`
	Sizes    domain.Waves    `json:"sizes"`
	Pause    domain.Duration `json:"pause,omitempty"`
}

// String returns "2 of 3 (up to 20 machines); sizes 1,10%,100%; pause 5m".
func (w Wave) String() string {
	machines := " machines"
	if w.Machines == 1 {
		machines = " machine"
	}
	text := fmt.Sprintf("%d of %d (up to %d%s); sizes %s", w.Number, w.Of, w.Machines, machines, w.Sizes)
	if w.Pause > 0 {
		text += "; pause " + w.Pause.String()
	}
	return text
}

// Superseding is a deployment that replaced another one.
type Superseding struct {
	ID      string `json:"id"`
	Release string `json:"release"`
}

// String returns a clause for a sentence: "superseded by deployment 8d0f7e2c of release 1.1".
func (s Superseding) String() string {
	short, _, _ := strings.Cut(s.ID, "-")
	return "superseded by deployment " + short + " of release " + s.Release
}

// DeploymentCause is why a deployment was queued.
type DeploymentCause struct {
	By string `json:"by"` // for people; empty for an automatic deployment
	// Actor identifies who requested the deployment. It is nil for automatic deployments, and for events that were
	// recorded before drover stored actors.
	Actor    *domain.Actor `json:"actor,omitempty"`
	Triggers []string      `json:"triggers"`
	Reason   string        `json:"reason"`
	Events   []string      `json:"events"` // ids
}

// DeploymentMachine is one part of a deployment.
type DeploymentMachine struct {
	Name       string     `json:"name"`
	State      string     `json:"state"` // of domain.PartState
	Reason     string     `json:"reason"`
	Detail     string     `json:"detail,omitempty"`
	Step       string     `json:"step,omitempty"` // in which it failed
	ExitCode   int        `json:"exitCode,omitempty"`
	StartedAt  *time.Time `json:"startedAt"`
	FinishedAt *time.Time `json:"finishedAt"`
	// WaitsFor is the part of another deployment that runs on the machine, while this part waits for it.
	WaitsFor *Occupant `json:"waitsFor,omitempty"`
	// CannotStop means that the part runs and that the agent of the machine is too old to stop it.
	CannotStop bool `json:"cannotStop,omitempty"`
}

// Candidate is a machine for which a trigger requested a deployment, with its current verdict.
type Candidate struct {
	Project string   `json:"project"`
	Trigger string   `json:"trigger"`
	Machine string   `json:"machine"`
	Opened  string   `json:"opened"` // position
	Verdict string   `json:"verdict"`
	Reason  string   `json:"reason"`
	Causes  []string `json:"causes"` // "#12 MachineCameOnline"

	environment string // of the machine
}

// Event is a recorded event.
type Event struct {
	Position string `json:"position"`
	Stream   string `json:"stream"`
	Revision int64  `json:"revision"`
	ID       string `json:"id"`
	Type     string `json:"type"` // MachineCameOnline
	// Category is the event category that triggers name, such as MachineBecameHealthy; empty if triggers cannot name it.
	Category string `json:"category,omitempty"`
	// Text describes the event; empty for an event type that this version of drover does not know.
	Text    string          `json:"text,omitempty"`
	Time    time.Time       `json:"time"`
	Causes  []string        `json:"causes"`
	Command string          `json:"command,omitempty"`
	Data    json.RawMessage `json:"data"`
}

// Why is the answer to `drover why` for one machine and one project.
type Why struct {
	Machine string `json:"machine"`
	Project string `json:"project"`
	Wanted  string `json:"wanted"`
	Actual  string `json:"actual"`
	Dirty   bool   `json:"dirty"`
	// Rolling is the part of the project that is queued, released or running for the machine; nil without one.
	Rolling *Rolling `json:"rolling,omitempty"`
	Verdict string   `json:"verdict"` // wait, none, deploy
	Reason  string   `json:"reason"`
	// Sentence explains the reason: the situation of the machine and what would change it.
	Sentence string `json:"sentence"`
	// Consequence is what the command does that the sentence proposes; empty if it proposes none.
	Consequence string `json:"consequence,omitempty"`
	// WaitsFor is the part that runs on the machine, while another part of the project waits for it.
	WaitsFor *Occupant `json:"waitsFor,omitempty"`
	Causes   []string  `json:"causes"`  // "#12 MachineCameOnline"
	History  []History `json:"history"` // the newest MaxHistory lines, oldest first
	At       string    `json:"at"`      // the log position of the answer
}

// History is one event that concerned a machine and a project.
type History struct {
	Position string    `json:"position"`
	Time     time.Time `json:"time"`
	Type     string    `json:"type"`
	Text     string    `json:"text"`
}

// Project is what `get projects` shows.
type Project struct {
	Name         string              `json:"name"`
	Enabled      bool                `json:"enabled"`
	Roles        []string            `json:"roles"`
	Releases     int                 `json:"releases"`
	Triggers     []string            `json:"triggers"`
	Environments []EnvironmentStatus `json:"environments"`
	Waiting      int                 `json:"waiting"` // machines with an open candidate
	Spec         any                 `json:"spec"`

	environmentsOf map[string][]string // the environments of each trigger
	waitingIn      map[string]int      // Waiting by environment
}

// EnvironmentStatus is the release and the pin of a project in one environment.
type EnvironmentStatus struct {
	Environment string     `json:"environment"`
	Release     string     `json:"release"` // of the last successful environment-wide deployment
	Pinned      string     `json:"pinned"`  // empty if there is no pin
	PinnedUntil *time.Time `json:"pinnedUntil,omitempty"`
	// Rolling is the release of the environment-wide deployment that is open there, and Deployment its id.
	Rolling    string `json:"rolling,omitempty"`
	Deployment string `json:"deployment,omitempty"`
}

// Trigger is what `get triggers` shows.
type Trigger struct {
	Name         string   `json:"name"`
	Project      string   `json:"project"`
	Enabled      bool     `json:"enabled"`
	Events       []string `json:"events"`
	Environments []string `json:"environments"`
	Roles        []string `json:"roles"`
	Redeploy     bool     `json:"redeploy"`
	Waiting      int      `json:"waiting"`
	// Missing lists the environments that the trigger names but that do not exist.
	Missing []string `json:"missing,omitempty"`

	waitingIn map[string]int // Waiting by environment
}

// Environment is what `get environments` shows.
type Environment struct {
	Name     string `json:"name"`
	Machines int    `json:"machines"`
	Online   int    `json:"online"`
}

// Policy is what `get policies` shows.
type Policy struct {
	Name     string `json:"name"`
	Machines int    `json:"machines"`
	Spec     any    `json:"spec"`
}

// Server is what `get servers` shows.
type Server struct {
	ID       string    `json:"id"`
	Address  string    `json:"address"`
	Version  string    `json:"version"`
	Started  time.Time `json:"started"`
	Decision int       `json:"decisionVersion"`
	Self     bool      `json:"self"`
	Alive    bool      `json:"alive"`
}

// Access is what `get access` shows.
type Access struct {
	Name       string            `json:"name"`
	Who        domain.AccessWho  `json:"who"`
	Permission domain.Permission `json:"permission"`
	// Projects and Environments limit the permission; ["*"] means all.
	Projects     []string `json:"projects"`
	Environments []string `json:"environments"`
	// PeopleNames are the names of the people in Who, by id, as far as they are known.
	PeopleNames map[string]string `json:"peopleNames,omitempty"`
}

// May is whether a token may do something, and because of what.
type May struct {
	Token  string `json:"token"`            // id
	Name   string `json:"name,omitempty"`   // of the token
	Person string `json:"person,omitempty"` // the id of the person that the token belongs to
	// PersonName is empty if the name was erased or could not be read.
	PersonName string   `json:"personName,omitempty"`
	Groups     []string `json:"groups,omitempty"`
	May        bool     `json:"may"`
	Because    string   `json:"because"`
}

// Person is what `person list` shows.
type Person struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// Token is what `token list` shows. It never contains the secret.
type Token struct {
	ID     string `json:"id"`
	Name   string `json:"name,omitempty"`   // empty for tokens of earlier versions
	Kind   string `json:"kind"`             // join, the scope (admin, deploy or read), or the permission
	Person string `json:"person,omitempty"` // the id of the person that the token belongs to
	// PersonName is empty if the name was erased or could not be read.
	PersonName   string     `json:"personName,omitempty"`
	Created      time.Time  `json:"created"`
	CreatedBy    string     `json:"createdBy,omitempty"` // the person, token or component that created it
	LastUsed     *time.Time `json:"lastUsed,omitempty"`  // nil: never, or not in the time that drover remembers
	Uses         int        `json:"uses"`                // the number of allowed uses; 0 means no limit
	Used         int        `json:"used"`
	MaxMachines  int        `json:"maxMachines"` // how many machines that joined with it can exist; 0 means no limit
	Machines     int        `json:"machines"`    // how many exist
	Until        *time.Time `json:"until,omitempty"`
	Environments []string   `json:"environments"`
	Roles        []string   `json:"roles"`
	Projects     []string   `json:"projects,omitempty"`
	Groups       []string   `json:"groups,omitempty"`
	Expired      bool       `json:"expired"`
	Machine      string     `json:"machine,omitempty"` // the only machine that can join with it
	Policy       string     `json:"policy,omitempty"`  // the machine policy of each new machine that joins with it
	Revoked      bool       `json:"revoked"`
}
