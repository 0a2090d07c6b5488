//go:build !linux

package faults

import (
	"errors"
	"testing"

	"github.com/droverhq/drover/eventlog/postgres/postgrestest"
)

func smallDisk(t *testing.T) string {
	t.Helper()
	postgrestest.SkipOrFail(t, "a disk in memory", errors.New("only supported on Linux"))
	return ""
}

func fill(string) (empty func()) { return func() {} }
