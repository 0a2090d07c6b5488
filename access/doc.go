// Package access says who the caller of a request is and what that caller may do.
//
//	access.go    Access: proofs by a token or by an agent's own secret
//	caller.go    Caller: what a proven caller may do
//	tokens.go    settings of a new token and their defaults
//	failures.go  how fast one address may fail to prove itself
//	refusals.go  who was refused again and again, for `drover doctor`
//	people.go    what persons are called, which is stored beside the log
//
// It reads tokens from the engine's fold, and writes nothing but the names of people. Secrets are compared by their hash in constant time, and a
// token that does not exist takes as long as a wrong one. An agent's own secret is good for its own machine alone. What
// is refused says nothing about which tokens exist.
//
// Errors are of package api/problem. Its locks, those of failures, of refusals and of people, are leaves: nothing else is locked and
// no store is read while one of them is held.
package access
