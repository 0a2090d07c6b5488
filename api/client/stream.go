package client

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxLineBytes bounds one line of a live stream.
const maxLineBytes = 16 << 20

// ErrEnded is returned by the callback of Follow to end it without an error.
var ErrEnded = errors.New("the stream was ended by its reader")

// Message is one message of a live stream (server-sent events).
type Message struct {
	ID   string // pass it as lastID to resume after this message
	Kind string // empty for what the stream is about; "end" is its last
	Data string
}

// silence is how long a server may say nothing before it counts as lost. It answers a request within 30 s, and shows
// every 15 s on a live stream that it lives.
const silence = 45 * time.Second

// Follow reads the live stream at path, in order and without gaps: it reconnects, to another server if
// need be, and resumes after the last message it handed to take, or where the stream began. It returns nil when the stream has
// ended or take returned ErrEnded, else take's error, ctx's, or a *Problem that no new attempt could cure.
func (c *Client) Follow(ctx context.Context, path string, query url.Values, lastID string, take func(Message) error) error {
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
		if c.Lost != nil {
			c.Lost(err)
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

func (c *Client) follow(ctx context.Context, path string, query url.Values, lastID *string, take func(Message) error) error {
	r := request{method: http.MethodGet, path: path, query: query, accept: "text/event-stream", lastEvent: *lastID}
	reading, cancel := context.WithCancel(ctx)
	defer cancel()
	patience := cmp.Or(c.Silence, silence)
	watch := time.AfterFunc(patience, func() {
		c.last.Add(1) // the next one may have more to say
		cancel()
	})
	defer watch.Stop()
	answer, server, err := c.send(reading, r)
	if err != nil {
		return silenced(reading, ctx, "the server", err)
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(heard{answer.Body, func() { watch.Reset(patience) }})
	lines.Buffer(nil, maxLineBytes)
	for {
		m, err := next(lines)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return unreached(server, err)
		}
		if m.Kind == "end" {
			return ErrEnded
		}
		if m.Data != "" {
			if err := take(m); err != nil {
				return err
			}
		}
		if m.ID != "" {
			*lastID = m.ID
		}
	}
}

// silenced is err, or that a server said nothing for too long if that is why reading has ended and ctx has not.
func silenced(reading, ctx context.Context, server string, err error) error {
	if reading.Err() == nil || ctx.Err() != nil {
		return err
	}
	return &Problem{Title: "Server is silent", Kind: Unavailable, Detail: server + " does not answer in time", Hint: "is it stopped, or cut off?", cause: err}
}

// heard tells of each piece that is read.
type heard struct {
	io.Reader
	tell func()
}

func (h heard) Read(p []byte) (int, error) {
	n, err := h.Reader.Read(p)
	h.tell()
	return n, err
}

// next reads one message, or an id without data, which only says where the stream stands; comments and all
// else without data are passed over.
func next(lines *bufio.Scanner) (Message, error) {
	var m Message
	var data []string
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case lines.Text() == "" && (len(data) > 0 || m.ID != "" || m.Kind == "end"):
			m.Data = strings.Join(data, "\n")
			return m, nil
		case field == "id":
			m.ID = value
		case field == "event":
			m.Kind = value
		case field == "data":
			data = append(data, value)
		}
	}
	if err := lines.Err(); err != nil {
		return Message{}, fmt.Errorf("read the stream: %w", err)
	}
	return Message{}, io.EOF
}
