package api_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
)

func TestReadersNeverSeeHashes(t *testing.T) {
	f := newFixture(t)
	f.shop()
	receive(f.dial(hello("web-01", f.join(1))), welcome)
	reader := f.token(domain.TokenSettings{Scope: domain.ReadScope})
	var hashes []string
	for rec, err := range f.log.ReadAll(t.Context(), 0, 0) {
		require.NoError(t, err)
		fact, err := domain.Decode(rec.Type, rec.Data)
		require.NoError(t, err)
		switch e := fact.(type) {
		case domain.TokenCreated:
			hashes = append(hashes, e.Hash)
			if e.Settings.Join {
				hashes = append(hashes, e.Verifier)
			}
		case domain.TokenUsed:
			hashes = append(hashes, e.Verifier)
		}
	}
	require.Len(t, hashes, 5)
	for _, path := range []string{"/events?limit=5000", "/tokens", "/machines", "/machines/web-01", "/why?machine=web-01",
		"/servers", "/log/verify"} {
		r, err := http.NewRequest(http.MethodGet, f.server.URL+"/api/v1"+path, nil)
		require.NoError(t, err)
		r.Header.Set("Authorization", "Bearer "+reader)
		answer := f.raw(r)
		require.Equal(t, 200, answer.StatusCode, path)
		text, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		for _, hash := range hashes {
			require.NotContains(t, string(text), hash, path)
		}
		require.NotContains(t, string(text), strings.Repeat("5e", 32), path)
	}
}
