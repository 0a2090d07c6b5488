package demo

import "syscall"

// ofItsOwn puts a process in a group of its own. The kernel kills it when the demo is gone.
func ofItsOwn() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
