package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"github.com/tmaxmax/go-sse"
)

// maxMessageBytes limits the length of a message of a live stream.
const maxMessageBytes = 16 << 20

// ErrEnded is returned by the callback of Follow to end Follow without an error.
var ErrEnded = errors.New("the reader ended the stream")

// Message is one message of a live stream (server-sent events).
type Message struct {
	ID   string // pass it as lastID to resume after this message
	Kind string // empty for the content of the stream; "end" for its last message
	Data string
}

// defaultIdleTimeout is the default of Client.IdleTimeout. Servers respond within 30 s and send a heartbeat on live
// streams every 15 s.
const defaultIdleTimeout = 45 * time.Second

// Follow reads the live stream at path and calls take with each message, in order and without gaps. When the connection
// is lost, it reconnects, if necessary to another server, and resumes after the last message. lastID is the message to
// start after; empty: start with the query. Follow returns nil when the stream has ended or take returned ErrEnded.
// Otherwise it returns any other error of take, the error of ctx, or a *Problem for which a retry cannot help.
func (c *Client) Follow(ctx context.Context, path string, query url.Values, lastID string,
	take func(Message) error,
) error {
	wait := 100 * time.Millisecond
	for {
		before := lastID
		err := c.follow(ctx, path, query, &lastID, take)
		switch {
		case errors.Is(err, ErrEnded):
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && (KindOf(err) != Unavailable || len(c.Servers) == 0):
			return err
		case lastID != before:
			wait = 100 * time.Millisecond
		}
		if c.OnDisconnect != nil {
			c.OnDisconnect(err)
		}
		timer := time.NewTimer(wait/2 + rand.N(wait/2+1))
		wait = min(2*wait, 5*time.Second)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// follow reads the stream over one connection and stores the id of the last message in lastID.
func (c *Client) follow(ctx context.Context, path string, query url.Values, lastID *string,
	take func(Message) error,
) error {
	r := request{method: http.MethodGet, path: path, query: query, accept: "text/event-stream", lastEvent: *lastID}
	reading, cancel := context.WithCancel(ctx)
	defer cancel()
	timeout := cmp.Or(c.IdleTimeout, defaultIdleTimeout)
	watch := time.AfterFunc(timeout, func() {
		c.last.Add(1) // try the next server
		cancel()
	})
	defer watch.Stop()
	response, server, err := c.send(reading, r)
	if err != nil {
		return orTimeout(reading, ctx, "the server", err)
	}
	defer response.Body.Close()
	body := notifyingReader{response.Body, func() { watch.Reset(timeout) }}
	for m, err := range sse.Read(body, &sse.ReadConfig{MaxEventSize: maxMessageBytes}) {
		if err != nil {
			return connectionProblem(server, fmt.Errorf("read the stream: %w", err))
		}
		if m.Type == "end" {
			return ErrEnded
		}
		if m.Data != "" { // an id alone is the position of the stream
			if err := take(Message{ID: m.LastEventID, Kind: m.Type, Data: m.Data}); err != nil {
				return err
			}
		}
		*lastID = cmp.Or(m.LastEventID, *lastID)
	}
	return nil
}

// orTimeout returns err, or a timeout if the idle timeout has cancelled reading while ctx is not done.
func orTimeout(reading, ctx context.Context, server string, err error) error {
	if reading.Err() == nil || ctx.Err() != nil {
		return err
	}
	return &Problem{Title: "Timeout", Kind: Unavailable, Detail: server + " does not answer in time",
		Hint: "is the server stopped or unreachable?", cause: err}
}

// notifyingReader calls notify after each read.
type notifyingReader struct {
	io.Reader
	notify func()
}

func (r notifyingReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.notify()
	return n, err
}
