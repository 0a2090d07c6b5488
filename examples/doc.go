// Package examples embeds the example files that the program itself uses.
package examples

import _ "embed"

// Demo is the content of demo/site.yaml, the resources of `drover demo`.
//
//go:embed demo/site.yaml
var Demo string
