// Package config knows where drover keeps its files on a machine and what stands in them.
//
//	folders.go   the data folder, the folder of the client's files
//	file.go      the config file: YAML, one key for each flag, unknown keys refused with their place
//	fill.go      flags that were not given get their value from DROVER_FLAG, else from the config file
//	contexts.go  the client's contexts: for each log the servers' addresses and a token
//
// It decides the order in which a setting is looked for: flag, environment, config file, default. It
// promises that a wrong value is told with the place where it stands, and that the contexts, which
// hold tokens, are readable for their owner alone and are never seen half written, however many
// programs write them at once.
package config
