package harness

import (
	"os/exec"
	"runtime"
	"sync"
)

// starts sends work to the one thread that starts all processes. Linux kills a child when the thread that started it
// ends, not when the program ends, and Go may end any thread. This goroutine is locked to its thread and never returns.
var starts = sync.OnceValue(func() chan<- func() {
	orders := make(chan func())
	go func() {
		runtime.LockOSThread()
		for order := range orders {
			order()
		}
	}()
	return orders
})

// Launch starts a command in a process group of its own. On Linux the kernel kills it when this program dies.
func Launch(cmd *exec.Cmd) error {
	cmd.SysProcAttr = attributes()
	done := make(chan error)
	starts() <- func() { done <- cmd.Start() }
	return <-done
}
