package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/api/client/clienttest"
)

const testTimeout = 10 * time.Second

func serve(t *testing.T, answer http.HandlerFunc) string {
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	return server.URL
}

// unusedAddress returns the URL of an address where nothing listens.
func unusedAddress(t *testing.T) string {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	return server.URL
}

func TestUnavailableServerIsSkipped(t *testing.T) {
	keys := map[string]int{}
	var token string
	answer := func(w http.ResponseWriter, r *http.Request) {
		keys[r.Header.Get(client.KeyHeader)]++
		token = r.Header.Get("Authorization")
		fmt.Fprint(w, `{"position":"7","events":["MachineEnabled"],"repeat":false}`)
	}
	busy := serve(t, clienttest.Proves("id.abc", func(w http.ResponseWriter, r *http.Request) {
		keys[r.Header.Get(client.KeyHeader)]++
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	answering := serve(t, clienttest.Proves("id.abc", answer)) // first: it could get the unused address
	c := &client.Client{Servers: []string{unusedAddress(t), busy, answering}, Token: "id.abc"}
	written, err := c.Write(context.Background(), client.Path("machines", "a/b", "enable"), "", nil)
	require.NoError(t, err)
	require.Equal(t, client.Written{Position: "7", Events: []string{"MachineEnabled"}}, written)
	require.Len(t, keys, 1, "every server receives the same key")
	require.Equal(t, "Bearer id.abc", token)
	_, err = c.Delete(context.Background(), "/machines/x", "mine")
	require.NoError(t, err)
	require.Equal(t, 1, keys["mine"], "the server that responded last is tried first")
}

func TestEveryErrorIsAProblemWithAKindAndAHint(t *testing.T) {
	for name, c := range map[string]struct {
		server string
		kind   string
	}{
		"invalid URL": {"localhost", client.Invalid},
		"other error": {serve(t, func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "<html>", 404)
		}), client.Internal},
		"invalid JSON": {serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }), client.Internal},
		"redirect": {serve(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://example.invalid/", 302)
		}), client.Internal},
		"aborted response": {serve(t, func(http.ResponseWriter, *http.Request) {
			panic(http.ErrAbortHandler)
		}), client.Unavailable},
		"no server": {unusedAddress(t), client.Unavailable}, // last: another server could get the address
	} {
		var into struct{}
		_, err := (&client.Client{Servers: []string{c.server}}).Get(context.Background(), "/machines", nil, &into)
		var p *client.Problem
		require.ErrorAs(t, err, &p, name)
		require.Equal(t, c.kind, p.Kind, name)
		require.NotEmpty(t, p.Hint, name)
	}
	_, err := (&client.Client{}).Get(context.Background(), "/machines", nil, nil)
	require.Equal(t, client.Unavailable, client.KindOf(err))
	err = (&client.Client{}).Follow(context.Background(), "/events/stream", nil, "", nil)
	require.Equal(t, client.Unavailable, client.KindOf(err))
}

func TestProblemResponseIsDecoded(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", client.ProblemType)
		w.WriteHeader(409)
		fmt.Fprint(
			w,
			`{"title":"Conflict","status":409,"detail":"project shop is pinned","kind":"conflict","hint":"unpin it","errors":[{"message":"a.yaml:1:2: no"}]}`,
		)
	})
	err := (&client.Client{Servers: []string{server}}).Post(
		context.Background(),
		"/deployments",
		"",
		map[string]int{},
		nil,
	)
	require.EqualError(t, err, "project shop is pinned (unpin it)\na.yaml:1:2: no")
}

