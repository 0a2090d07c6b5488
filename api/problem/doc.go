// Package problem defines the errors of drover's API: a kind, one sentence and a hint.
//
// Packages access, agents and query return problems, and package api writes them as HTTP responses (RFC 9457). The
// function Of converts errors of other packages to problems. Package api/client defines the JSON of a problem, and the
// kinds with the HTTP status of each.
package problem
