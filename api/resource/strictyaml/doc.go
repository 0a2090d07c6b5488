// Package strictyaml reads YAML and JSON into Go structs, and reports every unknown key, duplicate key and wrong type
// with its file, line and column.
//
//	source.go    text: size, encoding, line ends    split.go    splits text into documents
//	tree.go      the values of a document           yaml.go     converts a parsed document into values
//	decode.go    decodes a mapping into a struct    scalar.go   text, numbers, durations, percentages
//	problem.go   a problem and its location         nearest.go  the known word that is most similar to another
//
// Package github.com/goccy/go-yaml parses the text and provides the locations. Its own strict decoder stops at the
// first problem, in random order, so this package fills structs itself, by reflection.
//
// Scalars keep the text that was written: 1.10 read into a string is "1.10". A key with nothing after it counts as
// absent.
//
// Input, documents, nesting and expanded aliases are bounded. No input makes the package panic or use memory out of
// proportion.
package strictyaml
