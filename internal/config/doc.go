// Package config reads and writes drover's own files on a machine.
//
//	folders.go   the data folder and the client's folder
//	file.go      the config file: YAML with one key for each flag
//	fill.go      flags from environment variables and the config file
//	contexts.go  the client's contexts: the servers' addresses, their key and a token for each log
//	address.go   whether two addresses name the same server
//	unknown.go   fields of the contexts that this version does not know
//
// The value of a setting comes from the first of these that has it: its flag, the environment variable DROVER_FLAG, the
// config file, its default. Invalid settings are reported with their location.
//
// The contexts contain tokens, so only their owner may read them. Any number of programs may change them at once:
// readers never see a half-written file.
package config
