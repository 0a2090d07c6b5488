package server

import (
	"context"
	"fmt"
	"time"

	"github.com/robfig/cron/v3"
)

// minTick is the shortest interval between two ticks. Intervals are whole seconds.
const minTick = time.Second

// checkTick returns an error for an interval that the schedule does not support.
func checkTick(every time.Duration) error {
	if every < minTick || every%time.Second != 0 {
		return fmt.Errorf("invalid tick %s: use whole seconds, at least %s", every, minTick)
	}
	return nil
}

// schedule calls tick at once and then at each interval until ctx ends. It returns after the last tick has returned. A
// tick that is due while another one runs is skipped. It returns an error for an interval that checkTick rejects.
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
