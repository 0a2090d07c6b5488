package api_test

import (
	"bytes"
	"context"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/api"
	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
)

func TestALogThatIsNoFileSaysWithWhatItIsBackedUp(t *testing.T) {
	y := newYard(t)
	var out bytes.Buffer
	admin := y.as(y.token(domain.TokenSettings{Scope: domain.AdminScope}))
	err := admin.Download(t.Context(), "/log/backup", &out)
	require.Equal(t, client.Invalid, client.KindOf(err))
	require.ErrorContains(t, err, "the log of this server is not a file")
	require.ErrorContains(t, err, "use the database's own tools")
	require.Zero(t, out.Len())
	reader := y.as(y.token(domain.TokenSettings{Scope: domain.ReadScope}))
	require.Equal(t, client.Forbidden, client.KindOf(reader.Download(t.Context(), "/log/backup", &out)))
}

// endless is a copy that has no end.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// once calls act at the first write.
type once func()

func (act once) Write(p []byte) (int, error) {
	act()
	return len(p), nil
}

func TestARevokedTokenEndsTheBackupThatItsBearerTakes(t *testing.T) {
	y := newYard(t)
	closed := make(chan struct{})
	config := y.config
	config.Backup = func(context.Context) (*api.Copy, error) {
		return &api.Copy{Reader: endless{}, Size: 1 << 50, Close: func() error { close(closed); return nil }}, nil
	}
	door := httptest.NewServer(api.New(config).Handler())
	defer door.Close()
	text := y.token(domain.TokenSettings{Scope: domain.AdminScope})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	reader := &client.Client{Servers: []string{door.URL}, Token: text}
	err := reader.Download(ctx, "/log/backup", once(sync.OnceFunc(func() {
		y.do(domain.RevokeToken{ID: strings.Split(text, ".")[0]})
	})))
	require.Equal(t, client.Unavailable, client.KindOf(err), "%v", err)
	require.ErrorContains(t, err, "cut off")
	<-closed
}
