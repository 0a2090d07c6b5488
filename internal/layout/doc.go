// Package layout tests the structure of the source tree: which packages may import which, that every package has a
// doc.go, the lengths of functions and files, and that the tests named in SECURITY.md exist. It has no code but tests.
package layout
