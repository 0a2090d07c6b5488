package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const run = `{"Action":"run","Test":"TestBackend/sqlite/an_event_is_stored"}
{"Action":"pass","Test":"TestBackend/sqlite/an_event_is_stored"}
{"Action":"run","Test":"TestBackend/memory/an_event_is_stored"}
{"Action":"pass","Test":"TestBackend/memory/an_event_is_stored"}
{"Action":"skip","Test":"TestBackend/memory/a_reopened_log_has_its_events"}
{"Action":"pass","Test":"TestBackend/sqlite/a_reopened_log_has_its_events"}
{"Action":"pass","Test":"TestBackendUnderFaults/sqlite/it_survives_kill_-9"}
{"Action":"pass","Test":"TestBackend/sqlite"}
{"Action":"pass","Test":"TestOther/sqlite/x"}
{"Action":"pass"}
`

func TestTableHasRowPerLawAndColumnPerBackend(t *testing.T) {
	var out strings.Builder
	require.NoError(t, write(&out, strings.NewReader(run)))
	require.Equal(t, `| law | memory | sqlite |
|---|---|---|
| an event is stored | holds | holds |
| a reopened log has its events | does not apply | holds |
| it survives kill -9 |  | holds |
`, out.String())
}

func TestBrokenLawIsAnError(t *testing.T) {
	var out strings.Builder
	err := write(&out, strings.NewReader(run+`{"Action":"fail","Test":"TestBackend/memory/an_event_is_stored"}`))
	require.EqualError(t, err, "1 laws are broken, the first is memory: an event is stored")
	require.Contains(t, out.String(), "| an event is stored | **broken** | holds |")
}

func TestRunWithoutLawsIsAnError(t *testing.T) {
	require.ErrorContains(t, write(&strings.Builder{}, strings.NewReader("")), "no law was run")
	require.ErrorContains(t, write(&strings.Builder{}, strings.NewReader("ok  \tx")),
		"read the output of go test -json")
}
