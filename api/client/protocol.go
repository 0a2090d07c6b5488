package client

import (
	"time"

	"github.com/droverhq/drover/domain"
)

// Agents and servers exchange JSON text messages over a WebSocket at AgentPath. Each message is an envelope with
// exactly one field set. The agent starts with Hello, and the server responds with Welcome or Refused. Every message
// that changes something can safely be sent twice.

// AgentPath is the path of the WebSocket for agents.
const AgentPath = "/api/v1/agent"

// MaxMessageBytes limits the size of a message in either direction.
const MaxMessageBytes = 8 << 20

// MaxHelloBytes limits the size of a Hello. Nobody has proved anything before it.
const MaxHelloBytes = 64 << 10

// MaxMemoryBytes limits the size of Hello.Memory, as JSON. The rest of a Hello needs much less than what remains.
const MaxMemoryBytes = 48 << 10

// FromAgent is one message from an agent; exactly one field is set.
type FromAgent struct {
	Hello      *Hello      `json:"hello,omitempty"`
	Heartbeat  *Heartbeat  `json:"heartbeat,omitempty"`
	Health     *Health     `json:"health,omitempty"`
	Remembered *Remembered `json:"remembered,omitempty"`
	Conditions *Conditions `json:"conditions,omitempty"`
	Claim      *Claim      `json:"claim,omitempty"`
	Output     *Output     `json:"output,omitempty"`
	End        *End        `json:"end,omitempty"`
	Answer     *PartAnswer `json:"answer,omitempty"`
	Goodbye    *Goodbye    `json:"goodbye,omitempty"`
}

// ToAgent is one message from a server; exactly one field is set.
type ToAgent struct {
	Welcome  *Welcome     `json:"welcome,omitempty"`
	Refused  *Refused     `json:"refused,omitempty"`
	Settings *Settings    `json:"settings,omitempty"`
	Offer    *Work        `json:"offer,omitempty"`
	Claimed  *Claimed     `json:"claimed,omitempty"`
	Kill     *Kill        `json:"kill,omitempty"`
	Ended    *Ended       `json:"ended,omitempty"`
	Newest   *NewestEvent `json:"told,omitempty"`
}

// Forms of authentication of agents.
const (
	// ProofForm: the agent has proved that it knows its secret.
	ProofForm = "proof"
	// ProxiedForm: the same, through a proxy that ends TLS.
	ProxiedForm = "proxied"
	// SecretForm: the agent has sent its secret, like earlier versions of drover.
	SecretForm = "secret"
)

// Hello opens a session.
type Hello struct {
	Machine  string `json:"machine"`
	Instance string `json:"instance"` // UUID, created before the first join and stored in --data
	// Secret is the secret: 64 hex digits, stored in --data. It is sent only if the log has no verifier, after the server
	// has proved that it knows the hash.
	Secret  string `json:"secret,omitempty"`
	Session string `json:"session"` // UUID, new for each run of the agent, unchanged when it reconnects
	// Proof proves that the agent knows its secret, and JoinProof that it knows the secret of its join token (package
	// handshake). Earlier versions of drover send Secret and Join instead.
	Proof     string `json:"proof,omitempty"`
	JoinProof string `json:"joinProof,omitempty"`
	// Verifier is what the log stores of the secret. It is sent by an agent that joins, or whose secret has only a hash in
	// the log.
	Verifier string `json:"verifier,omitempty"`
	// Join is the join token. It is sent only if the log has no verifier of it, after the server has proved that it
	// knows the hash.
	Join        string   `json:"join,omitempty"`
	Environment string   `json:"environment,omitempty"`
	Roles       []string `json:"roles,omitempty"`
	// Ephemeral declares that the agent may delete the machine. Like Environment and Roles it counts at the first join.
	Ephemeral bool `json:"ephemeral,omitempty"`
	// Policy is the machine policy that the agent asks for. It counts at the first join, and only if the token gives none.
	Policy  string `json:"policy,omitempty"`
	Version string `json:"version"`
	// StatesConditions declares that the agent sends Conditions after each Welcome, also without any. What an earlier run
	// of it stated applies until then. Agents that do not declare it may never send them, so it ends at once.
	StatesConditions bool `json:"statesConditions,omitempty"`
	// ObeysKill declares that the agent stops a part after a Kill. Agents that do not declare it let the part finish.
	ObeysKill bool `json:"obeysKill,omitempty"`
	// Memory is what the agent remembers about the log; nil before the first Welcome.
	Memory *Memory `json:"memory,omitempty"`
}

