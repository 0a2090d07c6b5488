package cli

import (
	"context"
	"net/url"
	"strings"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/internal/ids"
)

// read gets path into what into points to, and waits for a server that is just starting.
func (s *shell) read(ctx context.Context, path string, query url.Values, into any) error {
	_, err := s.readAt(ctx, path, query, into)
	return err
}

// readAt is read with the position that the answer was given at: a later read of ?after= this one sees no older state,
// whichever server answers it.
func (s *shell) readAt(ctx context.Context, path string, query url.Values, into any) (position string, err error) {
	c, err := s.connect(ctx)
	if err != nil {
		return "", err
	}
	err = s.patiently(ctx, func() (err error) {
		position, err = c.Get(ctx, path, query, into)
		return err
	})
	return position, err
}

// post sends one wish under one key and reads the answer.
func (s *shell) post(ctx context.Context, path string, body, into any) error {
	c, err := s.connect(ctx)
	if err != nil {
		return err
	}
	key := ids.New().String()
	return s.patiently(ctx, func() error { return c.Post(ctx, path, key, body, into) })
}

// command posts a wish whose answer is what was written.
func (s *shell) command(ctx context.Context, path string, body any) (written client.Written, err error) {
	if body == nil {
		body = struct{}{}
	}
	err = s.post(ctx, path, body, &written)
	return written, err
}

// remove deletes what path names.
func (s *shell) remove(ctx context.Context, path string) (written client.Written, err error) {
	c, err := s.connect(ctx)
	if err != nil {
		return written, err
	}
	key := ids.New().String()
	err = s.patiently(ctx, func() (err error) {
		written, err = c.Delete(ctx, path, key)
		return err
	})
	return written, err
}

// wrote tells what a wish came to: the answer itself for scripts, else a sentence on stderr.
func (s *shell) wrote(w client.Written, sentence string) error {
	if s.structured() {
		return s.value(w)
	}
	switch {
	case len(w.Events) == 0 && !w.Repeat:
		s.say("%s: no change", sentence)
	default:
		s.say("%s (#%s)", sentence, w.Position)
	}
	return nil
}

// query is the named values that are not empty.
func query(pairs ...string) url.Values {
	values := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			values.Set(pairs[i], pairs[i+1])
		}
	}
	return values
}

// position accepts a position as it is shown, "#12", and as it is sent, "12".
func position(text string) string { return strings.TrimPrefix(text, "#") }
