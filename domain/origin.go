package domain

// Origin says who asked for something. Commands carry it, and the events that they lead to record it.
type Origin struct {
	// By is the origin in words, such as "token 0123456789ab"; empty where nobody asked.
	By string `json:"by,omitempty"`
	// Actor is the same as an object. Events from before there were actors have none.
	Actor Actor `json:"actor,omitzero"`
}

// By is an origin that is known by its words alone.
func By(words string) Origin { return Origin{By: words} }

// Actor identifies who asked. Its ids are opaque: what a person is called is stored beside the log, where it can be
// erased, and never in an event.
type Actor struct {
	Kind ActorKind `json:"kind"`
	// ID is the person's, the token's, the agent's instance or the server's.
	ID string `json:"id,omitempty"`
	// Via is the way by which the request came; empty where the actor is a part of drover.
	Via Via `json:"via,omitempty"`
	// Token is the id of the token that the request carried; empty for none.
	Token string `json:"token,omitempty"`
}

// ActorKind says what an actor is.
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

// Via is the channel by which a request came: the command line, another API client or a web page.
type Via string

// The ways by which requests come.
const (
	ViaCLI Via = "cli"
	ViaAPI Via = "api"
	ViaWeb Via = "web"
)

// AgentOrigin is the origin of what an agent asks for itself.
func AgentOrigin(instance ID) Origin {
	return Origin{By: "agent", Actor: Actor{Kind: AgentActor, ID: instance.String()}}
}

// ServerOrigin is the origin of what a server asks for by itself. words name the role in which it asks.
func ServerOrigin(words string, server ID) Origin {
	return Origin{By: words, Actor: Actor{Kind: ServerActor, ID: server.String()}}
}