// Memory is what an agent remembers about the log that it was last connected to. It lets a server detect a restored
// log.
type Memory struct {
	Log      string `json:"log"`                // log id
	Made     string `json:"made"`               // the id that this log was created with
	LogProof string `json:"logProof,omitempty"` // the LogProof of the welcome that named Log
	Machine  string `json:"machine"`            // the machine that the rest of the memory belongs to
	Revision int64  `json:"revision"`           // of the newest known event in the machine's stream
	Event    string `json:"event"`              // id of that event
	// Successes maps a project to the id of the PartEnded event of its last success on this machine.
	Successes map[string]string `json:"successes,omitempty"`
	// Deployments maps a project to the deployment of that success.
	Deployments map[string]string `json:"deployments,omitempty"`
	// Earlier and EarlierDeployments are the same for projects without a success since a restore was accepted. The
	// restored log may not have them, and a second restore of the same backup also loses the holds of the first one.
	Earlier            map[string]string `json:"earlier,omitempty"`
	EarlierDeployments map[string]string `json:"earlierDeployments,omitempty"`
}

// Remembered is what the agent remembers about the successes on its machine. It is sent after each Welcome, and states all
// successes that the agent reported before. A machine that remembers less than the log becomes dirty. An agent that
// sends none is never judged by it.
type Remembered struct {
	// Projects maps a project to its successes. Without an entry, nothing was installed.
	Projects map[string]RememberedProject `json:"projects"`
	// Partial means that a project without an entry is unknown: an older version of the agent kept no complete record.
	Partial bool `json:"partial,omitempty"`
	// Unconfirmed maps the deployment of a part to what it runs or has run. The server has not confirmed the ends of these
	// parts. If the log has lost one, this shows what the part changed on the machine.
	Unconfirmed map[string]RanPart `json:"unconfirmed,omitempty"`
	// AsOf is required over plain HTTP: the position in the answer to an earlier request of the agent. It shows that a
	// delayed statement is older than a success.
	AsOf string `json:"asOf,omitempty"`
}

// RememberedProject is what an agent remembers of one project.
type RememberedProject struct {
	Release     string   `json:"release,omitempty"` // of the last success
	Deployments []string `json:"deployments"`       // of the last successes, in any order
}

// RanPart is what a part runs.
type RanPart struct {
	Project string `json:"project"`
	Release string `json:"release,omitempty"`
}

// Heartbeat means that the session is alive.
type Heartbeat struct {
	// Clock is what the clock of the machine shows. Servers compare their clocks with those of the agents. It is zero if
	// the agent does not send it.
	Clock time.Time `json:"clock,omitzero"`
}

// Health is the result of the policy's health check. It is sent after each change and after each Welcome.
type Health struct {
	Status domain.Health `json:"status"`           // healthy, warning or unhealthy
	Detail string        `json:"detail,omitempty"` // last line of the check's output, at most 500 bytes
}

// Conditions states all problems of the machine that the agent has found. An empty list means that they have ended. It is
// sent after each change, and after each Welcome if the agent has sent one before. Servers before this version ignore it.
type Conditions struct {
	Conditions []domain.Condition `json:"conditions"`
}

// Claim asks for permission to start a part. The agent writes its journal before it sends a Claim.
type Claim struct {
	Deployment string `json:"deployment"`
}

// Output is a piece of a part's output.
type Output struct {
	Deployment string `json:"deployment"`
	Sequence   int64  `json:"sequence"` // starts at 1 for each part
	Data       []byte `json:"data"`     // at most 64 KiB, with secrets masked
}

// End reports how a claimed part ended. The agent repeats it until it receives Ended.
type End struct {
	Deployment string            `json:"deployment"`
	State      domain.PartState  `json:"state"`            // succeeded or failed
	Reason     domain.PartReason `json:"reason,omitempty"` // such as domain.StepFailed
	Step       string            `json:"step,omitempty"`
	ExitCode   int               `json:"exitCode,omitempty"`
	Detail     string            `json:"detail,omitempty"` // one sentence, at most 500 bytes, with secrets masked
}

// PartAnswer is the response to an entry of Welcome.Unfinished that the agent is still running. For a part that has
// ended, the agent sends End.
type PartAnswer struct {
	Deployment string `json:"deployment"`
	Running    bool   `json:"running"`
}

