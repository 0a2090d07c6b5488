package loglimit

import (
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/time/rate"
)

// Limits of one cause.
const (
	// AtOnce is how many lines it can cause at once, and Every is how often another one after that.
	AtOnce = 20
	Every  = 5 * time.Second
	// maxCauses bounds the memory. When it is reached, the causes without recent lines are forgotten, or all.
	maxCauses = 10_000
)

// Lines limits the lines of a log. The zero value is ready to use.
type Lines struct {
	mu sync.Mutex // guards by
	by map[string]*lines
}

type lines struct {
	limiter    *rate.Limiter
	suppressed int
}

// Logger returns log for one line that a cause leads to, or a logger that discards it.
func (l *Lines) Logger(log *zap.Logger, cause string) *zap.Logger {
	suppressed, ok := l.allow(cause, time.Now())
	switch {
	case !ok:
		return zap.NewNop()
	case suppressed > 0:
		return log.With(zap.Int("suppressed", suppressed))
	}
	return log
}

// allow reports whether a cause can write a line, and how many lines it could not write before.
func (l *Lines) allow(cause string, now time.Time) (suppressed int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	each := l.by[cause]
	if each == nil {
		l.forget(now)
		each = &lines{limiter: rate.NewLimiter(rate.Every(Every), AtOnce)}
		l.by[cause] = each
	}
	if !each.limiter.AllowN(now, 1) {
		each.suppressed++
		return 0, false
	}
	suppressed, each.suppressed = each.suppressed, 0
	return suppressed, true
}

// forget removes causes if there are too many. The caller holds mu.
func (l *Lines) forget(now time.Time) {
	if l.by == nil {
		l.by = map[string]*lines{}
	}
	if len(l.by) < maxCauses {
		return
	}
	for cause, each := range l.by {
		if each.limiter.TokensAt(now) >= AtOnce {
			delete(l.by, cause)
		}
	}
	if len(l.by) >= maxCauses {
		clear(l.by)
	}
}
