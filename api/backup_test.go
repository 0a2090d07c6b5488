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

func TestBackupOfALogThatIsNotAFileIsRefusedWithAHint(t *testing.T) {
	f := newFixture(t)
	var out bytes.Buffer
	admin := f.as(f.token(domain.TokenSettings{Scope: domain.AdminScope}))
	err := admin.Download(t.Context(), "/log/backup", &out)
	require.Equal(t, client.Invalid, client.KindOf(err))
	require.ErrorContains(t, err, "the log of this server is not a file")
	require.ErrorContains(t, err, "use the database's own tools")
	require.Zero(t, out.Len())
	reader := f.as(f.token(domain.TokenSettings{Scope: domain.ReadScope}))
	require.Equal(t, client.Forbidden, client.KindOf(reader.Download(t.Context(), "/log/backup", &out)))
}

// endless is a copy whose content never ends.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// once calls act at the first write.
type once func()

func (act once) Write(p []byte) (int, error) {
	act()
	return len(p), nil
}

func TestRevokedTokenEndsItsBackupDownload(t *testing.T) {
	f := newFixture(t)
	closed := make(chan struct{})
	config := f.config
	config.Backup = func(context.Context) (*api.Copy, error) {
		return &api.Copy{Reader: endless{}, Size: 1 << 50, Close: func() error { close(closed); return nil }}, nil
	}
	server := httptest.NewServer(api.New(config).Handler())
	defer server.Close()
	text := f.token(domain.TokenSettings{Scope: domain.AdminScope})
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	reader := &client.Client{Servers: []string{server.URL}, Token: text}
	err := reader.Download(ctx, "/log/backup", once(sync.OnceFunc(func() {
		f.do(domain.RevokeToken{ID: strings.Split(text, ".")[0]})
	})))
	require.Equal(t, client.Unavailable, client.KindOf(err), "%v", err)
	require.ErrorContains(t, err, "cut off")
	<-closed
}
