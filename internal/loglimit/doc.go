// Package loglimit bounds how many lines somebody can cause in a log. Each cause, such as a machine or a network, has
// its own limit, so that a flood of lines from one hides nothing about another. The next line after a pause states
// how many were left out. A Lines is safe for concurrent use.
package loglimit
