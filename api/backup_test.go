package api_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
)

func TestALogThatIsNoFileSaysWithWhatItIsBackedUp(t *testing.T) {
	y := newYard(t)
	var out bytes.Buffer
	admin := y.as(y.token(domain.TokenSettings{Scope: domain.AdminScope}))
	err := admin.Download(t.Context(), "/log/backup", &out)
	require.Equal(t, client.Invalid, client.KindOf(err))
	require.ErrorContains(t, err, "the log of this server is no file")
	require.ErrorContains(t, err, "use the database's own tools")
	require.Zero(t, out.Len())
	reader := y.as(y.token(domain.TokenSettings{Scope: domain.ReadScope}))
	require.Equal(t, client.Forbidden, client.KindOf(reader.Download(t.Context(), "/log/backup", &out)))
}
