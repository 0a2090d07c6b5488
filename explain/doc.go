// Package explain says what people are shown: the JSON shapes that scripts rely on, the tables of
// `drover get`, and the answer to `drover why`. Everything is a pure function of a view, of verdicts and of
// recorded events, so the server, the command line and the scenarios print the very same.
package explain
