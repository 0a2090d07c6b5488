package projections

import (
	"context"
	"fmt"
	"time"

	"github.com/robfig/cron/v3"
)

// MinTick is the shortest time between two ticks; ticks are whole seconds.
const MinTick = time.Second

// Run calls tick once at the start and then on every, until ctx ends; it returns when the last tick has.
// A tick that is still running is skipped, never stacked. It returns an error for a schedule no clock has.
func Run(ctx context.Context, every time.Duration, tick func(context.Context)) error {
	if every < MinTick || every%time.Second != 0 {
		return fmt.Errorf("a tick every %s cannot be kept: use whole seconds, at least %s", every, MinTick)
	}
	schedule := cron.New(cron.WithChain(cron.SkipIfStillRunning(cron.DiscardLogger)))
	tick(ctx)
	if _, err := schedule.AddFunc("@every "+every.String(), func() { tick(ctx) }); err != nil {
		return fmt.Errorf("schedule a tick every %s: %w", every, err)
	}
	schedule.Start()
	<-ctx.Done()
	<-schedule.Stop().Done()
	return nil
}
