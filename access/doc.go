// Package access authenticates the callers of requests and checks their permissions.
//
//	access.go    Access: authenticates tokens and the secrets of agents
//	caller.go    Caller: the permissions of an authenticated caller
//	tokens.go    TokenRequest: the settings of a new token, their defaults and limits
//	people.go    People: the names of people, stored beside the log
//	proof.go     Prove: a server proves that it knows a token
//	failures.go  limits the rate of failed authentications per address
//	refusals.go  records refused callers for `drover doctor`
//	uses.go      when tokens were last used, stored beside the log
//	audit.go     Entry, Log: what the access log records; counts of denials
//
// The package reads tokens from the engine's view and appends nothing to the log. People and StoreUses write to the
// store beside the log. Secrets are compared by their hashes in constant time, and the check of an unknown token takes as
// long as that of a wrong secret. The secret of an agent is valid only for its own machine. Errors do not reveal which
// tokens exist.
//
// Errors are of type *problem.Problem or come from the store. The package has four locks, in failures, refusals, uses
// and People. While one of them is held, no other lock is acquired and the store is not read.
package access
