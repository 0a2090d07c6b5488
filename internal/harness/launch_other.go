//go:build unix && !linux

package harness

import "syscall"

// attributes puts a process in a group of its own. This system cannot end it together with this program.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
