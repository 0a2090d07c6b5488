// Package memory keeps a log in memory: the reference that the other backends are
// compared with, and what scenarios and simulations run on.
//
// It relies on nothing but the shared rules of package eventlog, and is deterministic:
// it reads no clock, draws no random number, and numbers positions 1, 2, 3 and so on.
// It promises every law of the log except those about crashes: what it holds ends with
// the process.
//
// A read holds no lock while its consumer works, and yields the events themselves, not
// copies: a consumer must not change their data or causes.
package memory
