// Package quarantine renames damaged files, so that a program can continue without them and an operator can examine
// them.
package quarantine
