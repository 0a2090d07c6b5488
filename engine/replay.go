package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections"
)

// Replay folds a log from its beginning while take returns true, and returns the view at that position. Its ages are
// based on the wall-clock times in the log, the only ones that are known of the past.
func Replay(ctx context.Context, log eventlog.Log, take func(eventlog.Recorded) bool) (*projections.View,
	projections.Age, error) {
	v := CurrentRules().NewView()
	var ages projections.Ages
	for rec, err := range log.ReadAll(ctx, 0, 0) {
		if err != nil {
			return nil, nil, fmt.Errorf("replay the log: %w", err)
		}
		if !take(rec) {
			break
		}
		v.Apply(rec)
		ages.Mark(rec.Position, v.Time.Sub(time.Time{}))
	}
	return v, ages.At(v.Time.Sub(time.Time{})), nil
}
