// Package layout tests the structure of the source tree: which packages may import which, that every package has a
// doc.go, the lengths of functions and files, that the tests named in SECURITY.md exist, and that no text contains a
// banned phrase. The package contains only tests.
package layout
