package run

import (
	"cmp"
	"context"
	"fmt"
	"sync"
)

// Kill asks a part to stop because a person wants that. Its methods are safe for concurrent use. A nil Kill is never
// asked.
type Kill struct {
	once  sync.Once
	asked chan struct{}
	by    string
}

// NewKill returns a Kill that nobody has asked yet.
func NewKill() *Kill { return &Kill{asked: make(chan struct{})} }

// Ask asks the part to stop. by names the person; it is empty if the server does not know the name. reason is empty or
// says why. Only the first call counts.
func (k *Kill) Ask(by, reason string) {
	k.once.Do(func() {
		k.by = cmp.Or(by, "a person")
		if reason != "" {
			k.by += fmt.Sprintf(" (%s)", reason)
		}
		close(k.asked)
	})
}

// context returns a context that is also done when the part is asked to stop.
func (k *Kill) context(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	if k != nil {
		go func() {
			select {
			case <-k.asked:
				cancel()
			case <-ctx.Done():
			}
		}()
	}
	return ctx, cancel
}

// Asked returns a channel that is closed when the part is asked to stop.
func (k *Kill) Asked() <-chan struct{} {
	if k == nil {
		return nil
	}
	return k.asked
}

// By returns who asked and why. It is empty before the part is asked to stop.
func (k *Kill) By() string {
	select {
	case <-k.Asked():
		return k.by
	default:
		return ""
	}
}
