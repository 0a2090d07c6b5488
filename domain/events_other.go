package domain

import "time"

// Facts of environments, policies, tokens, servers and the log itself.
type (
	// EnvironmentDefined begins an environment.
	EnvironmentDefined struct {
		Origin
	}
	// EnvironmentDeleted ends an environment and cancels the deployments there.
	EnvironmentDeleted struct {
		Origin
	}
	// PolicyDefined begins a machine policy or replaces its settings.
	PolicyDefined struct {
		Settings PolicySettings `json:"settings"`
		Origin
	}
	// PolicyDeleted ends a machine policy; machines that name it fall back to the default.
	PolicyDeleted struct {
		Origin
	}
	// TokenCreated makes a token; its text is never written, only its hash.
	TokenCreated struct {
		Settings TokenSettings `json:"settings"`
		Hash     string        `json:"hash"` // SHA-256 of the secret half, hex
		Origin
	}
	// TokenUsed is one use of a join token, and from then on what that agent proves itself with.
	TokenUsed struct {
		Instance ID     `json:"instance"`
		Machine  string `json:"machine"`
		Secret   string `json:"secret"` // SHA-256 of the agent's own secret, hex
	}
	// TokenRevoked ends a token, and the agents that joined with it.
	TokenRevoked struct {
		Origin
	}
	// ServerStarted says that a server began to run with this decision version.
	ServerStarted struct {
		DecisionVersion int    `json:"decisionVersion"`
		Version         string `json:"version"`
		Address         string `json:"address,omitempty"`
	}
	// WatchPassed says that one server ran without a break for Span since Since, and watched.
	WatchPassed struct {
		Since ID       `json:"since"` // the WatchPassed before, or a ServerStarted
		Span  Duration `json:"span"`
	}
	// StreamCleared lets a stream that was set aside go on as if the bad event were not there.
	StreamCleared struct {
		Stream string `json:"stream"`
		Origin
	}
	// LogRestored accepts that this log is a restored one that has lost its newest events.
	LogRestored struct {
		Was ID        `json:"was"` // the log id before; the id of this event is the one from here on
		At  time.Time `json:"at"`
		Origin
	}
)

func (EnvironmentDefined) event() {}
func (EnvironmentDeleted) event() {}
func (PolicyDefined) event()      {}
func (PolicyDeleted) event()      {}
func (TokenCreated) event()       {}
func (TokenUsed) event()          {}
func (TokenRevoked) event()       {}
func (ServerStarted) event()      {}
func (WatchPassed) event()        {}
func (StreamCleared) event()      {}
func (LogRestored) event()        {}
