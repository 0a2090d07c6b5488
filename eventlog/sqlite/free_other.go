//go:build !linux && !darwin

package sqlite

import "errors"

// freeIn returns the number of bytes that can be written in folder.
var freeIn = func(string) (uint64, error) { return 0, errors.ErrUnsupported }
