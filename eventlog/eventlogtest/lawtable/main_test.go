package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const run = `{"Action":"run","Test":"TestBackend/sqlite/an_event_is_kept"}
{"Action":"pass","Test":"TestBackend/sqlite/an_event_is_kept"}
{"Action":"run","Test":"TestBackend/memory/an_event_is_kept"}
{"Action":"pass","Test":"TestBackend/memory/an_event_is_kept"}
{"Action":"skip","Test":"TestBackend/memory/a_log_opened_again_has_its_events"}
{"Action":"pass","Test":"TestBackend/sqlite/a_log_opened_again_has_its_events"}
{"Action":"pass","Test":"TestBackendOnBadDays/sqlite/it_survives_kill_-9"}
{"Action":"pass","Test":"TestBackend/sqlite"}
{"Action":"pass","Test":"TestOther/sqlite/x"}
{"Action":"pass"}
`

func TestTheTableHasARowForEachLawAndAColumnForEachBackend(t *testing.T) {
	var out strings.Builder
	require.NoError(t, write(&out, strings.NewReader(run)))
	require.Equal(t, `| law | memory | sqlite |
|---|---|---|
| an event is kept | holds | holds |
| a log opened again has its events | does not apply | holds |
| it survives kill -9 |  | holds |
`, out.String())
}

func TestABrokenLawIsAnError(t *testing.T) {
	var out strings.Builder
	err := write(&out, strings.NewReader(run+`{"Action":"fail","Test":"TestBackend/memory/an_event_is_kept"}`))
	require.EqualError(t, err, "1 laws are broken, the first is memory: an event is kept")
	require.Contains(t, out.String(), "| an event is kept | **broken** | holds |")
}

func TestAnEmptyRunIsAnError(t *testing.T) {
	require.ErrorContains(t, write(&strings.Builder{}, strings.NewReader("")), "no law was run")
	require.ErrorContains(t, write(&strings.Builder{}, strings.NewReader("ok  \tx")), "read the output of go test -json")
}
