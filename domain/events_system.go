package domain

import "time"

// Events of environments, policies, tokens, servers and the log itself.
type (
	// EnvironmentDefined creates an environment.
	EnvironmentDefined struct {
		Origin
	}
	// EnvironmentDeleted deletes an environment and cancels its deployments.
	EnvironmentDeleted struct {
		Origin
	}
	// PolicyDefined creates a machine policy or replaces its settings.
	PolicyDefined struct {
		Settings PolicySettings `json:"settings"`
		Origin
	}
	// PolicyDeleted deletes a machine policy. Machines that name it use the default policy.
	PolicyDeleted struct {
		Origin
	}
	// TokenCreated creates a token. The log contains only a hash of its secret, and for a join token a verifier.
	TokenCreated struct {
		Settings TokenSettings `json:"settings"`
		Hash     string        `json:"hash"`               // SHA-256 of the secret half, hex
		Verifier string        `json:"verifier,omitempty"` // as in RFC 5803; earlier versions of drover wrote none
		Origin
	}
	// TokenUsed records one use of a join token. From then on the agent authenticates with its own secret. An agent that
	// proves its secret has a Verifier, any other agent the hash of the secret.
	TokenUsed struct {
		Instance ID     `json:"instance"`
		Machine  string `json:"machine"`
		Secret   string `json:"secret,omitempty"`   // SHA-256 of the agent's own secret, hex
		Verifier string `json:"verifier,omitempty"` // of the agent's own secret, as in RFC 5803
	}
	// VerifierRegistered adds a verifier to the hash of an agent's secret. From then on the agent proves that it knows the
	// secret and does not send it.
	VerifierRegistered struct {
		Instance ID     `json:"instance"`
		Verifier string `json:"verifier"` // as in RFC 5803
	}
	// TokenRevoked revokes a token and the secrets of the agents that joined with it.
	TokenRevoked struct {
		Origin
	}
	// ServerKeyCreated creates the key by which the servers of this log prove themselves, or replaces it. Its stream is
	// one of tokens, whose secrets no server shows, not even one of an older version.
	ServerKeyCreated struct {
		Public string `json:"public"` // as package serverkey writes it
		Secret string `json:"secret"` // the private half, base64
		Origin
	}
	// AccessDefined creates an Access or replaces its settings.
	AccessDefined struct {
		Settings AccessSettings `json:"settings"`
		Origin
	}
	// AccessDeleted deletes an Access.
	AccessDeleted struct {
		Origin
	}
	// ServerStarted means that a server started with this decision version.
	ServerStarted struct {
		DecisionVersion int    `json:"decisionVersion"`
		Version         string `json:"version"`
		Address         string `json:"address,omitempty"`
	}
	// WatchPassed means that one server watched the machines without interruption for Span after the event Since.
	WatchPassed struct {
		Since ID       `json:"since"` // the previous WatchPassed, or a ServerStarted
		Span  Duration `json:"span"`
	}
	// StreamCleared makes a stream that was set aside continue without the event that could not be folded.
	StreamCleared struct {
		Stream string `json:"stream"`
		Origin
	}
	// LogRestored accepts that this log was restored from a backup and has lost its newest events.
	LogRestored struct {
		Was ID        `json:"was"` // the previous log id; the id of this event is the new log id
		At  time.Time `json:"at"`
		// Except are machines whose memory of the lost events is not accepted: they stay doubted.
		Except []string `json:"except,omitempty"`
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
func (ServerKeyCreated) event()   {}
func (VerifierRegistered) event() {}
func (AccessDefined) event()      {}
func (AccessDeleted) event()      {}
func (ServerStarted) event()      {}
func (WatchPassed) event()        {}
func (StreamCleared) event()      {}
func (LogRestored) event()        {}
