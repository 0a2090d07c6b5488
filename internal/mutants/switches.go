package main

import (
	_ "embed"
	"strings"
)

//go:embed switches.txt
var switches string

// switchesFile is the name of the file with the switches in each mutated package.
const switchesFile = "zz_mutants.go"

// switchesOf returns the functions that mutated code of the package calls.
func switchesOf(p *pkg) []byte {
	return []byte(strings.Replace(switches, "package PACKAGE", "package "+p.name, 1))
}
