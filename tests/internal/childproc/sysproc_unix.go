//go:build unix && !linux

package childproc

import "syscall"

// sysProcAttr puts the child in a process group of its own. Other systems than
// Linux have no parent-death signal: there, children of a test process that was
// killed with SIGKILL stay behind.
func sysProcAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
