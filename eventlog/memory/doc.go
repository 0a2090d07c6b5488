// Package memory stores a log in memory. It is the reference for the other backends; scenarios and simulations use it.
//
// It is deterministic: it reads no clock, uses no random numbers, and assigns the positions 1, 2, 3 and so on. It
// fulfils the contract of package eventlog except durability: its content is lost when the process ends.
//
// A read holds no lock while its consumer works. It yields the stored events, not copies: a consumer must not change
// their data or causes.
//
//	log.go    the log
//	store.go  the items beside the log
package memory