func TestInterruptedStreamResumesAfterTheLastMessage(t *testing.T) {
	var resumed []string
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		last := r.Header.Get("Last-Event-ID")
		resumed = append(resumed, last)
		from := 1
		if last != "" {
			_, _ = fmt.Sscan(last, &from)
			from++
		}
		fmt.Fprint(w, ": begin\n\n")
		for n := from; n < from+2 && n <= 5; n++ {
			fmt.Fprintf(w, "id: %d\ndata: number\ndata: %d\n\n", n, n)
		}
		if from > 4 {
			fmt.Fprint(w, "event: end\ndata: {}\n\n")
			return
		}
		fmt.Fprint(w, "id: 99\ndata: cut o") // a truncated message is ignored
	})
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	var texts []string
	disconnects := 0
	c := &client.Client{Servers: []string{server}, OnDisconnect: func(error) { disconnects++ }}
	require.NoError(t, c.Follow(ctx, "/events/stream", url.Values{}, "", func(m client.Message) error {
		texts = append(texts, m.ID+" "+m.Data)
		return nil
	}))
	require.Equal(t, []string{"1 number\n1", "2 number\n2", "3 number\n3", "4 number\n4", "5 number\n5"}, texts)
	require.Equal(t, []string{"", "2", "4"}, resumed)
	require.Equal(t, 2, disconnects)
	stop := errors.New("enough")
	require.ErrorIs(t, c.Follow(ctx, "/x", nil, "", func(client.Message) error { return stop }), stop)
	require.NoError(t, c.Follow(ctx, "/x", nil, "", func(client.Message) error { return client.ErrEnded }))
}

func TestStreamInterruptedBeforeItsFirstMessageResumesAtItsStart(t *testing.T) {
	var resumed []string
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		resumed = append(resumed, r.Header.Get("Last-Event-ID"))
		switch len(resumed) {
		case 1:
			fmt.Fprint(w, "id: 7\n: begin\n\n")
		case 2:
			fmt.Fprint(w, "id: 7\n: begin\n\nid: 8\ndata: eight\n\nid: 9\n")
		default:
			fmt.Fprint(w, "event: end\ndata: {}\n\n")
		}
	})
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	var texts []string
	c := &client.Client{Servers: []string{server}}
	require.NoError(t, c.Follow(ctx, "/events/stream", nil, "", func(m client.Message) error {
		texts = append(texts, m.ID+" "+m.Data)
		return nil
	}))
	require.Equal(t, []string{"8 eight"}, texts)
	require.Equal(t, []string{"", "7", "8"}, resumed)
}

func TestIdleStreamContinuesOnAnotherServer(t *testing.T) {
	over := make(chan struct{})
	stalled := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "id: 7\n: begin\n\n")
		w.(http.Flusher).Flush()
		<-over
	})
	silent := serve(t, func(http.ResponseWriter, *http.Request) { <-over })
	defer close(over)
	resumed := ""
	other := serve(t, func(w http.ResponseWriter, r *http.Request) {
		resumed = r.Header.Get("Last-Event-ID")
		fmt.Fprint(w, "event: end\ndata: {}\n\n")
	})
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	c := &client.Client{Servers: []string{stalled, silent, other}, IdleTimeout: 200 * time.Millisecond}
	require.NoError(t, c.Follow(ctx, "/events/stream", nil, "", func(client.Message) error { return nil }))
	require.Equal(t, "7", resumed)
}

func TestStoppedServerIsSkippedAfterTheIdleTimeout(t *testing.T) {
	over := make(chan struct{})
	stopped := serve(t, func(http.ResponseWriter, *http.Request) { <-over })
	defer close(over)
	other := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"position":"7"}`) })
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	c := &client.Client{Servers: []string{stopped, other}, IdleTimeout: 200 * time.Millisecond}
	written, err := c.Write(ctx, "/machines/web-01/enable", "", nil)
	require.NoError(t, err)
	require.Equal(t, "7", written.Position)
	c = &client.Client{Servers: []string{stopped}, IdleTimeout: 200 * time.Millisecond}
	_, err = c.Write(ctx, "/machines/web-01/enable", "", nil)
	require.ErrorContains(t, err, "does not answer in time")
}
