package query

import (
	"context"
	"errors"
	"io"

	"github.com/droverhq/drover/eventlog"
)

// Verified is the result of Verify.
type Verified struct {
	Events int    `json:"events"`
	Head   string `json:"head"`
	// Damaged describes the damage; nil if the log is intact.
	Damaged *string `json:"damaged" nullable:"true"`
	// Lost describes events that a server or an agent has seen and the log does not have; nil if none are known.
	Lost *string `json:"lost" nullable:"true"`
}

// Verify reads the whole log and checks every event. It also reports whether the log has lost events that a server or an
// agent has seen. It returns an error if the files of the log are not in their place, because their events can be lost.
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
	if err := q.cfg.Engine.CatchUp(ctx); err != nil {
		return verified, err
	}
	if lost := q.cfg.Engine.LostEvents(); lost != nil {
		sentence := lost.Error()
		verified.Lost = &sentence
	}
	if checker, ok := q.cfg.Log.(eventlog.Checker); ok && err == nil {
		err = checker.Check(ctx)
	}
	return verified, err
}

// Export writes the whole log as an archive, one line of JSON per event. An incomplete archive lacks the last line, so
// its reader detects it.
func (q *Queries) Export(ctx context.Context, w io.Writer) error {
	_, err := eventlog.Export(ctx, q.cfg.Log, w, nil)
	return err
}
