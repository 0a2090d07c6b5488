//go:build unix && !linux

package demo

import "syscall"

// ofItsOwn puts a process in a group of its own. It outlives a demo that is killed: nothing but the demo ends it here.
func ofItsOwn() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
