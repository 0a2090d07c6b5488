// Package examples carries the example files that the program itself uses, so that a drover without a
// checkout beside it has them too.
package examples

import _ "embed" // the files below

// Demo is demo/site.yaml, the project of `drover demo`.
//
//go:embed demo/site.yaml
var Demo string
