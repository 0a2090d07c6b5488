package client

import "github.com/droverhq/drover/domain"

// The protocol between agent and server: one WebSocket at AgentPath, JSON text messages, each an
// envelope with exactly one field set. The agent speaks first (Hello); the server answers Welcome or
// Refused. Every message that changes something is safe to send twice.

// AgentPath is where an agent opens its WebSocket.
const AgentPath = "/api/v1/agent"

// MaxMessageBytes bounds one message in both directions.
const MaxMessageBytes = 8 << 20

// FromAgent is one message of an agent; exactly one field is set.
type FromAgent struct {
	Hello     *Hello      `json:"hello,omitempty"`
	Heartbeat *Heartbeat  `json:"heartbeat,omitempty"`
	Health    *Health     `json:"health,omitempty"`
	Claim     *Claim      `json:"claim,omitempty"`
	Output    *Output     `json:"output,omitempty"`
	End       *End        `json:"end,omitempty"`
	Answer    *PartAnswer `json:"answer,omitempty"`
	Goodbye   *Goodbye    `json:"goodbye,omitempty"`
}

// ToAgent is one message of a server; exactly one field is set.
type ToAgent struct {
	Welcome  *Welcome  `json:"welcome,omitempty"`
	Refused  *Refused  `json:"refused,omitempty"`
	Settings *Settings `json:"settings,omitempty"`
	Offer    *Work     `json:"offer,omitempty"`
	Claimed  *Claimed  `json:"claimed,omitempty"`
	Ended    *Ended    `json:"ended,omitempty"`
	Told     *Told     `json:"told,omitempty"`
}

// Hello opens a session.
type Hello struct {
	Machine  string `json:"machine"`
	Instance string `json:"instance"` // UUID made before the first join, kept in --data
	Secret   string `json:"secret"`   // 64 hex digits, kept in --data; only its hash reaches the log
	Session  string `json:"session"`  // UUID, new for each run of the agent, the same over reconnects
	// Join is the join token; needed until this instance has joined once, ignored afterwards.
	Join        string   `json:"join,omitempty"`
	Environment string   `json:"environment,omitempty"`
	Roles       []string `json:"roles,omitempty"`
	Version     string   `json:"version"`
	// Memory is what the agent remembers of the log; nil before its first welcome.
	Memory *Memory `json:"memory,omitempty"`
}

// Memory is what an agent remembers of the log it was last connected to (design: restore).
type Memory struct {
	Log      string `json:"log"`      // log id
	Made     string `json:"made"`     // the id that this log was made with
	Machine  string `json:"machine"`  // what the agent went by then; as another machine it knows nothing of the log
	Revision int64  `json:"revision"` // of the last event it was told of in its machine's stream
	Event    string `json:"event"`    // that event's id
	// Successes maps a project to the id of the PartEnded of its last success here.
	Successes map[string]string `json:"successes,omitempty"`
	// Deployments maps a project to the deployment that this success was a part of.
	Deployments map[string]string `json:"deployments,omitempty"`
}

// Heartbeat says that the session lives.
type Heartbeat struct{}

// Health is the result of the policy's health check, sent when it changed and after each welcome.
type Health struct {
	Status domain.Health `json:"status"`           // healthy, warning or unhealthy
	Detail string        `json:"detail,omitempty"` // last line of the check's output, at most 500 bytes
}

// Claim asks to start a part; the agent has written its journal before.
type Claim struct {
	Deployment string `json:"deployment"`
}

// Output is a piece of a part's output.
type Output struct {
	Deployment string `json:"deployment"`
	Sequence   int64  `json:"sequence"` // from 1 for each part
	Data       []byte `json:"data"`     // at most 64 KiB, masked
}

// End reports how a claimed part ended. It is repeated until Ended answers it.
type End struct {
	Deployment string            `json:"deployment"`
	State      domain.PartState  `json:"state"`            // succeeded or failed
	Reason     domain.PartReason `json:"reason,omitempty"` // one of the agent's, such as domain.StepFailed
	Step       string            `json:"step,omitempty"`
	ExitCode   int               `json:"exitCode,omitempty"`
	Detail     string            `json:"detail,omitempty"` // one sentence, at most 500 bytes, masked
}

// PartAnswer answers one of Welcome.Unfinished that the agent is still running; a part that ended is answered with End.
type PartAnswer struct {
	Deployment string `json:"deployment"`
	Running    bool   `json:"running"`
}

// Goodbye ends the session in order; the server says offline at once. Delete asks to delete the machine (--ephemeral).
type Goodbye struct {
	Delete bool `json:"delete,omitempty"`
}

// Welcome accepts a session.
type Welcome struct {
	Log      string   `json:"log"`    // log id
	Made     string   `json:"made"`   // the id that the log was made with; Log is another one after each restore
	Server   string   `json:"server"` // server id
	Settings Settings `json:"settings"`
	// Unfinished are the deployments whose part on this machine is claimed and has no end.
	Unfinished []Unfinished `json:"unfinished"`
	// Warnings are sentences for the agent's log, e.g. that its flags differ from the Machine in the log.
	Warnings []string `json:"warnings,omitempty"`
}

// Unfinished names a part that the log calls claimed and not ended.
type Unfinished struct {
	Deployment string `json:"deployment"`
	Project    string `json:"project"`
	Session    string `json:"session"` // that claimed it
}

// Refused ends the connection.
type Refused struct {
	Reason string `json:"reason"` // one sentence
	// Final says that trying again cannot help (a revoked token): the agent exits.
	Final bool `json:"final"`
	// Server, if set, is the URL of the server that holds the other session of this instance.
	Server string `json:"server,omitempty"`
}

// Settings are what the machine's policy asks of the agent; sent again when they change.
type Settings struct {
	HeartbeatEvery domain.Duration     `json:"heartbeatEvery"`
	OfflineAfter   domain.Duration     `json:"offlineAfter"`
	HealthCheck    *domain.HealthCheck `json:"healthCheck,omitempty"`
}

// Work is a released part, offered to its machine, with all that is needed to run it.
type Work struct {
	Deployment      string            `json:"deployment"`
	Project         string            `json:"project"`
	Environment     string            `json:"environment"`
	Machine         string            `json:"machine"`
	Release         string            `json:"release"`
	PreviousRelease string            `json:"previousRelease,omitempty"` // actual before this part
	Cause           string            `json:"cause"`                     // person, trigger or sweep
	Steps           []domain.Step     `json:"steps"`
	Variables       map[string]string `json:"variables,omitempty"`
	Secrets         []string          `json:"secrets,omitempty"` // names, looked up on the machine
}

// Claimed answers a Claim. Only if Counts may the agent start.
type Claimed struct {
	Deployment string `json:"deployment"`
	Counts     bool   `json:"counts"`
	Reason     string `json:"reason,omitempty"`
}

// Ended confirms that an End is in the log; the agent may forget its journal entry after it.
type Ended struct {
	Deployment string `json:"deployment"`
	Event      string `json:"event"` // id of the PartEnded
}

// Told gives the agent a new newest event of its machine's stream to remember.
type Told struct {
	Log      string `json:"log"`
	Revision int64  `json:"revision"`
	Event    string `json:"event"`
}
