//go:build !linux && !darwin

package sqlite

import "errors"

// freeIn is how many bytes may still be written in folder.
var freeIn = func(string) (uint64, error) { return 0, errors.ErrUnsupported }
