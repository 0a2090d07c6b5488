package faults

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/internal/harness/harnesstest"
)

// TestShippedProxySendsOneCredentialToOneServer runs HAProxy with packaging/haproxy.cfg, if it is installed, before three
// servers that answer with their number. As a control, requests without a credential reach all servers.
func TestShippedProxySendsOneCredentialToOneServer(t *testing.T) {
	program, err := exec.LookPath("haproxy")
	if err != nil {
		t.Skip("this test needs haproxy")
	}
	text, err := os.ReadFile(filepath.Join("..", "..", "packaging", "haproxy.cfg"))
	require.NoError(t, err)
	address := harnesstest.FreeAddress(t)
	config := strings.Replace(string(text), "bind :7070", "bind "+address, 1)
	for n := 1; n <= 3; n++ {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, n) }))
		t.Cleanup(s.Close)
		config = strings.Replace(config, fmt.Sprintf("server-%d:7070", n), s.Listener.Addr().String(), 1)
	}
	file := filepath.Join(t.TempDir(), "haproxy.cfg")
	require.NoError(t, os.WriteFile(file, []byte(config), 0o600))
	proxy := exec.CommandContext(t.Context(), program, "-db", "-f", file)
	require.NoError(t, proxy.Start())
	t.Cleanup(func() { _ = proxy.Process.Kill(); _ = proxy.Wait() })

	ask := func(credential string) (string, error) {
		r, err := http.NewRequest(http.MethodGet, "http://"+address+"/", nil)
		require.NoError(t, err)
		if credential != "" {
			r.Header.Set("Authorization", "Bearer "+credential)
		}
		answer, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
		if err != nil {
			return "", err
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if answer.StatusCode != http.StatusOK {
			return "", fmt.Errorf("%s: %s", answer.Status, text)
		}
		return string(text), err
	}
	harnesstest.Until(t, "the proxy answers", func() error { _, err := ask(""); return err })
	servers := func(credential string) map[string]bool {
		reached := map[string]bool{}
		for range 12 {
			server, err := ask(credential)
			require.NoError(t, err)
			reached[server] = true
		}
		return reached
	}
	require.Len(t, servers("agent:one"), 1)
	require.Len(t, servers("agent:two"), 1)
	require.Len(t, servers(""), 3)
}
