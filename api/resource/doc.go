// Package resource reads and writes the resources that people keep in files: the kinds Environment, MachinePolicy,
// Project, Trigger and Machine of apiVersion drover.dev/v1, as YAML or JSON.
//
//	kinds.go     one struct per kind: its keys, its command, its checks
//	document.go  one document and its command       decode.go  converts a parsed document into a Document
//	read.go      files, folders and stdin           check.go   references between documents and to the world
//	outline.go   a document as a list of keys       write.go   a document as YAML
//	diff.go      the differences between two documents
//	strictyaml   decodes YAML and JSON into structs, and reports the location of every problem
//
// The structs of kinds.go are the only description of the keys. Decoding, writing and comparing use their fields by
// reflection. Package domain defines which values are valid. Decoding checks each key separately, in an otherwise valid
// document, so that every problem is reported at its own location.
//
// # Promises
//
// No input makes the package panic or use memory out of proportion. Reading reports up to MaxProblems problems of all
// documents, and then returns no document. Read returns what Write wrote unchanged.
package resource
