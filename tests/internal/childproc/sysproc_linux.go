package childproc

import "syscall"

// sysProcAttr puts the child in a process group of its own, so that a signal
// reaches what it forked too, and has the kernel kill it when its parent ends.
func sysProcAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
