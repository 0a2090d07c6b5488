package domain

// Origin identifies the caller of a command. The events of the command record it.
type Origin struct {
	// By is the origin as text, such as "token 0123456789ab"; empty for the decisions of a server.
	By string `json:"by,omitempty"`
	// Actor is the origin as an object. It is zero in events that were written before actors existed.
	Actor Actor `json:"actor,omitzero"`
}

// By returns an origin without an actor.
func By(text string) Origin { return Origin{By: text} }

// Actor identifies a caller by opaque ids. Names of people are stored beside the log, where they can be erased, and
// never in an event.
type Actor struct {
	Kind ActorKind `json:"kind"`
	// ID is the id of the person, token or server, or the instance of the agent.
	ID string `json:"id,omitempty"`
	// Via is the channel of the request; empty if the actor is a component of drover.
	Via Via `json:"via,omitempty"`
	// Token is the id of the token in the request; empty without a token. TokenName is the name that it has; empty for a
	// token without a name.
	Token     string `json:"token,omitempty"`
	TokenName string `json:"tokenName,omitempty"`
}

// Sender returns the actor. Commands inherit it from their origin.
func (o Origin) Sender() Actor { return o.Actor }

// ActorKind is the kind of an actor.
type ActorKind string

// The kinds of actors.
const (
	PersonActor   ActorKind = "person"
	TokenActor    ActorKind = "token" // a token that belongs to no person
	CIActor       ActorKind = "ci"
	AgentActor    ActorKind = "agent"
	ServerActor   ActorKind = "server"
	PipelineActor ActorKind = "pipeline"
)

// Via is the channel of a request: the command line, another API client or a web page.
type Via string

// The channels of requests.
const (
	ViaCLI Via = "cli"
	ViaAPI Via = "api"
	ViaWeb Via = "web"
)

// AgentOrigin returns the origin of an agent's commands.
func AgentOrigin(instance ID) Origin {
	return Origin{By: "agent", Actor: Actor{Kind: AgentActor, ID: instance.String()}}
}

// ServerOrigin returns the origin of a server's own commands. by is the text of the origin.
func ServerOrigin(by string, server ID) Origin {
	return Origin{By: by, Actor: Actor{Kind: ServerActor, ID: server.String()}}
}
