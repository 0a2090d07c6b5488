//go:build unix && !linux

package harness

import "syscall"

// attributes cannot ask for an end together with this program here.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