// Goodbye ends the session, and the machine goes offline immediately.
type Goodbye struct {
	// Delete asks to delete the machine (--ephemeral). A machine that did not join as an ephemeral one stays.
	Delete bool `json:"delete,omitempty"`
}

// Welcome accepts a session. An agent uses nothing of it before it has checked the proofs.
type Welcome struct {
	// Proof proves that the server knows the verifier of the agent's secret, and JoinProof that of the join token.
	Proof     string `json:"proof,omitempty"`
	JoinProof string `json:"joinProof,omitempty"`
	// Registered means that the log has a verifier of the agent's secret. The agent never needs to send the secret again.
	Registered bool `json:"registered,omitempty"`

	Log  string `json:"log"`  // log id
	Made string `json:"made"` // the id that the log was created with; Log changes with each restore
	// LogProof is the server key's signature of Log and Made. The agent returns it in its Memory.
	LogProof string   `json:"logProof,omitempty"`
	Server   string   `json:"server"` // server id
	Settings Settings `json:"settings"`
	// Unfinished lists the parts of this machine that are claimed and have not ended.
	Unfinished []Unfinished `json:"unfinished"`
	// LostEvents means that the log has lost events and no person has accepted that. The agent keeps its Memory until
	// then, whatever the id of the log is.
	LostEvents bool `json:"lostEvents,omitempty"`
	// Warnings are sentences for the agent's log, for example that its flags differ from the machine's settings in the
	// log.
	Warnings []string `json:"warnings,omitempty"`
}

// Unfinished identifies a part that is claimed and has not ended according to the log.
type Unfinished struct {
	Deployment string `json:"deployment"`
	Project    string `json:"project"`
	Session    string `json:"session"` // the session that claimed the part
}

// Refused ends the connection. An agent ignores Final and Server unless one of the proofs is valid.
type Refused struct {
	// Proof and JoinProof are those of Welcome.
	Proof     string `json:"proof,omitempty"`
	JoinProof string `json:"joinProof,omitempty"`

	Reason string `json:"reason"` // one sentence
	// Final means that another attempt cannot succeed, for example after the token was revoked. The agent exits.
	Final bool `json:"final"`
	// Server, if set, is the URL of the server that has the other session of this instance.
	Server string `json:"server,omitempty"`
}

// Settings are the settings of the machine's policy for the agent. The server sends them again when they change.
type Settings struct {
	HeartbeatEvery domain.Duration     `json:"heartbeatEvery"`
	OfflineAfter   domain.Duration     `json:"offlineAfter"`
	HealthCheck    *domain.HealthCheck `json:"healthCheck,omitempty"`
}

// Work offers a released part to its machine, with everything that is needed to run it.
type Work struct {
	Deployment      string            `json:"deployment"`
	Project         string            `json:"project"`
	Environment     string            `json:"environment"`
	Machine         string            `json:"machine"`
	Release         string            `json:"release"`
	PreviousRelease string            `json:"previousRelease,omitempty"` // the actual release before this part
	Cause           string            `json:"cause"`                     // person, trigger or sweep
	Steps           []domain.Step     `json:"steps"`
	Variables       map[string]string `json:"variables,omitempty"`
	Secrets         []string          `json:"secrets,omitempty"` // names; the agent reads the values on the machine
}

// Claimed is the response to a Claim. The agent starts the part only if Counts is true.
type Claimed struct {
	Deployment string `json:"deployment"`
	Counts     bool   `json:"counts"`
	Reason     string `json:"reason,omitempty"`
	// Values replace those of the offer: the roles of the machine may have changed between the offer and the claim. Servers
	// before decision version 7 do not send them.
	Values *domain.Values `json:"values,omitempty"`
}

// Kill asks the agent to stop a claimed part, because a person wants that. The server repeats it on each connection
// until the agent has reported the end. It has no effect on a part that has ended. An agent that does not know the message
// ignores it.
type Kill struct {
	Deployment string `json:"deployment"`
	By         string `json:"by"`               // who asked, by id
	Reason     string `json:"reason,omitempty"` // one sentence
}

// Ended confirms that the result of a part is in the log. The agent can then remove the part from its journal.
type Ended struct {
	Deployment string `json:"deployment"`
	Event      string `json:"event"` // id of the PartEnded
}

// NewestEvent is the newest event of the machine's stream, for the agent's Memory.
type NewestEvent struct {
	Log      string `json:"log"`
	Revision int64  `json:"revision"`
	Event    string `json:"event"`
}
