package access

import (
	"context"
	"strings"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections"
)

// Prove returns the proof that this server knows the token with an id, or the secret of the agent agent:INSTANCE. The
// id may be empty, for a caller who only asks for the server key. address
// is the HOST:PORT at which it received the connection, binding identifies that connection if it uses TLS, and remote is
// the HOST:PORT of the sender. For an unknown token the proof is wrong but looks like any other, so that the answer does
// not reveal which tokens exist. The server key signs each proof.
func (a *Access) Prove(ctx context.Context, id, nonce, address, binding, remote string) client.Proof {
	hash, known := a.tokenHash(id)
	if id != "" && !known && !a.RateLimited(remote) {
		if a.engine.CatchUp(ctx) == nil { // another server may just have created the token
			hash, known = a.tokenHash(id)
		}
		if !known {
			a.RecordFailure(remote)
			a.recordRefusal(remote, "", errBadToken.Detail)
			a.RecordDenial(Caller{Remote: remote, Token: UnknownToken}, "", "GET "+client.ProofPath, errBadToken)
		}
	}
	if !known {
		hash = client.HashSecret(a.unknown + id)
	}
	proof := client.Proof{Address: address, Proof: client.ServerProof(hash, nonce, address), Binding: binding}
	proof.Sign(a.engine.ServerKey(), nonce)
	return proof
}

// tokenHash returns the hash of a token's secret, or of the newest secret of an agent.
func (a *Access) tokenHash(id string) (hash string, known bool) {
	if instance, isAgent := strings.CutPrefix(id, client.AgentPrefix); isAgent {
		return a.agentHash(instance)
	}
	a.engine.Read(func(v *projections.View) {
		if t := v.Tokens[id]; t != nil {
			hash, known = t.Hash, true
		}
	})
	return hash, known
}

func (a *Access) agentHash(text string) (hash string, known bool) {
	instance, err := domain.ParseID(text)
	if err != nil {
		return "", false
	}
	for _, use := range a.Uses(instance) {
		if use.Secret != "" { // else the log has only a verifier
			hash, known = use.Secret, true
		}
	}
	return hash, known
}
