package explain

import (
	"encoding/json"
	"time"

	"github.com/droverhq/drover/domain"
)

// List is a collection as the API answers it. Items is never null.
type List[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next"` // pass it as ?next= for the rest; empty at the end
	// Position is where the view stood.
	Position string `json:"position"`
}

// Machine is what `get machines` shows.
type Machine struct {
	Name        string      `json:"name"`
	Environment string      `json:"environment"`
	Roles       []string    `json:"roles"`
	Enabled     bool        `json:"enabled"`
	Presence    string      `json:"presence"` // online, offline, unknown
	Health      string      `json:"health"`   // healthy, warning, unhealthy, unknown
	Deployable  bool        `json:"deployable"`
	Policy      string      `json:"policy"`
	Instance    string      `json:"instance"`
	Installed   []Installed `json:"installed"` // by project
	Wanted      []Wanted    `json:"wanted"`    // by project
	// Note is a sentence on what is odd about the machine: set aside, environment missing; may be empty.
	Note string `json:"note,omitempty"`
}

// Installed is what a project's own last success here proves.
type Installed struct {
	Project string    `json:"project"`
	Release string    `json:"release"`
	Since   time.Time `json:"since"`
	Dirty   bool      `json:"dirty"`
}

// Wanted is what a project wants here.
type Wanted struct {
	Project string `json:"project"`
	Release string `json:"release"`
	Pinned  bool   `json:"pinned"`
	Held    bool   `json:"held"`
}

// Deployment is what `get deployments` shows.
type Deployment struct {
	ID          string              `json:"id"`
	Project     string              `json:"project"`
	Release     string              `json:"release"`
	Environment string              `json:"environment"`
	Kind        string              `json:"kind"`  // environment, narrowed, automatic
	State       string              `json:"state"` // queued, running, succeeded, failed, cancelled
	Cause       DeploymentCause     `json:"cause"`
	Machines    []DeploymentMachine `json:"machines"`
	CreatedAt   time.Time           `json:"createdAt"`
	EndedAt     *time.Time          `json:"endedAt,omitempty"`
	Position    string              `json:"position"`
}

// DeploymentCause is why a deployment is.
type DeploymentCause struct {
	By string `json:"by"` // for people; empty for an automatic one
	// Actor identifies who asked; nil for an automatic one and for one from before there were actors.
	Actor    *domain.Actor `json:"actor,omitempty"`
	Triggers []string      `json:"triggers"`
	Reason   string        `json:"reason"`
	Events   []string      `json:"events"` // ids
}

// DeploymentMachine is one part.
type DeploymentMachine struct {
	Name       string     `json:"name"`
	State      string     `json:"state"` // queued, released, running, succeeded, failed, skipped, cancelled, lost
	Reason     string     `json:"reason"`
	Detail     string     `json:"detail,omitempty"`
	StartedAt  *time.Time `json:"startedAt"`
	FinishedAt *time.Time `json:"finishedAt"`
}

// Candidate is what waits, and for what.
type Candidate struct {
	Project string   `json:"project"`
	Trigger string   `json:"trigger"`
	Machine string   `json:"machine"`
	Opened  string   `json:"opened"` // position
	Verdict string   `json:"verdict"`
	Reason  string   `json:"reason"`
	Causes  []string `json:"causes"` // "#12 MachineCameOnline"
}

// Event is a recorded event.
type Event struct {
	Position string `json:"position"`
	Stream   string `json:"stream"`
	Revision int64  `json:"revision"`
	ID       string `json:"id"`
	Type     string `json:"type"` // MachineCameOnline
	// Category is what triggers name, such as MachineBecameHealthy; empty for what no trigger can name.
	Category string `json:"category,omitempty"`
	// Text is the event in words; empty for a type that this drover does not know.
	Text    string          `json:"text,omitempty"`
	Time    time.Time       `json:"time"`
	Causes  []string        `json:"causes"`
	Command string          `json:"command,omitempty"`
	Data    json.RawMessage `json:"data"`
}

// Why is the answer to `drover why`, one for each project that looks at the machine.
type Why struct {
	Machine string `json:"machine"`
	Project string `json:"project"`
	Wanted  string `json:"wanted"`
	Actual  string `json:"actual"`
	Dirty   bool   `json:"dirty"`
	Verdict string `json:"verdict"` // wait, none, deploy
	Reason  string `json:"reason"`
	// Sentence says the reason in words, with the place and what would change it.
	Sentence string    `json:"sentence"`
	Causes   []string  `json:"causes"`  // "#12 MachineCameOnline"
	History  []History `json:"history"` // oldest first, the newest 50
	At       string    `json:"at"`      // position it was answered at
}

// History is one line of what happened to a machine and a project.
type History struct {
	Position string    `json:"position"`
	Time     time.Time `json:"time"`
	Type     string    `json:"type"`
	Text     string    `json:"text"`
}

// Project is what `get projects` shows.
type Project struct {
	Name         string     `json:"name"`
	Enabled      bool       `json:"enabled"`
	Roles        []string   `json:"roles"`
	Releases     int        `json:"releases"`
	Triggers     []string   `json:"triggers"`
	Environments []Standing `json:"environments"`
	Waiting      int        `json:"waiting"` // machines with an open candidate
	Spec         any        `json:"spec"`
}

// Standing is where a project stands in one environment.
type Standing struct {
	Environment string     `json:"environment"`
	Release     string     `json:"release"` // the environment's
	Pinned      string     `json:"pinned"`  // empty: no pin
	PinnedUntil *time.Time `json:"pinnedUntil,omitempty"`
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
	// Missing are the environments it names that do not exist.
	Missing []string `json:"missing,omitempty"`
}

// Release is what `get releases` shows.
type Release struct {
	Project string   `json:"project"`
	Version string   `json:"version"`
	Steps   []string `json:"steps"`
	// Environments are those whose release it is.
	Environments []string `json:"environments"`
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

// Person is what `person list` shows.
type Person struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// Token is what `token list` shows; never the secret.
type Token struct {
	ID     string `json:"id"`
	Kind   string `json:"kind"`             // join, or the scope: admin, deploy, read
	Person string `json:"person,omitempty"` // the id of the person whom it belongs to
	// PersonName is that person's name; empty if it was erased or could not be read.
	PersonName   string     `json:"personName,omitempty"`
	Uses         int        `json:"uses"` // allowed; 0: no limit
	Used         int        `json:"used"`
	Until        *time.Time `json:"until,omitempty"`
	Environments []string   `json:"environments"`
	Roles        []string   `json:"roles"`
	Revoked      bool       `json:"revoked"`
}
