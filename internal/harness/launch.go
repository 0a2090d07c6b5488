package harness

import (
	"os/exec"
	"runtime"
	"sync"
)

// starts is the queue of the one thread that starts all processes. With PR_SET_PDEATHSIG, Linux kills a child when the
// thread that started it ends, not when the program ends, and the Go runtime may end any thread. Therefore this
// goroutine is locked to its thread and never returns.
var starts = sync.OnceValue(func() chan<- func() {
	queue := make(chan func())
	go func() {
		runtime.LockOSThread()
		for start := range queue {
			start()
		}
	}()
	return queue
})

// Launch starts a command in its own process group. On Linux the kernel kills it when this program dies.
func Launch(cmd *exec.Cmd) error {
	cmd.SysProcAttr = attributes()
	done := make(chan error)
	starts() <- func() { done <- cmd.Start() }
	return <-done
}
