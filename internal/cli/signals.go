package cli

import (
	"os"
	"os/signal"
	"syscall"

	"go.uber.org/zap"
)

// surviveHangups keeps a server or an agent running when its terminal closes (SIGHUP) or when the reader of its output
// ends (SIGPIPE). The signals are caught and not ignored, because an ignored signal would also be ignored in steps.
func surviveHangups(logger *zap.Logger) (stop func()) {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGPIPE)
	if !signal.Ignored(syscall.SIGHUP) { // nohup ignores it, and steps inherit that
		signal.Notify(signals, syscall.SIGHUP)
	}
	done := make(chan struct{})
	go func() {
		for {
			select {
			case received := <-signals:
				if received == syscall.SIGHUP { // a log line about SIGPIPE would cause the next SIGPIPE
					logger.Info("SIGHUP has no effect; use SIGTERM to stop")
				}
			case <-done:
				return
			}
		}
	}()
	return func() { signal.Stop(signals); close(done) }
}
