// Package resource reads and writes the things that people keep in files: the kinds Environment,
// MachinePolicy, Project, Trigger and Machine of apiVersion drover.dev/v1, as YAML or JSON.
//
// # The way of a file
//
//	source.go   text: size, encoding, line ends      yaml.go, json.go   text to tree.go's values with places
//	decode.go   a value into a Go value              kinds.go           the keys of each kind
//	read.go     files, folders and stdin             document.go        one document and its command
//	problem.go  a sentence, its place and a caret    check.go           all documents against each other and the world
//	outline.go  a document as keys in their order    write.go, diff.go  the way back, and what differs
//
// # What it decides
//
// Which keys there are and what a key that was left out means; the bounds of what keys hold are
// package domain's, asked for each key so that every problem is told at its own place. A key with
// nothing after it is left out. Text may be written without quotes even where it looks like a
// number: it is taken letter by letter, so 1.10 stays 1.10.
//
// # Promises
//
// No input makes it panic or use memory out of proportion: input, documents, nesting and what
// aliases expand to are bounded. Reading tells up to MaxProblems problems of all documents, not only
// the first, and then returns no document. What Write wrote, Read reads as the same.
package resource
