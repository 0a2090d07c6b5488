// Package layout holds the shape of the source tree: who may import whom, and that every package says
// what it is for. It has no code, only tests; each refusal says its reason.
package layout
