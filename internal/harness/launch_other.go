//go:build unix && !linux

package harness

import "syscall"

// attributes puts a process into its own group. This system cannot end it together with this program.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
