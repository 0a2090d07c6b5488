// Package access says who the caller of a request is and what that caller may do.
//
//	access.go    Access: proofs by a token or by an agent's own secret
//	caller.go    Caller: what a proven caller may do
//	tokens.go    settings of a new token and their defaults
//	people.go    People: the names of people, stored beside the log
//	failures.go  how fast one address may fail to prove itself
//	refusals.go  who was refused again and again, for `drover doctor`
//
// It reads tokens from the engine's fold and appends nothing to the log; People writes to the store beside it. Secrets are
// compared by their hash in constant time, and an unknown token takes as long as a wrong secret. An agent's own secret is
// valid for its own machine alone. A refusal does not reveal which tokens exist.
//
// Errors are of package api/problem, or those of the store. Its locks, those of failures, of refusals and of people, are
// leaves: nothing else is locked and no store is read while one of them is held.
package access
