package harness

import (
	"os/exec"
	"runtime"
	"sync"
)

// starts takes orders for the one thread that starts all processes. A kernel that kills a process together with its
// parent means the thread that started it, and Go ends threads when it likes; this one is locked and never ends.
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
