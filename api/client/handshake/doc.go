// Package handshake contains the messages by which an agent and a server prove to each other who they are, before the
// server sends work and without the agent sending its secret. It implements SCRAM-SHA-256 (RFC 5802, RFC 7677) with the
// channel binding tls-exporter (RFC 9266) on top of github.com/xdg-go/scram. It only reads on which machine it runs (host.go).
//
//	agent                                              server
//	  │ ── request of the WebSocket: Header ────────────▶ │  client-first: name, nonce, binding, dialled address
//	  │ ◀──────────── answer 101: Header, KnownHeader ─── │  server-first: both nonces
//	  │ ── Hello{Proof} ────────────────────────────────▶ │  client-final: the agent knows the secret
//	  │ ◀─────────────────────────── Welcome{Proof} ───── │  server-final: the server knows the verifier
//
// No message adds a round trip. None of them reveals a secret: secrets have 256 random bits, so nobody can
// guess one from a proof. The agent uses nothing of a welcome before it has checked its proof.
//
// # Names and verifiers
//
// An agent authenticates as AgentName(instance), a joining agent as JoinName(id of the token). The log contains a
// verifier of the secret, as described in RFC 5803: the salt, the iteration count, StoredKey and ServerKey. With
// a verifier one can pose as the server, but not as the agent.
//
// The salt derives from the name, and the iteration count is fixed. A salt and many iterations protect passwords that
// people choose against dictionaries; for random secrets they add nothing. In return, a server answers a client-first
// without looking the name up, the answer is the same on every server whether or not the name is known, and an agent
// refuses any other salt or count.
//
// # Hashes
//
// A log that an earlier version wrote contains only the SHA-256 of a secret. The server then proves in its first answer
// that it knows this hash (Known), and the agent sends the secret afterwards. The hash must not suffice to act as the
// agent, because everyone who can read the log has it.
//
// # What is in between
//
// With TLS, both proofs cover the keys of this TLS connection, so that nobody can pass them on. If a proxy ends TLS, the
// server refuses the binding; the agent then says that it would have used one (flag y). A server that has TLS refuses
// this flag, so a program in between cannot make an agent give up the binding. Without TLS, the agent names the loopback
// address that it dialled, its own end of the connection and its machine. The server refuses a connection that it received
// at another address, from another one, or from another machine: a tunnel can use the same port there.
package handshake
