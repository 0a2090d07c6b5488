package cli

import (
	"context"
	"net/url"
	"strings"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/internal/ids"
)

// read decodes the resource at path into the value that into points to. It waits for a server that is starting.
func (a *app) read(ctx context.Context, path string, query url.Values, into any) error {
	_, err := a.readAt(ctx, path, query, into)
	return err
}

// readAt is like read and also returns the log position of the answer. Another read with ?after= this position returns
// no older state, whichever server answers.
func (a *app) readAt(ctx context.Context, path string, query url.Values, into any) (position string, err error) {
	c, err := a.connect(ctx)
	if err != nil {
		return "", err
	}
	err = a.untilReachable(ctx, func() (err error) {
		position, err = c.Get(ctx, path, query, into)
		return err
	})
	return position, err
}

// post sends a request with one idempotency key and decodes the answer into the value that into points to.
func (a *app) post(ctx context.Context, path string, body, into any) error {
	c, err := a.connect(ctx)
	if err != nil {
		return err
	}
	key := ids.New().String()
	return a.untilReachable(ctx, func() error { return c.Post(ctx, path, key, body, into) })
}

// command posts a request that writes events, and returns what was written.
func (a *app) command(ctx context.Context, path string, body any) (written client.Written, err error) {
	if body == nil {
		body = struct{}{}
	}
	err = a.post(ctx, path, body, &written)
	return written, err
}

// remove sends a DELETE request for path.
func (a *app) remove(ctx context.Context, path string) (written client.Written, err error) {
	c, err := a.connect(ctx)
	if err != nil {
		return written, err
	}
	key := ids.New().String()
	err = a.untilReachable(ctx, func() (err error) {
		written, err = c.Delete(ctx, path, key)
		return err
	})
	return written, err
}

// wrote prints the result of a command: the answer itself in structured formats, otherwise a sentence on stderr.
func (a *app) wrote(w client.Written, sentence string) error {
	if a.structured() {
		return a.value(w)
	}
	if unchanged(w) {
		a.info("no change: %s", sentence)
	} else {
		a.info("%s (#%s)", sentence, w.Position)
	}
	return nil
}

// unchanged reports whether a command wrote no event because it had no effect.
func unchanged(w client.Written) bool { return len(w.Events) == 0 && !w.Repeat }

// query builds URL parameters from pairs of name and value. Empty values are left out.
func query(pairs ...string) url.Values {
	values := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			values.Set(pairs[i], pairs[i+1])
		}
	}
	return values
}

// position converts a position from its displayed form "#12" to the form of the API, "12".
func position(text string) string { return strings.TrimPrefix(text, "#") }
