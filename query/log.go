package query

import (
	"context"
	"errors"
	"io"

	"github.com/droverhq/drover/eventlog"
)

// Verified is what reading the whole log found.
type Verified struct {
	Events int    `json:"events"`
	Head   string `json:"head"`
	// Damaged says what is wrong, nil if nothing is.
	Damaged *string `json:"damaged" nullable:"true"`
}

// Verify reads the whole log and checks every event.
func (q *Queries) Verify(ctx context.Context) (Verified, error) {
	release, err := q.acquireReplay(ctx)
	if err != nil {
		return Verified{}, err
	}
	defer release()
	found, err := eventlog.Verify(ctx, q.cfg.Log, nil)
	verified := Verified{Events: found.Events, Head: found.Head.String()}
	if errors.Is(err, eventlog.ErrDamaged) {
		sentence := err.Error()
		verified.Damaged, err = &sentence, nil
	}
	return verified, err
}

// Export writes the whole log as an archive, a line of JSON for each event. An archive that could not be written to its
// end has no last line, so its reader notices.
func (q *Queries) Export(ctx context.Context, w io.Writer) error {
	_, err := eventlog.Export(ctx, q.cfg.Log, w, nil)
	return err
}
