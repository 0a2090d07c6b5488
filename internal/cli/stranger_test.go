package cli_test

import (
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// stranger listens on a port that a server has left. It records the start of each connection, answers, and closes it.
type stranger struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *stranger) received() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func (s *stranger) serve(listener net.Listener, answer string) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			part := make([]byte, 64<<10)
			n, _ := conn.Read(part)
			s.mu.Lock()
			s.text.Write(part[:n])
			s.mu.Unlock()
			_, _ = io.WriteString(conn, answer)
		}()
	}
}

func TestCommandsSendNoTokenToAnotherProgramOnTheServersPort(t *testing.T) {
	t.Parallel()
	const forged = `{"address":"$ADDRESS","proof":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}`
	for name, answer := range map[string]string{
		"no answer": "", "not HTTP": "hello\r\n",
		"forged proof": "HTTP/1.1 200 OK\r\nContent-Length: $LENGTH\r\n\r\n" + forged,
		"redirect":     "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://$ADDRESS/\r\nContent-Length: 0\r\n\r\n",
		"old server":   "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newFixture(t)
			p := s.server()
			token := s.contexts().List[0].Token
			_, secret, _ := strings.Cut(token, ".")
			require.NotEmpty(t, secret)
			p.End(syscall.SIGTERM)
			<-p.Ended()

			listener, err := net.Listen("tcp", s.address)
			require.NoError(t, err)
			t.Cleanup(func() { _ = listener.Close() })
			body := strings.ReplaceAll(forged, "$ADDRESS", s.address)
			length := map[string]string{"$ADDRESS": s.address, "$LENGTH": strconv.Itoa(len(body))}
			for from, to := range length {
				answer = strings.ReplaceAll(answer, from, to)
			}
			var other stranger
			go other.serve(listener, answer)
			for _, command := range [][]string{
				{"get", "machines"}, {"--server", s.url(), "deploy", "shop", "1.0", "--to", "production"},
				{"--server", s.url(), "--token", token, "get", "machines"}, {"doctor"},
			} {
				_, _, code := s.run(command...)
				require.NotZero(t, code, "%v", command)
			}
			_, _, code := s.run("get", "machine", "web-01")
			require.NotEqual(t, 5, code, "only a drover server can say that a machine does not exist")
			require.Contains(t, other.received(), "GET /api/v1/proof")
			require.NotContains(t, other.received(), secret)
			require.NotContains(t, other.received(), "Authorization")
		})
	}
}
