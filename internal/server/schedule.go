package server

import (
	"context"
	"fmt"
	"time"

	"github.com/robfig/cron/v3"
)

// minTick is the shortest time between two ticks; ticks are whole seconds.
const minTick = time.Second

// checkTick refuses a time between two ticks that the schedule cannot keep.
func checkTick(every time.Duration) error {
	if every < minTick || every%time.Second != 0 {
		return fmt.Errorf("invalid tick %s: use whole seconds, at least %s", every, minTick)
	}
	return nil
}

// schedule calls tick once at the start and then on every, until ctx ends; it returns when the last tick has.
// A tick that is due while another one runs is skipped. It returns an error for a time that checkTick refuses.
func schedule(ctx context.Context, every time.Duration, tick func(context.Context)) error {
	if err := checkTick(every); err != nil {
		return err
	}
	ticks := cron.New(cron.WithChain(cron.SkipIfStillRunning(cron.DiscardLogger)))
	tick(ctx)
	if _, err := ticks.AddFunc("@every "+every.String(), func() { tick(ctx) }); err != nil {
		return fmt.Errorf("schedule a tick every %s: %w", every, err)
	}
	ticks.Start()
	<-ctx.Done()
	<-ticks.Stop().Done()
	return nil
}
