package memory_test

import (
	"testing"

	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/eventlogtest"
	"github.com/droverhq/drover/eventlog/memory"
)

func TestBackend(t *testing.T) {
	eventlogtest.Exercise(t, eventlogtest.Backend{
		Name: "memory",
		Open: func(testing.TB) eventlog.Backend { return memory.New() },
	})
}
