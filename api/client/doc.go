// Package client is the outside view of drover's doors: the JSON shapes that scripts
// rely on, the messages between agent and server, and a small HTTP client for both.
// It imports nothing else of drover, so any Go program can use it.
package client
